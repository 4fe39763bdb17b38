# Two commands for a new machine: `make demo` and `make test`.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE    ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
# Packages with tests that want a real cluster, or minutes.
E2E     := $(shell grep -rl --include='*_test.go' '^//go:build e2e' internal stages cmd test/e2e test/image test/local test/publish test/systems 2>/dev/null | xargs -r -n1 dirname | sort -u | sed 's,^,./,')

.PHONY: build test unit e2e demo demo-cluster bench lint tidy version image image-ci completions snapshot clean

# The binary, static and stripped, in bin/.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/headgate ./cmd/headgate

# All tests: those that need nothing, then those on a real Kubernetes.
test: unit e2e

unit:
	$(GO) vet ./... ./flags/... ./test/cluster/... ./test/bench/...
	$(GO) test -race -timeout 30m ./... ./flags/... ./test/cluster/... ./test/bench/...
	HEADGATE_FAULTS=all $(GO) test -run TestFaultSchedules ./pipeline # all pairs of faults; the race detector gets a sample

# On the cluster that KUBECONFIG names, else on one of one node that is
# started for it.
e2e: build
	@if [ -z "$(E2E)" ]; then echo 'e2e: there are no such tests yet'; else \
	  HEADGATE_TEST_PARTS=argorollouts ./test/with-cluster $(GO) test -tags e2e -count=1 -p 1 -timeout 40m $(E2E) ./flags; fi

# A good release, a bad one and a bad feature, on this machine alone.
demo: build
	bin/headgate demo

# The example pipeline on a cluster of one node: a good release is promoted,
# a bad one is put back.
demo-cluster: build
	./test/with-cluster ./examples/ecommerce/demo

# Rollouts, checks and starts, measured; BENCH="-rounds 3" for a quick look.
bench: build
	HEADGATE_TEST_PARTS=argorollouts ./test/with-cluster $(GO) run ./test/bench -root . -headgate bin/headgate $(BENCH)

lint:
	golangci-lint run ./... ./flags/...

# The container images, small and for CI; IMAGE_FLAGS="--build-arg BASE=..."
# builds them on others.
IMAGE    ?= headgate:$(VERSION)
BUILDER  ?= $(shell command -v docker || command -v podman || command -v buildah)
LABEL    := --label org.opencontainers.image.
IMAGE_ALL = --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) \
            $(LABEL)version=$(VERSION) $(LABEL)revision=$(COMMIT) $(LABEL)created=$(DATE) $(IMAGE_FLAGS)
image:
	$(BUILDER) build --target headgate $(IMAGE_ALL) -t $(IMAGE) .

image-ci:
	$(BUILDER) build --target ci $(IMAGE_ALL) -t $(IMAGE)-ci .

# Completion scripts of the shells, for the packages of a release.
completions: build
	mkdir -p bin/completions
	for shell in bash zsh fish; do bin/headgate completion $$shell >bin/completions/headgate.$$shell || exit; done

# What a release is made of, as far as it needs no keys, no engine and no
# network; in dist/.
snapshot:
	goreleaser release --snapshot --clean --skip=sign,sbom,docker

# go mod tidy reads no go.work, and what go.mod requires of flags may not be
# published yet.
FLAGS := github.com/headgate-dev/headgate/flags
tidy:
	cd flags && GOWORK=off $(GO) mod tidy
	$(GO) mod edit -replace $(FLAGS)=./flags
	GOWORK=off $(GO) mod tidy; status=$$?; $(GO) mod edit -dropreplace $(FLAGS); exit $$status

# The version that both modules are tagged with next: make version V=v0.2.0
version:
	$(GO) work edit -dropreplace $(FLAGS)@$$($(GO) mod edit -print | sed -n 's,^.*$(FLAGS) ,,p')
	$(GO) work edit -replace $(FLAGS)@$(V)=./flags
	$(GO) mod edit -require $(FLAGS)@$(V)

clean:
	rm -rf bin dist
