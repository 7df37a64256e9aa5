// Command agent is masu reduced to `masu agent`, for the tests of real boxes.
package main

import (
	"context"
	"os"

	"github.com/masu-lab/masu/internal/agent"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "agent" {
		os.Exit(2)
	}
	os.Exit(agent.Main(context.Background(), os.Args[2:]))
}
