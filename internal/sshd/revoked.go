package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const mostRevoked = 4 << 20

// Revoked are keys and certificates that nobody comes in with any more.
type Revoked struct {
	keys    map[string]bool // by fingerprint; an authority's takes all its certificates
	serials map[uint64]bool
	ids     map[string]bool
}

// ReadRevoked reads a list: public keys as in authorized_keys, and lines as
// ssh-keygen takes them for a list of revocations (serial:, id:, sha256:, key:).
func ReadRevoked(text []byte) (*Revoked, error) {
	if bytes.HasPrefix(text, []byte("SSHKRL\n\x00")) {
		return nil, errors.New("this is ssh-keygen's own form; give the text that it was made from")
	}
	r := &Revoked{keys: map[string]bool{}, serials: map[uint64]bool{}, ids: map[string]bool{}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := r.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return r, nil
}

func (r *Revoked) add(line string) error {
	word, rest, _ := strings.Cut(line, ":")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(word) {
	case "serial":
		n, err := strconv.ParseUint(rest, 0, 64)
		if err != nil {
			return errors.New("serial: is a number")
		}
		r.serials[n] = true
		return nil
	case "id":
		if rest == "" {
			return errors.New("id: is empty")
		}
		r.ids[rest] = true
		return nil
	case "sha256":
		if rest = strings.TrimPrefix(rest, "SHA256:"); len(rest) != 43 {
			return errors.New("sha256: is a fingerprint as ssh-keygen -l tells it")
		}
		r.keys["SHA256:"+rest] = true
		return nil
	case "key":
		line = rest
	}
	k, _, _, more, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(more) > 0 {
		return errors.New("no key that could be read")
	}
	if c, is := k.(*ssh.Certificate); is {
		k = c.Key
	}
	r.keys[ssh.FingerprintSHA256(k)] = true
	return nil
}

var errRevoked = errors.New("revoked")

// revoked is an error where a key, or its certificate, may not be used. A list
// that cannot be read lets nobody in: it would be a way around it.
func (t Trust) revoked(k ssh.PublicKey, c *ssh.Certificate) error {
	if t.Revoked == nil {
		return nil
	}
	r, err := t.Revoked()
	if err != nil {
		return err
	}
	if r.keys[ssh.FingerprintSHA256(k)] || c != nil && (r.serials[c.Serial] || r.ids[c.KeyId] || r.keys[ssh.FingerprintSHA256(c.SignatureKey)]) {
		return errRevoked
	}
	return nil
}

// RevokedFile gives what stands in a file, which is read again when it has changed.
func RevokedFile(path string) func() (*Revoked, error) {
	var mu sync.Mutex
	var list *Revoked
	var size int64
	var changed time.Time
	return func() (*Revoked, error) {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if list != nil && st.Size() == size && st.ModTime().Equal(changed) {
			return list, nil
		}
		text, err := io.ReadAll(io.LimitReader(f, mostRevoked+1))
		if err == nil && len(text) > mostRevoked {
			err = fmt.Errorf("greater than %d MiB", mostRevoked>>20)
		}
		if err != nil {
			return nil, err
		}
		now, err := ReadRevoked(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list, size, changed = now, st.Size(), st.ModTime()
		return list, nil
	}
}

// midway is a clock at which a certificate was valid.
func midway(c *ssh.Certificate) func() time.Time {
	return func() time.Time {
		if c.ValidBefore == ssh.CertTimeInfinity {
			return time.Now()
		}
		return time.Unix(int64(c.ValidBefore)-1, 0)
	}
}
