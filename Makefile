# The only list of commands: people, CI and the documentation use these. Bare `make` explains them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test test-unit test-api e2e e2e-charts lint fmt verify fuzz bench build release images generate cluster-up cluster-down clean

help: ## Explain the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch an Advanced StatefulSet roll out in place (own control plane, NODE=real for a real node, or KUBECONFIG)
	@hack/demo up

demo-down: ## End the demo
	@hack/demo down

test: ## Everything that CI runs: lint, verify, unit tests, tests on a real API server
	@hack/test

test-unit: ## Fast tests: no cluster
	cargo test --workspace --all-features

test-api: ## Tests on a real API server (embedded, or the cluster of KUBECONFIG)
	@hack/test api

e2e: ## Scenarios with real containers on three real nodes (root; see e2e/README.md)
	@hack/e2e/run

e2e-charts: ## Helm, images and Prometheus on real nodes: install, kill, upgrade, roll back (root)
	@hack/charts/real

lint: ## rustfmt, clippy and rustdoc, warnings denied
	@hack/test lint

fmt: ## Format
	cargo fmt --all

verify: ## Rules of the house that a machine can check
	@hack/verify/all

fuzz: ## Coverage-guided fuzzing of what users send (SECONDS_EACH=60); takes a compiler for C++
	@hack/fuzz/run $(or $(SECONDS_EACH),60)

bench: ## Measure against the native StatefulSet and the raw API server (BENCH=P1,P4 SIZE=300 RUNS=3)
	@hack/bench/run

build: ## Build all binaries for development
	cargo build --workspace --all-features

release: ## Build the controllers, kruise-crds and kruise-doctor for production
	cargo build --release -p kruise-statefulset -p kruise-broadcastjob -p kruise-sidecarset -p kruise-api -p kruise-common --features kruise-api/cli,kruise-common/runtime

images: ## Make an image for each controller, without Docker (REGISTRY=registry.example.com/kruise)
	@hack/image/build

generate: ## Write generated files anew: CRDs, charts, the table of Go's encoding rules
	hack/generate/podschema/run
	ACCEPT=1 cargo test -q -p kruise-api crds_are
	hack/generate/charts/run
	ACCEPT=1 hack/charts/test golden

cluster-up: ## Start an embedded control plane and print how to use it (NAME=dev)
	@hack/cluster/up $(or $(NAME),dev) >/dev/null && hack/cluster/env $(or $(NAME),dev)

cluster-down: ## End it (NAME=dev)
	@hack/cluster/down $(or $(NAME),dev)

clean: ## Remove what was built here
	cargo clean
