package masu

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is an amount of memory or storage.
type Bytes int64

const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String writes it for people, in binary units: "512 MiB", "1.5 GiB".
func (b Bytes) String() string {
	switch {
	case b >= GiB:
		return trimZero(fmt.Sprintf("%.1f", float64(b)/float64(GiB))) + " GiB"
	case b >= MiB:
		return fmt.Sprintf("%d MiB", (b+MiB/2)/MiB)
	case b >= KiB:
		return fmt.Sprintf("%d KiB", (b+KiB/2)/KiB)
	}
	return fmt.Sprintf("%d B", int64(b))
}

func trimZero(s string) string {
	if n := len(s); n > 2 && s[n-2:] == ".0" {
		return s[:n-2]
	}
	return s
}

// ParseBytes reads "24GiB", "24G", "512 MiB": binary units, as String writes them.
func ParseBytes(s string) (Bytes, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, " ", ""))
	for _, u := range []struct {
		suffix string
		unit   Bytes
	}{{"gib", GiB}, {"mib", MiB}, {"gb", GiB}, {"mb", MiB}, {"g", GiB}, {"m", MiB}} {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			f, err := strconv.ParseFloat(digits, 64)
			return Bytes(f * float64(u.unit)), err == nil && f > 0 && f < 1<<20
		}
	}
	return 0, false
}
