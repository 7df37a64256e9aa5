package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/masu-lab/masu"
)

// mostGPUs bounds how many GPUs one may ask for: more is a slip of the finger.
const mostGPUs = 64

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && n <= mostGPUs && strconv.Itoa(n) == s
}

// size reads "24GiB", "24G", "512 MiB": binary units, as masu writes them.
func size(s string) (masu.Bytes, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, " ", ""))
	for _, u := range []struct {
		suffix string
		unit   masu.Bytes
	}{{"gib", masu.GiB}, {"mib", masu.MiB}, {"gb", masu.GiB}, {"mb", masu.MiB}, {"g", masu.GiB}, {"m", masu.MiB}} {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			f, err := strconv.ParseFloat(digits, 64)
			return masu.Bytes(f * float64(u.unit)), err == nil && f > 0 && f < 1<<20
		}
	}
	return 0, false
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
