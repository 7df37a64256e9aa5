package main

import (
	"context"

	"github.com/masu-lab/masu/internal/agent"
)

// agentMain is the first process in a box.
func agentMain(args []string) int { return agent.Main(context.Background(), args) }
