# Every target sets up what it needs. `make help` lists them.

CARGO ?= cargo
CARGO_FLAGS := --locked

# Of `make scenario`.
NAME ?= smoke
ON ?= memory

# Of `make bench`: what it measured, and more options of `onsale bench-services`.
FIGURES := target/bench
SERVICES_OPTIONS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Runs the service on port 3001, everything in memory.
	$(CARGO) run $(CARGO_FLAGS) -p api -- serve

# Servers that .env names come first; else this machine's own, which no test uses.
.PHONY: prod
prod: .env release ## Runs the release build with the production configuration; its servers keep their data.
	exec deploy/prod.sh

.PHONY: prod-stop
prod-stop: ## Stops the servers of `make prod`; their data stay.
	SERVICES_STATE=.local/prod deploy/services.sh stop

.PHONY: prod-destroy
prod-destroy: ## REMOVES the servers of `make prod` with all that was sold.
	SERVICES_STATE=.local/prod deploy/services.sh destroy

.PHONY: build
build: release ## Compiles the release binaries, all adapters included.

.PHONY: release
release:
	$(CARGO) build $(CARGO_FLAGS) --release --workspace --all-features

# Secrets of this machine, made once. Only their owner can read them.
.env:
	@umask 077 && { \
		echo "APP__TICKETS__ID_SECRETS=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"; \
		echo "APP__ADMIN__TOKEN=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"; \
	} > $@ && echo "made $@ with new secrets"

# An adapter that is missing can only be missed in a build without it.
.PHONY: test
test: services browser prometheus schemathesis nextest ## Runs all tests; needs MySQL, RabbitMQ, Redis, Chromium, Prometheus and Schemathesis, which it starts or installs.
	$(CARGO) test $(CARGO_FLAGS) --workspace --all-features --doc
	$(CARGO) nextest run $(CARGO_FLAGS) -p api --lib
	$(CARGO) nextest run $(CARGO_FLAGS) --workspace --all-features -E 'not ($(NEEDS_A_CLUSTER) or $(TAKES_MINUTES))'

# Three nodes in network namespaces need root, so they are a target of their own. CLUSTER_TESTS
# takes a part of them: the gate has no time for every way in which a node can fail.
CLUSTER_TESTS ?= all()
NEEDS_A_CLUSTER := (binary(faults) and test(/^cluster::/))

.PHONY: test-cluster
test-cluster: services cluster nextest ## Faults on a broker of three nodes, within the limits that are promised; root on Debian.
	set -a && . .local/cluster.env && \
	TICKETS_TEST_PROMISES=$${TICKETS_TEST_PROMISES-1} \
	$(CARGO) nextest run $(CARGO_FLAGS) -p api --all-features --no-fail-fast -E '$(NEEDS_A_CLUSTER) and $(CLUSTER_TESTS)'

# `make test` switches twice.
.PHONY: test-pair
test-pair: services nextest ## A primary and its replica change roles under load, five times each way, within what is promised.
	set -a && . .local/services.env && \
	TICKETS_FAULT_SWITCHES=5 TICKETS_TEST_PROMISES=1 \
	$(CARGO) nextest run $(CARGO_FLAGS) -p api --all-features --no-fail-fast --success-output final -E 'test(pair::)'

# Waits for alerts: minutes more than the gate has. Before a release, and when metrics or alerts change.
TAKES_MINUTES := (binary(faults) and test(/^alerts::/))

.PHONY: test-alerts
test-alerts: services prometheus nextest ## Each alert fires by its cause, and none in a clean sale: real processes, read by a real Prometheus.
	set -a && . .local/services.env && \
	$(CARGO) nextest run $(CARGO_FLAGS) -p api --all-features --no-fail-fast -E '$(TAKES_MINUTES)'

# Minutes more than the gate has: before a release, and when an adapter changes.
.PHONY: test-latest
test-latest: export CLUSTER_STATE := .local/latest
test-latest: export CLUSTER_RABBITMQ := latest
test-latest: export TICKETS_TEST_MYSQL_ROOT := /var/tmp/tickets-latest
test-latest: services nextest ## All tests on the latest RabbitMQ and MySQL, from Debian unstable; root on Debian.
	deploy/cluster.sh start
	set -a && . .local/services.env && . .local/latest.env && \
	TICKETS_TEST_MYSQL_URL=$$(deploy/latest-mysql.sh start) && \
	TICKETS_TEST_RABBITMQ_URL=$${TICKETS_CLUSTER_URLS%%,*} && \
	TICKETS_TEST_RABBITMQ_MANAGEMENT_URL=$${TICKETS_CLUSTER_MANAGEMENT_URLS%%,*} && \
	TICKETS_TEST_PROMISES=1 $(CARGO) nextest run $(CARGO_FLAGS) -p api --all-features --no-fail-fast -E '$(NEEDS_A_CLUSTER)' && \
	$(MAKE) test

# All but what needs a database, a broker, a browser, Prometheus or Schemathesis.
NEEDS_NO_SERVER := not (kind(test) and (package(adapter-mysql) or package(adapter-rabbitmq) or package(adapter-redis) \
	or binary(api_on_services) or binary(faults) or binary(browser) or binary(schemathesis) or test(promtool)))

.PHONY: test-memory
test-memory: nextest ## The quick loop: what needs no servers.
	TICKETS_SIMULATION_SEEDS=$${TICKETS_SIMULATION_SEEDS:-0..1000} \
	$(CARGO) nextest run $(CARGO_FLAGS) --workspace --all-features -E '$(NEEDS_NO_SERVER)'

# What `make fuzz` tries, and for how long. The sanitizer `address` is for the `unsafe` code of
# libraries; it needs flags of the compiler that are not stable, but no other toolchain.
FUZZ_TARGETS ?= $(notdir $(wildcard fuzz/seeds/*))
FUZZ_SECONDS ?= 10
FUZZ_SANITIZER ?= none
FUZZ := $(if $(filter-out none,$(FUZZ_SANITIZER)),RUSTC_BOOTSTRAP=1) $(CARGO) fuzz
# Without `cfg(fuzzing)`: libraries are tried as they are released.
FUZZ_BUILD := --dev --codegen-units 16 --sanitizer $(FUZZ_SANITIZER) --no-cfg-fuzzing --target-dir target/fuzz
FUZZ_LIMITS := -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=512

.PHONY: fuzz
fuzz: ## Tries random bytes on all that reads bytes from outside, FUZZ_SECONDS on each target.
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz@0.13.2
	$(CARGO) fetch $(CARGO_FLAGS) --manifest-path fuzz/Cargo.toml
	$(FUZZ) build $(FUZZ_BUILD)
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		$(FUZZ) run $(FUZZ_BUILD) $$target fuzz/corpus/$$target fuzz/seeds/$$target -- $(FUZZ_LIMITS) \
			-max_total_time=$(FUZZ_SECONDS) -dict=fuzz/dictionaries/$$target -print_final_stats=1; done

.PHONY: services
services: ## Finds or starts the MySQL, RabbitMQ and Redis servers that production adapters need.
	deploy/services.sh

.PHONY: cluster
cluster: ## Finds or starts three RabbitMQ nodes that can be killed and cut off; root on Debian.
	deploy/cluster.sh start

.PHONY: cluster-destroy
cluster-destroy: ## REMOVES the nodes of `make cluster` with their data.
	deploy/cluster.sh destroy

.PHONY: browser
browser: ## Finds or installs the Chromium in which reports and the page of the API are tested.
	deploy/browser.sh

.PHONY: prometheus
prometheus: ## Finds or installs the Prometheus that reads metrics and evaluates alerts, with its promtool.
	deploy/prometheus.sh

.PHONY: schemathesis
schemathesis: ## Finds or installs the Schemathesis that asks for all that the OpenAPI document allows.
	deploy/schemathesis.sh

.PHONY: nextest
nextest:
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest

.PHONY: hack
hack:
	@$(CARGO) hack --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-hack

.PHONY: check
check: hack ## Formatting, lints with each feature and with all, documentation.
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets --all-features -- -D warnings
	$(CARGO) hack clippy $(CARGO_FLAGS) -p api --each-feature --exclude-features default --exclude-all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGO_FLAGS) --workspace --all-features --no-deps --document-private-items

# How much `make test-schema` asks for. `make test` has the same tests, with few cases.
SCHEMA_CASES ?= 50
SCHEMA_SEED ?= 1

.PHONY: test-schema
test-schema: services schemathesis nextest ## Sends SCHEMA_CASES of each operation that the OpenAPI document allows, and what it does not (Schemathesis).
	SCHEMA_CASES=$(SCHEMA_CASES) SCHEMA_SEED=$(SCHEMA_SEED) \
	$(CARGO) nextest run $(CARGO_FLAGS) -p api --all-features --no-fail-fast --no-capture -E 'binary(schemathesis)'

.PHONY: test-clients
test-clients: ## Compiles and runs the clients of docs/clients, whatever happens between them and the service.
	deploy/client-tools.sh
	$(CARGO) build $(CARGO_FLAGS) -p api --all-features
	python3 deploy/test-clients.py target/debug/tickets

.PHONY: check-features
check-features: hack ## Lints with every set of features; before a release, and when a feature changes.
	$(CARGO) hack clippy $(CARGO_FLAGS) -p api --feature-powerset --exclude-features default -- -D warnings

# Runs a script that reads YAML, with a Python that can.
with-yaml = @if python3 -c 'import yaml' 2>/dev/null; then python3 $(1); else \
	test -x .local/python/bin/python || { python3 -m venv .local/python \
		&& .local/python/bin/pip install --quiet pyyaml; } || exit 1; \
	.local/python/bin/python $(1); fi

.PHONY: check-compose
check-compose: ## Checks docker-compose.yml and the image against the code, without Docker.
	$(call with-yaml,deploy/check-compose.py)

.PHONY: check-alerts
check-alerts: prometheus ## Alerts fire on their causes and in no clean sale; queries of the dashboard ask for what is there.
	$(call with-yaml,deploy/check-alerts.py)

.PHONY: check-docs
check-docs: ## Compares log lines, settings and targets in the docs with the code; finds circles of files.
	python3 deploy/check-docs.py
	python3 deploy/test-check-circles.py
	python3 deploy/check-circles.py

.PHONY: check-prod
check-prod: release ## Whether `make prod` goes on with its data after its servers were killed; root on Debian.
	deploy/check-prod.sh

.PHONY: test-compose
test-compose: ## The container commands of docs/OPERATIONS.md as typed, on an engine of its own; 25 minutes, root on Debian.
	python3 deploy/test-compose.py

.PHONY: check-dependencies
check-dependencies: ## Licences, advisories, sources and unused dependencies; needs the network.
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	@$(CARGO) machete --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-machete
	$(CARGO) deny check
	$(CARGO) deny --manifest-path fuzz/Cargo.toml --config deny.toml check
	$(CARGO) machete

.PHONY: bench
bench: services release ## Every benchmark, a quarter of an hour; writes the tables of docs/BENCHMARKS.md.
	@mkdir -p $(FIGURES)
	@rm -f $(FIGURES)/memory.json $(FIGURES)/services.json $(FIGURES)/flash-sale*.json
	-target/release/onsale bench --json $(FIGURES)/memory.json
	-target/release/onsale bench-services --json $(FIGURES)/services.json $(SERVICES_OPTIONS)
	-target/release/onsale run --scenario scenarios/flash-sale.toml --on services \
		--json $(FIGURES)/flash-sale.json
	-target/release/onsale run --scenario scenarios/flash-sale-open-gate.toml --on services \
		--json $(FIGURES)/flash-sale-open-gate.json
	@# Whatever was missed above: it says so again and fails.
	target/release/onsale tables --from $(FIGURES)

.PHONY: bench-stadium
bench-stadium: bench-%: services release ## A million orders, five minutes; writes their table.
	@mkdir -p $(FIGURES)
	@rm -f $(FIGURES)/$*.json
	-target/release/onsale run --scenario scenarios/$*.toml --on services --json $(FIGURES)/$*.json
	target/release/onsale tables --from $(FIGURES) --only $*

.PHONY: bench-memory
bench-memory: release ## Accept throughput in memory beside a bare handler, then the audit; a minute.
	target/release/onsale bench

.PHONY: scenario
scenario: release ## Runs scenarios/$(NAME).toml, in memory or with ON=services; the page is target/NAME.html.
	@if [ "$(ON)" = services ]; then deploy/services.sh; fi
	target/release/onsale run --scenario scenarios/$(NAME).toml --on $(ON) \
		--json target/$(NAME).json --html target/$(NAME).html

# On servers that nobody else uses, because these kill them, too.
CHAOS_SERVERS := .local/chaos
CHAOS_CLUSTER ?= .local/chaos-cluster
CHAOS_SEED ?=

.PHONY: chaos
chaos: chaos-one-node chaos-cluster ## Orders while everything is killed, frozen and cut, first on one broker node, then on three; 40 minutes.

.PHONY: chaos-one-node
chaos-one-node: release ## Ten minutes of orders while everything is killed, frozen and cut; CHAOS_SEED=N repeats one.
	@mkdir -p $(FIGURES)
	@rm -f $(FIGURES)/chaos.json
	SERVICES_STATE=$(CHAOS_SERVERS) deploy/services.sh
	target/release/onsale run --scenario scenarios/chaos.toml --on services \
		--own-servers $(CHAOS_SERVERS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) \
		--json $(FIGURES)/chaos.json --html target/chaos.html; status=$$?; \
	SERVICES_STATE=$(CHAOS_SERVERS) deploy/services.sh destroy; exit $$status
	target/release/onsale tables --from $(FIGURES) --only chaos

.PHONY: chaos-cluster
chaos-cluster: release ## 25 minutes of orders and 200 faults, several at once, on a broker of three nodes; root on Debian.
	@mkdir -p $(FIGURES)
	@rm -f $(FIGURES)/chaos-cluster.json
	SERVICES_STATE=$(CHAOS_SERVERS) deploy/services.sh
	SERVICES_STATE=$(CHAOS_SERVERS) deploy/services.sh kill rabbitmq
	CLUSTER_STATE=$(CHAOS_CLUSTER) deploy/cluster.sh start
	target/release/onsale run --scenario scenarios/chaos-cluster.toml --on services \
		--own-servers $(CHAOS_SERVERS) --own-cluster $(CHAOS_CLUSTER) \
		$(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) \
		--json $(FIGURES)/chaos-cluster.json --html target/chaos-cluster.html; status=$$?; \
	SERVICES_STATE=$(CHAOS_SERVERS) deploy/services.sh destroy; \
	CLUSTER_STATE=$(CHAOS_CLUSTER) deploy/cluster.sh destroy; exit $$status
	target/release/onsale tables --from $(FIGURES) --only chaos-cluster

.PHONY: flash-sale
flash-sale: NAME := flash-sale
flash-sale: scenario ## 100,000 orders for 10,000 seats, then the audit.

.PHONY: soak
soak: release ## A minute of requests that store nothing; memory must not grow.
	target/release/onsale soak
