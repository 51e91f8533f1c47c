# Two commands do everything on a Debian machine that has Python and Go:
#   make demo   sets up, then starts two clusters and shows a first call across them
#   make test   sets up, then runs every check and every test
# Set-up that is finished is skipped, so the second run of either starts at once.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_DIR := .local/demo

.PHONY: help setup test-tools demo demo-down test test-live test-faults conformance bench-propagation bench-gateway bench-dns bench-dns-change bench-registration bench-placement bench-placement-failover bench-failover bench-trust check docs screenshots format lock clean

help:
	@echo "make demo       two clusters, one exported Service, one call across them"
	@echo "make demo-down  remove what the demo started"
	@echo "make test       all checks and all tests"
	@echo "make test-long  ten thousand simulated histories instead of a hundred, a million fuzzed inputs, dead members: over an hour"
	@echo "make test-faults [FAULTS=WORD]  faults in real clusters, and whether meshctl check names them: twenty minutes"
	@echo "make conformance MCS_API=DIR  the official suite of the MCS API (docs/conformance.md)"
	@echo "make bench-propagation [BENCH='--quick']  what takes how long between clusters (bench/README.md)"
	@echo "make bench-gateway [BENCH='--quick']  our gateway beside Envoy, HAProxy and nginx (bench/README.md)"
	@echo "make bench-dns [BENCH='--quick']  our DNS beside CoreDNS with its plugin multicluster (bench/README.md)"
	@echo "make bench-failover  what callers notice when a gateway is lost, on real clusters: twenty minutes"
	@echo "make bench-registration [BENCH='--quick']  how fast clusters join a hub and get their work (bench/README.md)"
	@echo "make bench-placement  how long the scheduler takes among 10 to 5,000 clusters: minutes"
	@echo "make bench-placement-failover  what others see of a member that dies, on a hub and three members as real clusters: ten minutes"
	@echo "make bench-dns-change  from a changed endpoint to the new DNS answer at a pod, on real clusters: fifteen minutes"
	@echo "make check      format, lint, types, import contracts (part of make test)"
	@echo "make docs       the documentation as a site, in dist/site"
	@echo "make screenshots  the pictures of docs/images anew, from two clusters that it starts: three minutes"
	@echo "make format     put the code into the form that make check wants"
	@echo "make lock       write requirements/dev.lock from pyproject.toml; UPGRADE=--upgrade takes newer versions"

# A virtual environment from the lock, with this checkout installed in place.
$(INSTALLED): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %s" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/apt python3-venv
	@echo "installing the Python packages of requirements/dev.lock"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# System packages, the Kubernetes and CoreDNS builds, the images; each is skipped when it is there.
setup: $(INSTALLED)
	@$(BIN)/meshctl local prepare

demo: setup
	@$(BIN)/meshctl demo --dir $(DEMO_DIR)

demo-down: $(INSTALLED)
	@$(BIN)/meshctl local down --dir $(DEMO_DIR)
	@rm -rf $(DEMO_DIR)

# What tests alone need: a browser for the dashboard, and Prometheus for the alerts. Debian would run it as a
# service from then on; the tests start their own.
test-tools:
	@command -v chromium >/dev/null || .ci/apt chromium
	@command -v prometheus >/dev/null || { .ci/apt prometheus; systemctl disable --quiet --now prometheus 2>/dev/null || true; }

test: setup test-tools check
	@.ci/tests $(BIN)/pytest

# The official suite, compiled, from a checkout of kubernetes-sigs/mcs-api: docs/conformance.md.
# MODE=gateway or MODE=flat runs one mode, FOCUS=REGEX the specs whose text matches.
conformance:
	@test -n "$(MCS_API)" || { echo "error: name a checkout of the suite: make conformance MCS_API=DIR; clone https://github.com/kubernetes-sigs/mcs-api" >&2; exit 2; }
	@$(MAKE) --no-print-directory setup
	@PYTHONPATH=tests $(BIN)/python -m conformance $(if $(MODE),--mode $(MODE)) $(if $(FOCUS),--focus '$(FOCUS)') "$(MCS_API)"

# BENCH holds further arguments: BENCH='--quick --json results.json'.
bench-propagation: $(INSTALLED)
	@$(BIN)/meshctl local prepare --light
	@$(BIN)/python bench/propagation.py $(BENCH)

bench-gateway: $(INSTALLED)
	@$(BIN)/python bench/gateway.py $(BENCH)

bench-dns: $(INSTALLED)
	@command -v dnsperf >/dev/null || .ci/apt dnsperf
	@$(BIN)/meshctl local prepare --light
	@$(BIN)/python bench/clusterset_dns.py $(BENCH)

bench-registration: $(INSTALLED)
	@$(BIN)/meshctl local prepare --light
	@$(BIN)/python bench/registration.py $(BENCH)

bench-placement: $(INSTALLED)
	@$(BIN)/python bench/placement.py $(BENCH)

bench-placement-failover: setup
	@$(BIN)/python bench/placement_failover.py $(BENCH)

bench-failover: setup
	@$(BIN)/python bench/gateway_failover.py $(BENCH)

# A change of the root under load, and joining by invitation, on real clusters.
bench-trust: setup
	@$(BIN)/python bench/trust_rotation.py $(BENCH)
	@$(BIN)/python bench/invitation.py $(BENCH)

# Two real clusters; the clock stops when a pod is told the new answer by cluster DNS.
bench-dns-change: setup
	@$(BIN)/python bench/dns_change.py $(BENCH)

# Prints the table and its score; FAULTS_JSON=FILE keeps it for programs.
test-faults: setup
	@FAULTS='$(FAULTS)' FAULTS_JSON='$(FAULTS_JSON)' $(BIN)/pytest tests/faults -m faults

test-long: setup
	@HISTORIES=10000 SNAPSHOTS=10000 REPLAYS=10000 FUZZ=1000000 $(BIN)/pytest tests/sim tests/fuzz tests/live/lifecycle/long tests/live/light/long
	@RANGES=distinct $(BIN)/pytest tests/live/registration
	@ROUNDS=50 $(BIN)/pytest tests/live/placement/test_leaving_a_hub.py
	@PARTITIONS=200 $(BIN)/pytest tests/live/placement/test_cut_control_lines.py

check: $(INSTALLED)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@echo "check: format, lint, types and contracts are fine"

docs: $(INSTALLED)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir dist/site
	@echo "docs: dist/site/index.html"

# Pictures of status, graph and dashboard, of two real clusters that are gone afterwards.
screenshots: setup test-tools
	@PYTHONPATH=tests $(BIN)/python -m browser.screenshots

format: $(INSTALLED)
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

lock: $(INSTALLED)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-header --quiet $(UPGRADE) -o requirements/dev.lock
	@sed -i '1i # Written by `make lock`; every line is pinned and hashed. Install with: pip install --require-hashes -r' requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
