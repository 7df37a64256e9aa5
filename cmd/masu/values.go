package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// mostGPUs bounds how many GPUs one may ask for: more is a slip of the finger.
const mostGPUs = 64

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && n <= mostGPUs && strconv.Itoa(n) == s
}

// loopbackPort gives the port of a URL that only this machine can reach.
func loopbackPort(address string) (port string, local bool) {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Port(), u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || ip.IsLoopback()
}

// duration is "30m", "2h" or "7d"; nil means not said.
type duration string

func (d duration) value() (time.Duration, error) {
	if days, ok := strings.CutSuffix(string(d), "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(string(d))
}
