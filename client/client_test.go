package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/masu-lab/masu"
	"github.com/masu-lab/masu/client"
)

func Example() {
	lab, err := client.Open("http://localhost:1", "masu_secret")
	if err != nil {
		log.Fatal(err)
	}
	defer lab.Close()
	_, err = lab.Workspaces(context.Background(), false)
	fmt.Println(masu.KindOf(err) == masu.Unreachable) // nobody serves a lab there
	// Output: true
}
