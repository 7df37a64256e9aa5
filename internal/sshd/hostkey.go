package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// HostKeyName is the file in the state folder that holds the gateway's own key.
const HostKeyName = "ssh_host_ed25519_key"

// HostKey gives the gateway's own key. It is made once: laptops remember it,
// and take another one for an attack.
func HostKey(state string) (ssh.Signer, error) {
	path := filepath.Join(state, HostKeyName)
	k, err := readHostKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeHostKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return readHostKey(path)
	}
	return k, err
}

func readHostKey(path string) (ssh.Signer, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("sshd: %s may be read by others; a key that they know is nobody's", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	k, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("sshd: %s: %w", path, err)
	}
	return k, nil
}

// makeHostKey makes the file whole or not at all, and in no other's place.
func makeHostKey(path string) error {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(k, "masu")
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), HostKeyName+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(pem.EncodeToMemory(block))
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), path)
}

// ReadHostCert reads what an authority says of the gateway's own key.
func ReadHostCert(path string, key ssh.Signer) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	c, is := k.(*ssh.Certificate)
	switch {
	case !is || c.CertType != ssh.HostCert:
		return nil, errors.New("this is no certificate of a host's key (ssh-keygen -h -s)")
	case time.Now().Unix() >= int64(min(c.ValidBefore, math.MaxInt64)):
		return nil, errors.New("it has expired")
	}
	return ssh.NewCertSigner(c, key)
}
