package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Tags of an rpm's header.
const (
	rpmName       = 1000
	rpmPreUn      = 1025
	rpmPostIn     = 1024
	rpmPostUn     = 1026
	rpmModes      = 1030
	rpmFlags      = 1037
	rpmDirIndexes = 1116
	rpmBasenames  = 1117
	rpmDirnames   = 1118

	rpmConfig    = 1 << 0
	rpmNoReplace = 1 << 4
)

// rpmHeader is what an rpm says of itself, by tag: numbers or strings.
type rpmHeader struct {
	numbers map[int][]int
	strings map[int][]string
}

// readHeader reads the header at an offset, and gives where it ends.
func readHeader(b []byte, at int) (h rpmHeader, end int, err error) {
	if len(b) < at+16 || string(b[at:at+3]) != "\x8e\xad\xe8" {
		return h, 0, fmt.Errorf("no header at %d", at)
	}
	n, size := int(binary.BigEndian.Uint32(b[at+8:])), int(binary.BigEndian.Uint32(b[at+12:]))
	index, store := b[at+16:at+16+16*n], b[at+16+16*n:at+16+16*n+size]
	h = rpmHeader{map[int][]int{}, map[int][]string{}}
	for ; len(index) > 0; index = index[16:] {
		tag, kind := int(binary.BigEndian.Uint32(index)), binary.BigEndian.Uint32(index[4:])
		from, count := int(binary.BigEndian.Uint32(index[8:])), int(binary.BigEndian.Uint32(index[12:]))
		for i := range count {
			switch kind {
			case 3:
				h.numbers[tag] = append(h.numbers[tag], int(binary.BigEndian.Uint16(store[from+2*i:])))
			case 4:
				h.numbers[tag] = append(h.numbers[tag], int(binary.BigEndian.Uint32(store[from+4*i:])))
			case 6, 8, 9:
				s, _, _ := strings.Cut(string(store[from:]), "\x00")
				h.strings[tag] = append(h.strings[tag], s)
				from += len(s) + 1
			}
		}
	}
	return h, at + 16 + 16*n + size, nil
}

// TestRPM: the .rpm brings the very files of the .deb, with the same modes, and keeps the admin's configuration.
func TestRPM(t *testing.T) {
	from := dist(t)
	found, err := filepath.Glob(filepath.Join(from, "masu-*.rpm"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	_, end, err := readHeader(b, 96) // the signature, after the lead
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := readHeader(b, (end+7)/8*8)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.strings[rpmName], []string{"masu"}) {
		t.Errorf("it is called %v", h.strings[rpmName])
	}
	for _, tag := range []int{rpmPostIn, rpmPreUn, rpmPostUn} {
		if s := h.strings[tag]; len(s) != 1 || !strings.Contains(s[0], "systemctl") {
			t.Errorf("script %d: %v", tag, s)
		}
	}
	var files []string
	for i, name := range h.strings[rpmBasenames] {
		path := h.strings[rpmDirnames][h.numbers[rpmDirIndexes][i]] + name
		files = append(files, fmt.Sprintf("%s %o", path, h.numbers[rpmModes][i]&0o777))
		if config := h.numbers[rpmFlags][i]&(rpmConfig|rpmNoReplace) == rpmConfig|rpmNoReplace; config != (path == "/etc/masu/config.yaml") {
			t.Errorf("%s: is a configuration that is kept: %v", path, config)
		}
	}
	debs, err := filepath.Glob(filepath.Join(from, "masu_*.deb"))
	if err != nil || len(debs) == 0 {
		t.Fatalf("%v, %v", debs, err)
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not here")
	}
	out, err := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -t -v --numeric-owner`, "sh", debs[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	var same []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if f[0][0] != '-' {
			continue
		}
		mode := 0
		for i, c := range f[0][1:] {
			if c != '-' {
				mode |= 1 << (8 - i)
			}
		}
		path := strings.TrimPrefix(f[5], ".")
		if !strings.HasPrefix(path, "/usr/share/doc/masu/changelog") {
			same = append(same, fmt.Sprintf("%s %o", path, mode))
		}
	}
	slices.Sort(files)
	slices.Sort(same)
	if !slices.Equal(files, same) || len(files) < 50 {
		t.Errorf("the .rpm:\n%s\nthe .deb:\n%s", strings.Join(files, "\n"), strings.Join(same, "\n"))
	}
}
