package sqlite

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/internal/masutest"
)

const writerVariable = "MASU_SQLITE_TEST_WRITER"

// TestMain makes the test binary also the program that is killed while it writes.
func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func config(path string) Config {
	return Config{Path: path, Reserve: -1, Log: slog.New(slog.DiscardHandler)}
}

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), config(path))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	masutest.Store(t, func(t *testing.T) masu.Store { return openAt(t, filepath.Join(t.TempDir(), "masu.db")) })
}

func TestMigrationsAreNeverEdited(t *testing.T) {
	released := map[string]string{
		"0001_start.sql":        "9b708245259af75afc5168c2b02444859349c185f289f768a94299d3d4764347",
		"0006_keys_of_many.sql": "e62d505fb4d9f4d9ced5623417cbd87a09fa4ea340f8fecd0cd216f13ac20338",
		"0002_tokens.sql":       "a011a7854eb211653c0304671ec320180881ced6d0079b3e6812bf1a0f53a4ea",
		"0008_gpu_samples.sql":  "ba558f2d2f36c13dc15a05069e307d174d8df45c8155ff67de51df5c0017e971",
		"0005_keys.sql":         "59c400a6837ce178fe9eae4b2ceef5a6f33fd4255306b0db49521c3899baad9a",
		"0004_lending.sql":      "f7a03160f51771c5d319ea633e90eb858d870f8d47986f5a86a6d9fecf4e3c62",
		"0003_sharing.sql":      "d0e7cd78b14adca92856bd5ec5092f36d462abdd187ce134a5755636baf87efc",
		"0007_limits.sql":       "cfb2dc3ac20ea8f9f59f10a58ec39405a29ee7cfc40ac7a73fe441755c8487e7",
	}
	all, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		sum := sha256.Sum256([]byte(m.sql))
		if got := hex.EncodeToString(sum[:]); got != released[m.name] {
			t.Errorf("%s has the hash %s; released steps are never edited, a new one is entered here", m.name, got)
		}
		delete(released, m.name)
	}
	for name := range released {
		t.Errorf("%s is gone", name)
	}
}

func TestWhoMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "masu.db")
	s := openAt(t, path)
	appendEvents(t, s, 1)
	if err := filepath.WalkDir(filepath.Dir(path), func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", p, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openAt(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that all may read was left so: %v, %v", info.Mode(), err)
	}
}

func appendEvents(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		err := s.Update(t.Context(), func(tx masu.Tx) error {
			return tx.Append(masu.Event{Verb: "up", Object: strings.Repeat("x", 500), Args: []string{strconv.Itoa(i)}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrates(t *testing.T) {
	path := closed(t)
	first, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	all := first
	for n := len(first) + 1; n <= len(first)+5; n++ {
		all = append(all[:len(all):len(all)], migration{fmt.Sprintf("%04d_more.sql", n), fmt.Sprintf("CREATE TABLE more%d (x TEXT) STRICT;", n)})
		s, err := open(t.Context(), config(path), all)
		if err != nil {
			t.Fatalf("migrating to %d: %v", n, err)
		}
		if _, err := s.write.Exec(fmt.Sprintf("INSERT INTO more%d VALUES ('y')", n)); err != nil {
			t.Errorf("step %d was not done: %v", n, err)
		}
		if err := errors.Join(s.VerifyEvents(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	// The newest copies stay, and each can be opened by the masu that wrote it.
	kept, err := filepath.Glob(path + ".bak-*")
	slices.SortFunc(kept, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }) // 9 before 10
	if err != nil || len(kept) != backups || kept[0] != fmt.Sprintf("%s.bak-%d", path, len(all)-backups) {
		t.Errorf("kept %v, %v", kept, err)
	}
	old, err := open(t.Context(), config(kept[0]), all[:len(all)-backups])
	if err != nil {
		t.Fatalf("open the copy: %v", err)
	}
	if err := errors.Join(old.VerifyEvents(t.Context()), old.Close()); err != nil {
		t.Error(err)
	}

	_, err = Open(t.Context(), config(path))
	e, ok := errors.AsType[*masu.Error](err)
	if !ok || e.Code != "store_newer" || e.Args[1] != strconv.Itoa(len(all)) || e.Args[2] != strconv.Itoa(len(first)) {
		t.Errorf("a newer schema: %v", err)
	}

	broken := append(all[:len(all):len(all)], migration{"9999_broken.sql", "CREATE TABLE half (x TEXT) STRICT; SELECT no_such_function();"})
	if s, err := open(t.Context(), config(path), broken); err == nil {
		_ = s.Close()
		t.Fatal("a broken step was taken")
	}
	s, err := open(t.Context(), config(path), all)
	if err != nil {
		t.Fatalf("after a broken step: %v", err)
	}
	defer s.Close()
	if _, err := s.write.Exec("SELECT * FROM half"); err == nil {
		t.Error("half of the broken step was kept")
	}
}

func TestMigrationNumbers(t *testing.T) {
	one := &fstest.MapFile{Data: []byte("SELECT 1")}
	for _, names := range [][2]string{{"0001_a.sql", "0003_b.sql"}, {"0001_a.sql", "0001_b.sql"}, {"0002_a.sql", "0003_b.sql"}} {
		files := fstest.MapFS{"migrations/" + names[0]: one, "migrations/" + names[1]: one}
		if _, err := migrations(files); err == nil {
			t.Errorf("%v were taken", names)
		}
	}
}

func TestEventsShowTampering(t *testing.T) {
	for name, c := range map[string]struct {
		harm string
		line string
	}{
		"deleted":    {"DELETE FROM event WHERE seq = 20", "20"},
		"changed":    {"UPDATE event SET doc = replace(doc, '\"verb\":\"up\"', '\"verb\":\"rm\"') WHERE seq = 7", "7"},
		"cut off":    {"DELETE FROM event WHERE seq > 48", "49"},
		"all gone":   {"DELETE FROM event", "1"},
		"renumbered": {"UPDATE event SET seq = 1000 WHERE seq = 30", "30"},
		"added":      {"INSERT INTO event (seq, hash, doc) SELECT 51, hash, doc FROM event WHERE seq = 50", "51"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, filepath.Join(t.TempDir(), "masu.db"))
			appendEvents(t, s, 50)
			if err := s.VerifyEvents(t.Context()); err != nil {
				t.Fatalf("untouched: %v", err)
			}
			if _, err := s.write.Exec(c.harm); err == nil && name != "added" {
				t.Error("the triggers let it pass")
			}
			if _, err := s.write.Exec("DROP TRIGGER event_stays; DROP TRIGGER event_is_final; " + c.harm); err != nil && name != "added" {
				t.Fatal(err)
			}
			err := s.VerifyEvents(t.Context())
			e, ok := errors.AsType[*masu.Error](err)
			if !ok || e.Code != "events_broken" || e.Args[0] != c.line {
				t.Errorf("got %v, want events_broken %s", err, c.line)
			}
			if name == "cut off" { // and it still shows after more was written
				appendEvents(t, s, 1)
				if err := s.VerifyEvents(t.Context()); masu.CodeOf(err) != "events_broken" {
					t.Errorf("after one more line: %v", err)
				}
			}
		})
	}
}

// writeForEver commits an event at a time and says so when it is committed.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, config(path))
	if err != nil {
		return err
	}
	for {
		var last int64
		err := s.Update(ctx, func(tx masu.Tx) error {
			w, err := tx.Workspace("w")
			if err != nil && masu.KindOf(err) != masu.NotFound {
				return err
			}
			w.ID, w.Name, w.Label = "w", "w", "w"
			w.Project.Limits.PIDs++
			last = int64(w.Project.Limits.PIDs)
			return errors.Join(tx.PutWorkspace(w), tx.Append(masu.Event{Verb: "count"}))
		})
		if err != nil {
			return err
		}
		fmt.Println(last)
	}
}

func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "masu.db")
	for round := range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writerVariable+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := 0
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if told, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if n == 5+round { // what it said in the meantime is read too
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		if told == 0 {
			t.Fatal("nothing was written")
		}

		s := openAt(t, path) // quick_check included
		if err := s.VerifyEvents(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		err = s.View(t.Context(), func(tx masu.Tx) error {
			w, err := tx.Workspace("w")
			events, err2 := tx.Events(0, 1_000_000)
			if have := w.Project.Limits.PIDs; have < told || have > told+1 || have != len(events) {
				t.Errorf("round %d: %d were committed, %d and %d events are there", round, told, have, len(events))
			}
			return errors.Join(err, err2)
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s, err := Open(b.Context(), config(filepath.Join(b.TempDir(), "masu.db")))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if err := s.Update(b.Context(), func(tx masu.Tx) error { return tx.Append(masu.Event{At: time.Unix(0, 0), Verb: "up"}) }); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPragmas: every connection has them, not only the first.
func TestPragmas(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "masu.db"))
	for _, db := range []*sql.DB{s.write, s.read} {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, %v, want %s", pragma, got, err, want)
			}
		}
	}
	if _, err := s.read.Exec("DELETE FROM meta"); err == nil {
		t.Error("a connection for reading writes")
	}
}
