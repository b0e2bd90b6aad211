# rl: containers for people without root.
#
#   make demo     build rl and run a container: no network, no registry
#   make test     all tests, as ordinary users (root: see .ci/setup)
#   make          this list

export CGO_ENABLED = 0
export GOFLAGS = -mod=readonly -buildvcs=false

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X rl/cmd/rl/cli.version=$(VERSION)

# Passed to the test runner: make test ARGS='-v -run TestScript/single/run ./cmd/rl'
ARGS ?=
# How long each fuzz target runs.
FUZZTIME ?= 20s

# Pinned; run from the module proxy, so that nothing is installed.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build demo test test-vm test-set-up lint bench cover fuzz clean

help:
	@sed -n 's/^## //p' Makefile

## build        ./rl, one static binary
build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o rl ./cmd/rl

## demo         builds rl and runs its built-in image: no network, no registry
demo: build
	./rl run hello

## test         all tests as ordinary users; ARGS='-v -run NAME ./PACKAGE' for some
test: test-set-up
	$(GO) run ./.ci/runtests $(ARGS)

## test-vm      tests in a machine of their own, with systemd and real limits (root)
test-vm: test-set-up
	RL_TEST_VM=1 $(GO) test -count=1 -timeout 30m -v $(ARGS) ./cmd/rl/harness/vm

## test-set-up  what tests want of the machine (root installs it, others are told)
test-set-up:
	@.ci/setup

## lint         gofmt, go vet for both architectures, staticcheck, shellcheck
lint:
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.git/*')); \
	  [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	GOARCH=amd64 $(GO) vet ./... ./.ci/runtests
	GOARCH=arm64 $(GO) vet ./... ./.ci/runtests
	$(GO) run $(STATICCHECK) ./... ./.ci/runtests
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run .ci/setup cmd/rl/harness/vm/image.sh; \
	  else echo "shellcheck is not installed: shell scripts not checked"; fi

## bench        writes docs/benchmarks.md: rl against the peers that are installed
bench: build
	$(GO) run ./cmd/bench $(ARGS)

## cover        how much of each package the tests reach (no verdicts: see make test)
cover: test-set-up
	$(GO) run ./.ci/runtests -cover $(ARGS)

## fuzz         every fuzz target for FUZZTIME (20s)
fuzz:
	$(GO) run ./.ci/runtests -fuzz $(FUZZTIME) $(ARGS)

## clean        forget what was built
clean:
	rm -rf rl dist
