# make up    from a bare Debian or Ubuntu machine with Go, git and make to a running notebook
# make test  everything, on the real engine and in a real browser; installs what it needs
# Both may run as root or, where sudo is there, as a member who may use it.

SHELL  := /bin/bash
BIN    := bin/masu
GOFLAGS_STATIC := -trimpath -buildvcs=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ARCHS   ?= amd64 arm64
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
DIST    ?= dist
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo none)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: up build test test-kube check unit bench bench-kube simulate setup packages dist pam screens clean

up: build
	@cd / && $(SUDO) $(CURDIR)/$(BIN) up --yes

build:
	@CGO_ENABLED=0 go build $(GOFLAGS_STATIC) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/masu

# The helper that asks PAM (C): bin/masu-pam. Needs gcc and libpam0g-dev.
pam:
	cd pam && go build -trimpath -buildvcs=false -o ../bin/masu-pam .

# What the tests need beside Go: an engine that answers, a base image, a browser.
setup: build
	@$(SUDO) ./test/setup.sh

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	@for os in windows darwin; do echo "go vet for $$os"; GOOS=$$os go vet $$(GOOS=$$os go list -deps ./cmd/masu ./client | grep '^github.com/masu-lab/masu') || exit 1; done # what a laptop's masu is made of
	cd test/e2e && go vet ./...
	cd packaging && go vet ./...
	cd pam && go vet ./...

# -count=1: what the engine does is no cached result.
test: setup check
	MASU_TEST_ENGINE=default MASU_BIN=$(CURDIR)/$(BIN) go test -race -count=1 -p 2 -timeout 40m ./...
	@$(MAKE) --no-print-directory packages ARCHS=$$(go env GOARCH)
	cd packaging && MASU_TEST_ENGINE=default go test -count=1 ./...
	cd pam && MASU_TEST_ENGINE=default go test -count=1 ./...
	@$(MAKE) --no-print-directory pam
	cd test/e2e && MASU_BIN=$(CURDIR)/$(BIN) MASU_PAM=$(CURDIR)/bin/masu-pam go test -count=1 -timeout 50m ./...
	$(SUDO) ./test/systemd.sh
	$(SUDO) ./test/bare.sh

# The driver for Kubernetes, and lab days on it, TestWholeDay and TestLabDay as on one server: a real control plane, Kueue, and two real
# nodes with made-up GPUs. The first time it builds them, which takes minutes; what was built is kept. With KUBE_PART=1 it is what CI is to have time for.
KUBE := $(HOME)/.cache/masu-kube
KUBE_DRIVER := $(if $(KUBE_PART),-skip '^(TestNodeLost|TestAPIServerRestarts|TestKueue)$$')
test-kube: setup
	@command -v containerd >/dev/null && [ -e /usr/lib/cni/bridge ] && command -v openssl >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends containerd containernetworking-plugins openssl; }
	./test/kube/build.sh $(KUBE)/bin $(if $(KUBE_PART),,kueue)
	@e=0; e2e() { (cd test/e2e && MASU_KUBE=$(KUBE)/state MASU_KUBE_BIN=$(KUBE)/bin go test -count=1 -v -timeout 30m -run "$$1" .); }; \
	$(SUDO) ./test/kube/up.sh $(KUBE)/bin $(KUBE)/state 2 2 && $(SUDO) ./test/kube/lab.sh $(KUBE)/bin $(KUBE)/state && \
	$(if $(KUBE_PART),,$(SUDO) ./test/kube/kueue.sh $(KUBE)/bin $(KUBE)/state &&) \
	export MASU_TEST_KUBE=$(KUBE)/state MASU_BIN=$(CURDIR)/$(BIN) && go test -count=1 -v -timeout 30m $(KUBE_DRIVER) ./internal/kube && \
	$(if $(KUBE_PART),true,go test -count=1 -v -run '^TestMigrate$$' ./cmd/masu && e2e '^TestClusterDay$$' && e2e '^(TestWholeDay|TestLabDay)$$') || e=1; \
	$(SUDO) ./test/kube/down.sh $(KUBE)/bin $(KUBE)/state --purge; exit $$e

# Without engine, browser or root: what can be tested anywhere, in a minute.
unit:
	go test ./...

# What every page looks like, for docs/*/pages.md.
screens:
	mkdir -p docs/img/pages
	MASU_SHOTS=$(CURDIR)/docs/img/pages MASU_SHOTS_WEBP=1 go test -count=1 -run 'TestPagesInABrowser|TestBarInABrowser|TestUsageInABrowser|TestWallInABrowser' ./internal/web
	cd docs/img/pages && rm -f *-360-dark.webp *.pdf link-used-* next-* new-folder-* bar-menu* bar-*-1280-dark*

bench: setup
	@command -v wrk >/dev/null && command -v nginx >/dev/null && command -v jupyterhub >/dev/null || $(SUDO) apt-get install -y -qq --no-install-recommends wrk nginx-light jupyterhub
	cd test/bench && npm ci --silent
	CGO_ENABLED=0 go build -o bin/bench ./test/bench
	cd test/bench && $(SUDO) env MASU_BIN=$(CURDIR)/$(BIN) ../../bin/bench

# What the driver costs at 1,000 and 10,000 pods, on a control plane without kubelets. Its controllers would take such nodes for lost: they end.
bench-kube:
	./test/kube/build.sh $(KUBE)/bin
	$(SUDO) ./test/kube/up.sh $(KUBE)/bin $(KUBE)/state 0
	$(KUBE)/bin/kubeall kubectl --kubeconfig $(KUBE)/state/admin.kubeconfig create namespace masu-scale
	until $(KUBE)/bin/kubeall kubectl --kubeconfig $(KUBE)/state/admin.kubeconfig -n masu-scale get serviceaccount default; do sleep 1; done
	$(SUDO) kill $$(cat $(KUBE)/state/pid/kcm) $$(cat $(KUBE)/state/pid/sched)
	MASU_TEST_KUBE=$(KUBE)/state go test -run '^$$' -bench Scale -benchtime 5x -timeout 30m ./internal/kube; e=$$?; $(SUDO) ./test/kube/down.sh $(KUBE)/bin $(KUBE)/state --purge; exit $$e

# A lab's year under several ways to share GPUs, for docs/*/scheduling.md and its figures.
simulate:
	go run ./test/simulate

# dist/masu_*.deb and .rpm for amd64 and arm64; two builds of one commit are equal.
packages: build
	@rm -rf dist && mkdir -p dist/completion
	@$(BIN) man dist/man
	@for s in bash zsh fish; do $(BIN) completion $$s > dist/completion/masu.$$s; done
	@sed 's|@BIN@|/usr/bin/masu|' cmd/masu/install/masu.service > dist/masu.service
	@for a in $(ARCHS); do \
		CGO_ENABLED=0 GOARCH=$$a go build $(GOFLAGS_STATIC) -ldflags '$(LDFLAGS)' -o dist/masu-linux-$$a ./cmd/masu && \
		(cd packaging && go run . -version '$(VERSION)' -arch $$a -dist ../dist -at $$(git log -1 --format=%ct)) || exit 1; \
	done

# The program by itself, for servers and for laptops: dist/masu-OS-ARCH and SHA256SUMS; two builds of one commit are equal.
dist:
	@mkdir -p $(DIST) && rm -f $(DIST)/masu-*-*
	@for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; [ $$os = windows ] && ext=.exe || ext=; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build $(GOFLAGS_STATIC) -ldflags '$(LDFLAGS)' -o $(DIST)/masu-$$os-$$arch$$ext ./cmd/masu || exit 1; \
	done
	@cd $(DIST) && sha256sum masu-*-* > SHA256SUMS && cat SHA256SUMS

clean:
	rm -rf bin dist
