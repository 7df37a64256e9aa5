package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// collectAt is the GOGC of the daemon. A lab's heap is some ten megabytes,
	// and pages are far faster than they need to be: collected four times as often
	// as is Go's custom, it leaves less waiting to be collected. From 50 to 25 it
	// was two MiB under load, and pages a second did not differ by more than the noise.
	collectAt = 25

	afterStart = 5 * time.Second // what begins has begun
	letGoEvery = time.Hour
)

// collectOften has memory collected more often, where the admin said nothing else.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}

// letGo lets go of what the daemon read of its program file and need not keep
// mapped, until ctx ends: beginning touches most of it, and the kernel maps
// sixteen pages for each that is touched. What is needed again is found where
// it was, in the kernel's cache.
func letGo(ctx context.Context, log *slog.Logger) error {
	for wait := afterStart; ; wait = letGoEvery {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := letGoNow(); err != nil {
			log.Debug("memory", "error", err) // it is only larger
		}
	}
}

func letGoNow() error {
	if !fixedInPlace() {
		return nil
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for begin, size := range unwritten(string(maps), program) {
		if _, _, no := unix.Syscall(unix.SYS_MADVISE, begin, size, unix.MADV_DONTNEED); no != 0 {
			return no
		}
	}
	return nil
}

// fixedInPlace tells whether the program was built for one place in memory: the
// loader has written nothing into the parts of another before it shut them.
func fixedInPlace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-buildmode", Value: "exe"})
}

// unwritten are the parts of memory that are the program's file and can never
// be anything else (proc_pid_maps(5)): from what might be written to, letting
// go would take away what was written.
func unwritten(maps, program string) map[uintptr]uintptr {
	parts := map[uintptr]uintptr{}
	for line := range strings.Lines(maps) {
		// 00400000-016cb000 r-xp 00000000 fe:00 1311 /usr/bin/masu
		f := strings.Fields(line)
		if len(f) != 6 || f[5] != program || f[1] != "r-xp" && f[1] != "r--p" {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		begin, err := strconv.ParseUint(from, 16, strconv.IntSize)
		if err != nil {
			continue
		}
		end, err := strconv.ParseUint(to, 16, strconv.IntSize)
		if err != nil || end <= begin {
			continue
		}
		parts[uintptr(begin)] = uintptr(end - begin)
	}
	return parts
}
