package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/pkg/sftp"
)

// TestAnswerFiles: what goes there and back in many blocks at once is the same
// afterwards, and a path without a beginning is one of the home.
func TestAnswerFiles(t *testing.T) {
	home := t.TempDir()
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		b := newBatch(out)
		ended <- errors.Join(answerFiles(in, b, home), b.Close())
	}()
	c, err := sftp.NewClientPipe(answers, requests, sftp.UseConcurrentWrites(true), sftp.UseConcurrentReads(true))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3<<20+17)
	for i := range want {
		want[i] = byte(i ^ i>>9 ^ i>>17)
	}
	f, err := c.Create("there")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(home, "there")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("there are %d bytes of %d, %v", len(got), len(want), err)
	}
	var back bytes.Buffer
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteTo(&back); err != nil || !bytes.Equal(back.Bytes(), want) {
		t.Errorf("back come %d bytes of %d, %v", back.Len(), len(want), err)
	}
	if _, err := c.Stat("none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	_ = c.Close()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// gate is a writer each write of which waits for leave.
type gate struct {
	came chan string
	let  chan error
}

func (g gate) Write(p []byte) (int, error) {
	g.came <- string(p)
	if err := <-g.let; err != nil {
		return 0, err
	}
	return len(p), nil
}

func (g gate) Close() error { return nil }

func TestBatch(t *testing.T) {
	write := func(t *testing.T, b *batch, text string) {
		t.Helper()
		if n, err := b.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("writing %q: %d, %v", text, n, err)
		}
	}
	t.Run("what comes meanwhile leaves together, and all before the end", func(t *testing.T) {
		g := gate{make(chan string), make(chan error)}
		b := newBatch(g)
		write(t, b, "a")
		first := <-g.came
		write(t, b, "b")
		write(t, b, "c")
		ended := make(chan error, 1)
		go func() { ended <- b.Close() }()
		g.let <- nil
		second := <-g.came
		g.let <- nil
		if err := <-ended; first != "a" || second != "bc" || err != nil {
			t.Errorf("%q, then %q, then %v", first, second, err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		if _, err := b.Write([]byte("d")); err == nil {
			t.Error("it takes something after its end")
		}
	})
	t.Run("an error is told to who writes next, and at the end", func(t *testing.T) {
		g := gate{make(chan string), make(chan error)}
		b := newBatch(g)
		write(t, b, "a")
		<-g.came
		gone := errors.New("gone")
		g.let <- gone
		<-b.done
		if _, err := b.Write([]byte("b")); !errors.Is(err, gone) {
			t.Errorf("the next: %v", err)
		}
		if err := b.Close(); !errors.Is(err, gone) {
			t.Errorf("the end: %v", err)
		}
	})
	t.Run("who writes too much waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := gate{make(chan string), make(chan error)}
			b := newBatch(g)
			write(t, b, "a")
			<-g.came
			write(t, b, string(make([]byte, batchMost)))
			wrote := make(chan bool)
			go func() { write(t, b, "b"); close(wrote) }()
			synctest.Wait()
			select {
			case <-wrote:
				t.Error("it holds more than it may")
			default:
			}
			g.let <- nil
			<-g.came
			<-wrote
			g.let <- nil
			<-g.came
			g.let <- nil
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}
