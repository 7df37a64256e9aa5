// Command simulate lets a lab live for a year of virtual time under several
// ways to share its GPUs, among them masu's own sched.Decide, and writes what
// came of it into docs/*/scheduling.md and docs/img/sched. The same seed gives
// the same year, so the pages can be held to the program by a test.
//
// With another seed it prints the tables of another year, and writes nothing.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usualSeed = 2026

func main() {
	seed := flag.Uint64("seed", usualSeed, "of the year; another one than the pages' is only printed")
	root := flag.String("root", ".", "where docs is, and test/simulate")
	flag.Parse()
	if err := run(*root, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(root string, seed uint64) error {
	all := compare(seed)
	if seed != usualSeed {
		for _, o := range all {
			fmt.Println(table("en", o))
		}
		return nil
	}
	if err := keep(root, all); err != nil {
		return err
	}
	files, err := pages(root, all)
	if err != nil {
		return err
	}
	for path, b := range files {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
