# Targets that build, run and test need Go alone. `race` needs a C compiler too, and
# `lint`, `generate`, `checkgenerate` and `breaking` build their tools on first use,
# which takes minutes on a small machine and no installation. Those that concern the
# stubs of other languages need Python 3 with venv, `stubs` a JDK and Maven too; what they
# install goes into .cache/python and Maven's own cache.

GO      ?= go
PYTHON  ?= python3
MAVEN   ?= mvn
TOOL    := $(GO) tool -modfile=internal/tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s

# One static binary. Its version is VERSION, never the stamp of the version control
# system, which fails the build where git distrusts the owner of a checkout.
export CGO_ENABLED ?= 0
export GOFLAGS += -buildvcs=false

.DEFAULT_GOAL := help
.PHONY: help build run dev test race mutants e2e bench fuzz stubs lint generate generatepython checkgenerate breaking baseline

help: ## List what there is to make
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Build bin/almadia, one static binary
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/almadia ./cmd/almadia

run: build ## Build, and serve on 127.0.0.1:4610 with its data in .cache/dev
	bin/almadia dev

dev: build ## The same with all data in memory, gone at the end
	bin/almadia dev --ephemeral

# Not from the test cache: e2e and archtest look at more than the packages they import.
test: ## Run all tests, then the mutants
	$(GO) test -count=1 ./...
	$(GO) run ./internal/mutant/hunt

race: ## Run all tests with the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -count=1 ./...

mutants: ## Break the code in known ways, and demand that a test notices
	$(GO) run ./internal/mutant/hunt

e2e: ## Run the long form of the tests of whole processes: all real input, 100 kills
	$(GO) test -count=1 -timeout 60m -v ./internal/e2e -args -full -kills 100

bench: ## Measure produce and fetch beside the bare gRPC stream and the disk
	$(GO) run ./internal/bench

fuzz: ## Fuzz every fuzz target for FUZZTIME (30s) each
	@set -e; packages=$$($(GO) list ./...); \
	for package in $$packages; do \
		listed=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$listed; do case $$target in Fuzz*) \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package;; \
		esac; done; \
	done

stubs: build .cache/python/installed ## Try the stubs of Go, Java and Python against a live broker
	$(GO) build -o .cache/rawstub/go ./sdk/go/rawstub
	$(MAVEN) --quiet --batch-mode --file sdk/java package
	$(GO) run ./internal/stubs

lint: ## Check format, vet, staticcheck, unchecked errors, and the protos' style
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck -ignoretests -ignoregenerated -exclude internal/tools/errcheck.txt ./...
	$(TOOL) buf lint
	$(TOOL) buf format --diff --exit-code

generate: ## Generate gen/go from proto/
	$(TOOL) buf generate

generatepython: .cache/python/installed ## Generate gen/python from proto/
	internal/tools/generatepython gen/python

checkgenerate: .cache/python/installed ## Check that gen/ is what proto/ generates
	@fresh=$$(mktemp -d) && trap 'rm -r "$$fresh"' EXIT && \
	$(TOOL) buf generate --output "$$fresh" && \
	internal/tools/generatepython "$$fresh/gen/python" && \
	diff -r -x __pycache__ gen "$$fresh/gen" || { echo "gen/ is stale: make generate generatepython"; exit 1; }

# Made anew whenever what is to be installed changes.
.cache/python/installed: internal/tools/requirements.txt sdk/python/requirements.txt
	rm -rf .cache/python
	$(PYTHON) -m venv .cache/python
	.cache/python/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	touch $@

breaking: ## Check that the contract keeps the promises of proto/baseline.binpb
	internal/tools/breaking

baseline: ## Take the contract as it is for the one to keep from now on: part of a release
	$(TOOL) buf build --exclude-source-info --output proto/baseline.binpb
