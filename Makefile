# Every target with a line of help; `make` alone shows them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := target/release
CARGO ?= cargo
# For `make up` and `make demo`, e.g. make demo ARGS='--rate 20000'.
ARGS ?=
SEEDS ?=
SEED ?=

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-16s %s\n", $$1, $$2}'

# --- See it work -------------------------------------------------------------------------------

.PHONY: demo
demo: build ## The whole thing for a minute, with injected anomalies and an account at the end
	$(BIN)/barograph demo $(ARGS)

.PHONY: up
up: build ## Kafka, ClickHouse and the services on this machine, with 300 simulated lines/s, until Ctrl-C
	$(BIN)/barograph up --generate 300 $(ARGS)

.PHONY: tail
tail: build ## Anomalies of the running stack in the terminal, as they come
	$(BIN)/barograph tail $(ARGS)

.PHONY: doctor
doctor: build ## What is missing or wrong, and what to do about it
	$(BIN)/barograph doctor $(ARGS)

# --- Build and check ---------------------------------------------------------------------------

.PHONY: deps
deps: ## Install what a bare Debian or Ubuntu lacks to build and test; `make demo` and `make test` do so themselves
	scripts/install-deps.sh test

.PHONY: deps-build
deps-build:
	@QUIET=1 scripts/install-deps.sh build

.PHONY: deps-test
deps-test:
	@QUIET=1 scripts/install-deps.sh test

.PHONY: dashboard
dashboard: dashboard/dist/index.html ## Build the dashboard, which is embedded in the gateway

dashboard/node_modules/.package-lock.json: dashboard/package-lock.json
	cd dashboard && npm ci --no-audit --no-fund

dashboard/dist/index.html: dashboard/node_modules/.package-lock.json $(shell find dashboard/src dashboard/public dashboard/index.html dashboard/vite.config.ts -type f 2>/dev/null)
	cd dashboard && npm run build

.PHONY: build
build: deps-build dashboard ## Build everything
	$(CARGO) build --release --workspace --bins

.PHONY: test
test: deps-test build ## Everything: unit, property, integration on real Kafka and ClickHouse, browser journeys
	scripts/test.sh

.PHONY: check
check: deps-build dashboard/node_modules/.package-lock.json ## Format, clippy with warnings denied, the dashboard's checks
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	cd dashboard && npm run check

.PHONY: contract
contract: ## Write the dashboard's types from those of the crate `contracts`
	WRITE_CONTRACT=1 $(CARGO) test --release -p contracts --lib typescript

.PHONY: fmt
fmt: ## Format everything
	$(CARGO) fmt --all
	cd dashboard && npm run format

.PHONY: chaos
chaos: build ## Faults of every kind on real parts under load, with an account (about twelve minutes)
	CHAOS=full $(CARGO) test --release --workspace --test chaos -- --nocapture --test-threads=1

.PHONY: simulate
simulate: ## The pipeline and its clocks in seeded simulations, e.g. make simulate SEEDS=100000 or SEED=7
	SIMULATION_SEEDS=$(SEEDS) SIMULATION_SEED=$(SEED) $(CARGO) test --release --workspace --test simulation --test clocks -- --nocapture

.PHONY: bench
bench: build ## Everything that is measured, beside its peer, and the targets (about ten minutes)
	$(BIN)/barograph-bench all $(ARGS)

.PHONY: eval
eval: build ## How well storms are found on days of a simulated fleet, beside their labels (about two minutes)
	$(BIN)/barograph-eval scenarios $(ARGS)

.PHONY: bench-micro
bench-micro: ## Criterion benchmarks of the hot path
	$(CARGO) bench -p anomaly-processor -p detection -p clickhouse-store --benches $(ARGS)

# --- Single services, against the Kafka and ClickHouse of the environment ------------------------

.PHONY: run-generator
run-generator: build ## The generator, e.g. make run-generator ARGS='--rate 500 --inject-every 1m'
	$(BIN)/log-generator $(ARGS)

.PHONY: run-processor
run-processor: build ## The processor
	$(BIN)/anomaly-processor

.PHONY: run-gateway
run-gateway: build ## The gateway
	$(BIN)/ws-gateway

.PHONY: migrate
migrate: build ## Bring the database to the schema of this version
	$(BIN)/barograph migrate

.PHONY: migrate-status
migrate-status: build ## Which migrations have been applied
	$(BIN)/barograph migrate --status

# --- Docker --------------------------------------------------------------------------------------

COMPOSE := $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: docker-up
docker-up: .env ## The whole stack in Docker, in the background
	$(COMPOSE) up -d --build

.PHONY: docker-down
docker-down: ## Take it down; the data stays in its volumes
	$(COMPOSE) --profile tools --profile monitoring down

.PHONY: logs
logs: ## Follow the logs of the stack in Docker
	$(COMPOSE) logs -f --tail=100

.PHONY: compose-test
compose-test: ## Bring the Docker stack up, check it from outside, take it down (long)
	scripts/compose-test.sh

.env:
	cp .env.example .env

# --- Clean ---------------------------------------------------------------------------------------

.PHONY: clean
clean: ## Remove what was built, and the data of `make up`
	$(CARGO) clean
	rm -rf dashboard/dist dashboard/node_modules .barograph
