package main

import (
	"maps"
	"testing"
)

// TestUnwritten: only what is the program's file, and stays it, is let go.
func TestUnwritten(t *testing.T) {
	const text = `00400000-016cb000 r-xp 00000000 fe:00 1311 /usr/bin/masu
016cb000-029e2000 r--p 012cb000 fe:00 1311                               /usr/bin/masu
029e2000-02ab1000 rw-p 025e2000 fe:00 1311                               /usr/bin/masu
02ab1000-04b05000 rw-p 00000000 00:00 0
05000000-05001000 r--p 00000000 00:00 0
06000000-06001000 r--s 00000000 fe:00 1311                               /usr/bin/masu
07000000-07001000 r--p 00000000 fe:00 1312                               /usr/lib/libc.so
08001000-08000000 r--p 00000000 fe:00 1311                               /usr/bin/masu
zz-08000000 r--p 00000000 fe:00 1311                                     /usr/bin/masu
7ffd1000-7ffd2000 r-xp 00000000 00:00 0                                  [vdso]
`
	want := map[uintptr]uintptr{0x400000: 0x12cb000, 0x16cb000: 0x1317000}
	if got := unwritten(text, "/usr/bin/masu"); !maps.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestLetGo: the program goes on.
func TestLetGo(t *testing.T) {
	for range 3 {
		if err := letGoNow(); err != nil {
			t.Fatal(err)
		}
		TestUnwritten(t)
	}
}
