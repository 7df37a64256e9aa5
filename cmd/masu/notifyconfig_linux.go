package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/notify"
	"github.com/masu-lab/masu/internal/text"
)

// mailConfig is the lab's mail server in the configuration file; without a server no mail is sent.
type mailConfig struct {
	Server       string `yaml:"server"`
	From         string `yaml:"from"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	TLS          string `yaml:"tls"`
}

// notifyConfig is about webhooks.
type notifyConfig struct {
	Local bool `yaml:"local"` // may they go to this machine's own services?
}

func (c mailConfig) mail() notify.Mail {
	return notify.Mail{Server: c.Server, From: c.From, User: c.User, TLS: c.TLS}
}

func (c mailConfig) check() error {
	_, err := notify.New(notify.Config{Mail: c.mail()})
	return err
}

// sender makes what carries notices.
func (c notifyConfig) sender(m mailConfig, site masu.Site) (*notify.Sender, error) {
	mail := m.mail()
	if m.PasswordFile != "" {
		b, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("mail.password_file: %w", err)
		}
		mail.Password = strings.TrimSpace(string(b))
	}
	via := (&httpproxy.Config{HTTPProxy: site.Proxy["http_proxy"], HTTPSProxy: site.Proxy["https_proxy"], NoProxy: site.Proxy["no_proxy"]}).ProxyFunc()
	return notify.New(notify.Config{Mail: mail, Local: c.Local, Proxy: func(r *http.Request) (*url.URL, error) { return via(r.URL) }})
}

// sentence is one of the catalogue; "" where there is none.
func sentence(lang masu.Lang, code string, args []string) string {
	if !text.Has(code) {
		return ""
	}
	return text.Strings(lang, code, args)
}
