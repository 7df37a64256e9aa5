package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"
)

// startRegistry starts the distribution's registry, which wants a login, and
// says where it is: REGISTRY, LOGIN (a config.json that lets in) and REGISTRY_PID.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: registry")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	addr := l.Addr().String()
	ts.Check(l.Close())
	dir := ts.MkAbs("registry")
	ts.Check(os.MkdirAll(dir, 0o755))
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	ts.Check(err)
	login := base64.StdEncoding.EncodeToString([]byte("lab:secret"))
	for name, text := range map[string]string{
		"users":       "lab:" + string(hash) + "\n",
		"login.json":  fmt.Sprintf(`{"auths":{"%s":{"auth":"%s"}}}`, addr, login),
		"config.yaml": fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s}\nauth: {htpasswd: {realm: lab, path: %s/users}}\n", dir, addr, dir),
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	cmd := exec.Command("docker-registry", "serve", filepath.Join(dir, "config.yaml"))
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			ts.Fatalf("the registry does not answer: %v", err)
		}
	}
	ts.Setenv("REGISTRY", addr)
	ts.Setenv("LOGIN", filepath.Join(dir, "login.json"))
	ts.Setenv("REGISTRY_PID", fmt.Sprint(cmd.Process.Pid))
}
