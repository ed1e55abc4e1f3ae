# Pierhead. "make help" says what there is; "make demo" and "make test" need Go, make and Debian, and install what else they lack.

SHELL := /bin/sh
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ENGINE ?= old
LDFLAGS := -s -w -X github.com/pierhead/pierhead/internal/cli.Version=$(VERSION)
LINT := go tool -modfile=tools/go.mod golangci-lint
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
FUZZTIME ?= 20s

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo build test e2e race soak fuzz bench lint fmt generate completions cross check FORCE

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

demo: ## play the stories on a private engine; KEEP=1 leaves it up until Ctrl-C
	@test/setup/engine.sh old || echo "demo: going on without Debian's engine" >&2
	@test/setup/packages.sh curl || echo "demo: going on without curl" >&2
	@go run ./test/demo $(if $(KEEP),--keep)

build: bin/pierhead ## build bin/pierhead

bin/pierhead: FORCE
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/pierhead

# Without -count 1 Go would take the end-to-end tests from its cache: it does not see that they build the program anew.
test: ## run every test, end to end against Debian's engine too; STRICT=1 fails when one is skipped
	@test/setup/engine.sh old || echo "test: going on without Debian's engine" >&2
	@test/setup/plugins.sh || echo "test: going on without the docker CLI's plugins" >&2
	@PIERHEAD_E2E_ENGINE=old go run ./test/report $(if $(STRICT),-strict) -- -count 1 -timeout 20m ./...

e2e: ## run the end-to-end tests alone; ENGINE=current builds and uses the newest engine
	@test/setup/engine.sh $(ENGINE)
	@test/setup/plugins.sh
	@PIERHEAD_E2E_ENGINE=$(ENGINE) go run ./test/report $(if $(STRICT),-strict) -- -count 1 -timeout 40m ./test/e2e/...

race: ## run what needs no engine under the race detector
	@command -v gcc >/dev/null || test/setup/packages.sh gcc libc6-dev
	@CGO_ENABLED=1 go test -race $$(go list ./... | grep -v /test/e2e)

soak: ## run what needs no engine twenty times over, in changing order, to find what fails now and then
	@go test -count 20 -shuffle on -failfast -timeout 60m ./internal/...

fuzz: ## fuzz each target for FUZZTIME (20s)
	@go list -f '{{$$dir := .Dir}}{{range .TestGoFiles}}{{$$dir}}/{{.}}{{"\n"}}{{end}}' ./... | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | \
		sed 's|/[^/]*:func | |' | while read -r dir target; do \
		echo "fuzz $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; done

bench: build ## compare with a direct connection, the engine's own TLS and a naive proxy
	@test/setup/engine.sh old || echo "bench: going on without Debian's engine" >&2
	@PATH="$(CURDIR)/bin:$$PATH" go run ./bench $(BENCHARGS)

lint: ## vet and lint
	@$(LINT) run ./...

fmt: ## format
	@$(LINT) fmt ./...

generate: ## write what is generated: docs/operations.md
	@go test ./test/repo -count 1 -run TestReferenceIsFresh -update

completions: build ## write shell completions into bin/completions
	@mkdir -p bin/completions
	@bin/pierhead completion bash >bin/completions/pierhead.bash
	@bin/pierhead completion zsh >bin/completions/_pierhead
	@bin/pierhead completion fish >bin/completions/pierhead.fish

cross: ## build for every system
	@for platform in $(PLATFORMS); do \
		echo "build $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -trimpath -o /dev/null ./cmd/pierhead || exit 1; done

check: ## all that CI runs
	@.ci/run
