package outputs

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
)

// connection is the file by which Jupyter tells how a kernel is reached.
type connection struct {
	Transport string `json:"transport"`
	IP        string `json:"ip"`
	IOPub     uint16 `json:"iopub_port"`
	Key       string `json:"key"`
	Scheme    string `json:"signature_scheme"`
}

const connectionMost = 64 << 10

// readConnection reads one of a kernel on this box's loopback.
func readConnection(path string) (c connection, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > connectionMost {
		return c, fmt.Errorf("%s: no connection file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, err
	}
	addr, err := netip.ParseAddr(c.IP)
	if err != nil || !addr.IsLoopback() || c.Transport != "tcp" || c.IOPub == 0 || c.Key != "" && c.Scheme != "hmac-sha256" {
		return c, fmt.Errorf("%s: a kernel that is reached in another way", path)
	}
	return c, nil
}

func (c connection) address() string { return net.JoinHostPort(c.IP, strconv.Itoa(int(c.IOPub))) }

// message is what a kernel publishes.
type message struct {
	kind    string
	parent  string // the request that it is about
	asked   string // its kind
	session string // of the page that asked
	content json.RawMessage
	cut     bool // the content was too long, and is not here
}

type header struct {
	ID      string `json:"msg_id"`
	Type    string `json:"msg_type"`
	Session string `json:"session"`
}

var delimiter = []byte("<IDS|MSG>")

// decode reads a message of Jupyter's wire protocol: anything, the delimiter, a
// signature, header, parent header, metadata, content, buffers.
func decode(parts [][]byte, key string) (m message, err error) {
	for i, p := range parts {
		if bytes.Equal(p, delimiter) {
			parts = parts[i+1:]
			break
		}
	}
	if len(parts) < 5 {
		return m, errors.New("no message of a kernel")
	}
	signature, signed := parts[0], parts[1:5]
	m.content, m.cut = signed[3], signed[3] == nil
	if key != "" && !m.cut {
		mac := hmac.New(sha256.New, []byte(key))
		for _, p := range signed {
			mac.Write(p)
		}
		if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), signature) {
			return m, errors.New("a message that the kernel has not signed")
		}
	}
	var own, parent header
	if err := json.Unmarshal(signed[0], &own); err != nil {
		return m, err
	}
	if err := json.Unmarshal(signed[1], &parent); err != nil {
		return m, err
	}
	m.kind, m.parent, m.asked, m.session = own.Type, parent.ID, parent.Type, parent.Session
	return m, nil
}
