// Package notify tells members by chat (a webhook) or mail what happens while
// they look elsewhere.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/masu-lab/masu"
)

const (
	within    = 15 * time.Second // for a message to be taken
	mostURL   = 2000
	mostReply = 64 << 10
)

// Config is how messages are sent.
type Config struct {
	Mail  Mail
	Proxy func(*http.Request) (*url.URL, error) // nil for none
	Local bool                                  // webhooks may go to this machine's own services
}

// Mail is the lab's mail server; without a Server no mail is sent.
type Mail struct {
	Server   string // "smtp.example.ac.jp:587"
	From     string
	User     string
	Password string
	TLS      string // "starttls" (the default), "tls" from the first byte, or "none"
}

// Sender sends messages.
type Sender struct {
	cfg  Config
	http *http.Client
}

var _ masu.Notifier = (*Sender)(nil)

// New checks the configuration.
func New(c Config) (*Sender, error) {
	if m := c.Mail; m.Server != "" {
		if _, _, err := net.SplitHostPort(m.Server); err != nil {
			return nil, fmt.Errorf("mail.server: %w", err)
		}
		if a, err := mail.ParseAddress(m.From); err != nil || a.Address == "" {
			return nil, fmt.Errorf("mail.from: %q is no address", m.From)
		}
		if m.TLS != "" && m.TLS != "starttls" && m.TLS != "tls" && m.TLS != "none" {
			return nil, fmt.Errorf("mail.tls: %q is none of starttls, tls, none", m.TLS)
		}
	}
	d := &net.Dialer{Timeout: within, Control: c.mayReach}
	return &Sender{cfg: c, http: &http.Client{
		Timeout:       within,
		Transport:     &http.Transport{DialContext: d.DialContext, Proxy: c.Proxy, TLSHandshakeTimeout: within, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// mayReach keeps a member's webhook from the services of this machine, from boxes
// and from metadata addresses: the daemon is root, and asks from where only it
// stands. It sees the address after its name was resolved.
func (c Config) mayReach(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	here, err := links()
	if err == nil && !c.allows(at.Addr().Unmap(), here) {
		err = errors.New("this address is not for webhooks")
	}
	return err
}

// metadata are where clouds answer anybody with secrets, beside the link's own addresses.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// allows tells whether an address is for webhooks, from where those links are.
func (c Config) allows(a netip.Addr, here []link) bool {
	if a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || slices.Contains(metadata, a) {
		return false
	}
	own := a.IsLoopback()
	for _, l := range here {
		for _, p := range l.nets {
			if strings.HasPrefix(l.name, masu.BridgePrefix) && p.Contains(a) {
				return false
			}
			own = own || p.Addr() == a
		}
	}
	return c.Local || !own
}

// link is an interface of this machine, with its addresses.
type link struct {
	name string
	nets []netip.Prefix
}

func links() (list []link, err error) {
	all, err := net.Interfaces()
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		l := link{name: i.Name}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.nets = append(l.nets, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
			}
		}
		list = append(list, l)
	}
	return list, err
}

// Check refuses an address to which nothing can be sent.
func (s *Sender) Check(to masu.NotifyWish) error {
	if to.Webhook != "" {
		u, err := url.Parse(to.Webhook)
		if err != nil || len(to.Webhook) > mostURL || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return masu.E(masu.Invalid, "webhook_wrong")
		}
	}
	if to.Mail == "" {
		return nil
	}
	if a, err := mail.ParseAddress(to.Mail); err != nil || a.Address != to.Mail {
		return masu.E(masu.Invalid, "mail_wrong", to.Mail)
	}
	if s.cfg.Mail.Server == "" {
		return masu.E(masu.Invalid, "notify_no_mail")
	}
	return nil
}

// Notify sends a message to every address of the wish.
func (s *Sender) Notify(ctx context.Context, to masu.NotifyWish, n masu.Notice) error {
	if err := s.Check(to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var errs []error
	if to.Webhook != "" {
		errs = append(errs, failed("webhook", s.post(ctx, to.Webhook, n)))
	}
	if to.Mail != "" {
		errs = append(errs, failed(to.Mail, s.mail(ctx, to.Mail, n)))
	}
	return errors.Join(errs...)
}

// failed says where; a webhook's address is a secret, and stays out of it.
func failed(where string, err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return masu.E(masu.Unreachable, "notify_failed", where, err).Because(err)
}

// message is the JSON of a webhook. Chat programs read text (Slack, Mattermost,
// Rocket.Chat, Google Chat) or content (Discord), programs the rest.
type message struct {
	masu.Notice
	Text    string `json:"text"`
	Content string `json:"content"`
}

func words(n masu.Notice) string {
	lines := []string{n.Title}
	for _, l := range []string{n.Body, n.URL} {
		if l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// payload is what a webhook takes. The workflows of Teams take cards only.
func payload(address string, n masu.Notice) ([]byte, error) {
	text := words(n)
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	for _, teams := range []string{".logic.azure.com", ".powerplatform.com"} {
		if strings.HasSuffix(u.Hostname(), teams) {
			block := map[string]any{"type": "TextBlock", "text": strings.ReplaceAll(text, "\n", "\n\n"), "wrap": true}
			card := map[string]any{"type": "AdaptiveCard", "version": "1.4", "body": []any{block}}
			return json.Marshal(map[string]any{"type": "message", "attachments": []any{map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}}})
		}
	}
	return json.Marshal(message{n, text, text})
}

func (s *Sender) post(ctx context.Context, address string, n masu.Notice) error {
	body, err := payload(address, n)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "masu")
	r, err := s.http.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, mostReply)) // nobody reads it
	if r.StatusCode/100 != 2 {
		return errors.New(r.Status)
	}
	return nil
}

func (s *Sender) mail(ctx context.Context, to string, n masu.Notice) error {
	m := gomail.NewMsg()
	if err := errors.Join(m.From(s.cfg.Mail.From), m.To(to)); err != nil {
		return err
	}
	m.Subject("[masu] " + n.Title)
	m.SetDateWithValue(n.At)
	m.SetMessageID()
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers from machines
	m.SetBodyString(gomail.TypeTextPlain, words(n)+"\n\n-- \nmasu "+n.Host+"\n")
	host, _, _ := net.SplitHostPort(s.cfg.Mail.Server) // New has looked
	c, err := gomail.NewClient(host, s.cfg.Mail.options()...)
	if err != nil {
		return err
	}
	return c.DialAndSendWithContext(ctx, m)
}

func (m Mail) options() []gomail.Option {
	_, port, _ := net.SplitHostPort(m.Server) // New has looked
	n, _ := net.LookupPort("tcp", port)
	o := []gomail.Option{gomail.WithPort(n), gomail.WithTimeout(within)}
	switch m.TLS {
	case "none":
		o = append(o, gomail.WithTLSPolicy(gomail.NoTLS))
	case "tls":
		o = append(o, gomail.WithSSL())
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.User != "" {
		o = append(o, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(m.User), gomail.WithPassword(m.Password))
	}
	return o
}
