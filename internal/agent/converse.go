package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/masu-lab/masu"
)

// passwordTries is how often the member may mistype.
const passwordTries = 5

// passwd is the conversation of scripts/set_passwd.sh.
func passwd(ctx context.Context) int {
	c := conversation{out: os.Stdout, words: wordsIn(shellLang()), send: sendPassword, tries: 1}
	fd := int(os.Stdin.Fd())
	in := bufio.NewReader(os.Stdin)
	c.read = func(string) (string, error) { return readLine(in) }
	if term.IsTerminal(fd) {
		old, err := term.GetState(fd)
		if err != nil {
			complain(err)
			return 1
		}
		// Ctrl-C at the question must give the terminal its echo back.
		sigs := make(chan os.Signal, 1)
		signal.Notify(sigs, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		go func() {
			<-sigs
			_ = term.Restore(fd, old)
			fmt.Println()
			os.Exit(130)
		}()
		c.tries = passwordTries
		c.read = func(prompt string) (string, error) {
			fmt.Fprint(os.Stderr, prompt)
			b, err := term.ReadPassword(fd)
			fmt.Fprintln(os.Stderr)
			return string(b), err
		}
		fmt.Fprintln(os.Stderr, c.words.ask)
	}
	return c.run(ctx)
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil && line == "" {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// shellLang is what the member's shell asks for.
func shellLang() masu.Lang {
	for _, name := range []string{"MASU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(v, "ja") {
				return masu.Japanese
			}
			return masu.English
		}
	}
	return masu.English
}

// conversation asks for a password twice, as the guide's script did.
type conversation struct {
	out   io.Writer
	words words
	tries int
	read  func(prompt string) (string, error)
	send  func(context.Context, string) (passwordReply, error)
}

// run prints DONE, or RETRY for each mistake, and gives the exit code: 0 done,
// 1 masu did not answer, 2 the member mistyped too often.
func (c conversation) run(ctx context.Context) int {
	for try := 1; try <= c.tries; try++ {
		first, err := c.read(c.words.first)
		if err != nil {
			return c.retry(c.words.tries, exitUsage)
		}
		second, err := c.read(c.words.second)
		if err != nil {
			return c.retry(c.words.tries, exitUsage)
		}
		if first != second {
			c.retry(c.words.differ, exitUsage)
			continue
		}
		reply, err := c.send(ctx, first)
		switch {
		case err != nil:
			return c.retry(c.words.silent, 1)
		case reply.OK:
			if first == "" {
				fmt.Fprintln(c.out, c.words.cleared)
			}
			fmt.Fprintln(c.out, "DONE")
			return 0
		}
		c.retry(c.words.refusal(reply.Code), exitUsage)
		if reply.Code != "password_short" && reply.Code != "password_long" {
			return 1
		}
	}
	if c.tries > 1 {
		fmt.Fprintln(c.out, c.words.tries)
	}
	return exitUsage
}

func (c conversation) retry(why string, code int) int {
	fmt.Fprintln(c.out, why)
	fmt.Fprintln(c.out, "RETRY")
	return code
}

// sendPassword passes it to the agent, which answers when the daemon has.
func sendPassword(ctx context.Context, password string) (passwordReply, error) {
	var reply passwordReply
	body, err := json.Marshal(passwordOrder{Password: password})
	if err != nil {
		return reply, err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/v1/password", masu.AgentPort)
	ctx, cancel := context.WithTimeout(ctx, 2*passwordTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return reply, err
	}
	// No proxy: the variables of the box may name one.
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return reply, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return reply, errors.New(res.Status)
	}
	return reply, json.NewDecoder(res.Body).Decode(&reply)
}
