package main

import "testing"

func TestShellLine(t *testing.T) {
	got := shellLine([]string{"sh", "-c", "echo 'a b' > $X", "", "apt-get", "-o=a"})
	if want := `sh -c 'echo '\''a b'\'' > $X' '' apt-get -o=a`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
