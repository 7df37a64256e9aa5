package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestComposeDay: a folder of the guide's shape, with a data server beside, comes up as it is.
func TestComposeDay(t *testing.T) {
	l := newLab(t)
	u := l.member("e2ecarol")
	// The guide's Dockerfile brings Jupyter along; the environment that the other stories have built stands for it.
	l.must("e2ecarol", "up", "--no-check", l.folder(u, "moto", map[string]string{"masu.yaml": "preset: python\n"}))
	docker(t, "tag", l.image("e2ecarol", "moto"), "masu-test/guide")
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "masu-test/guide").Run() })
	l.must("e2ecarol", "rm", "--yes", "moto")
	dir := l.folder(u, "gakka", map[string]string{
		"Dockerfile": "FROM masu-test/guide\nARG USER_NAME\nRUN echo \"$USER_NAME\" > /etc/made-for\n",
		".env":       "IMAGE_NAME=gakka\nIMAGE_TAG=latest\nWORK_DIR=./work\nJUPYTER_PORTS=8888-8898\nTENSORBOARD_PORTS=6006-6016\nSHM_SIZE=64m\n",
		"compose.yml": `services:
  lab:
    image: ${IMAGE_NAME}:${IMAGE_TAG}
    build:
      context: .
      args: {USER_NAME: "${USER_NAME:-user}"}
    init: true
    tty: true
    shm_size: ${SHM_SIZE}
    ports:
      - ${JUPYTER_PORTS}:8888-8898
    volumes:
      - ${WORK_DIR}:/home/${USER_NAME:-user}/work
    depends_on: [data]
  data:
    image: masu-test/redis
    ports: ["6379:6379"]
    healthcheck: {test: [CMD, redis-cli, ping]}
    restart: unless-stopped
`,
		"work/test.ipynb": "{}", "scripts/set_passwd.sh": ""})
	r := l.as("e2ecarol", "up", "--no-check", "-f", filepath.Join(dir, "compose.yml"))
	if r.err != nil {
		t.Fatalf("up -f: %v\n%s", r.err, r.errOut)
	}
	if got := l.asks("e2ecarol", "gakka", "data", "SET a b"); got != "+OK\n+PONG" {
		t.Errorf("the data server says %q", got)
	}
	if out := l.must("e2ecarol", "exec", "gakka", "--", "sh", "-c", "cat /etc/made-for; ls ~/work"); out != "e2ecarol\ntest.ipynb\n" {
		t.Errorf("the workspace has %q", out)
	}
	l.must("e2ecarol", "stop", "gakka")
	if err := os.WriteFile(filepath.Join(dir, "compose.yml"), []byte("services: {lab: {image: debian, privileged: true}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := l.as("e2ecarol", "up", "gakka"); r.code == 0 || !strings.Contains(r.errOut, "compose.yml:1:33") {
		t.Errorf("a privileged service: %d %q", r.code, r.errOut)
	}
}
