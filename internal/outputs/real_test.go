package outputs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runsCells runs the cells in a kernel that its caller has begun, and dies with it.
const runsCells = `
import sys
from jupyter_client import KernelManager
m = KernelManager(connection_file=sys.argv[1])
m.start_kernel()
c = m.client(); c.start_channels(); c.wait_for_ready(timeout=60)
for code in sys.argv[2:]: c.execute_interactive(code, timeout=60)
c.stop_channels()
sys.stdin.read()
m.shutdown_kernel(now=True)
`

// TestRealKernel: what an IPython kernel says, over ZMQ's own publisher.
func TestRealKernel(t *testing.T) {
	python := ""
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import ipykernel, jupyter_client").Run() == nil {
			python = p
			break
		}
	}
	if python == "" {
		t.Skip("needs ipykernel; test/e2e has one in a box")
	}
	b := newBox(t)
	show := "from IPython.display import display, HTML\nh = display(HTML('old'), display_id=True)\nh.update(HTML('new'))\n6*7"
	loop := "import sys\nfor i in range(20000): print('line', i)\nprint('err', file=sys.stderr)"
	b.save(cell(t, loop, "", 0), cell(t, show, "", 0), cell(t, "1/0", "", 0))
	b.settle("a.ipynb")
	cmd := exec.CommandContext(t.Context(), python, append([]string{"-c", runsCells, filepath.Join(b.runtime, "kernel-k1.json")}, loop, show, "1/0")...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	want := &strings.Builder{}
	for i := range 20000 {
		fmt.Fprintln(want, "line", i)
	}
	b.until("all three cells are there", func(s []string) bool {
		return s[0] == want.String()+"err\n" && strings.HasSuffix(s[1], "42") && strings.Contains(s[2], "ZeroDivisionError")
	})
	text, err := os.ReadFile(filepath.Join(b.work, "a.ipynb"))
	if err != nil || !strings.Contains(string(text), `"new"`) || strings.Contains(string(text), `"old"`) {
		t.Errorf("the display that was changed is not as it was last (%v)", err)
	}
}
