# Everything but `make system` stays inside of .venv, .data and .bench; each target is safe to repeat.

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo data test soak lint bench coverage system clean

# The first Python of these that is new enough; another one: make PYTHON=/path/to/python3.12
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>&- && echo $(name))))

BIN := .venv/bin
INSTALLED := .venv/.installed
FLIGHTS := .data/flights.csv
PYTEST := $(BIN)/python -m pytest

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: $(INSTALLED) $(FLIGHTS)  ## Run examples/flights.py on two processes and show the result
	$(BIN)/ctl run examples/flights.py -p 2
	@$(BIN)/python examples/flights_table.py

data: $(FLIGHTS)  ## Download the flights of the example into .data

test: lint $(FLIGHTS)  ## Run all checks and all tests, those of the built wheel included
	$(PYTEST) --numprocesses 2 --dist loadgroup

soak: $(INSTALLED)  ## Run every accident at every point of a deploy; takes hours
	HOSTMESH_SOAK=1 $(PYTEST) tests/fleet/test_chaos.py

lint: $(INSTALLED)  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(INSTALLED)  ## Measure beside the peers, and ctl on containers
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.tls
	$(BIN)/python -m benchmarks.relay
	$(BIN)/python -m benchmarks.fleet

coverage: $(INSTALLED) $(FLIGHTS)  ## Show the lines that no test runs
	$(PYTEST) --cov --cov-report term-missing:skip-covered

clean:  ## Remove what the other targets have made
	rm -rf .venv .data .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

# Debian's Python comes without its venv module; this package brings both.
PACKAGE = $(notdir $(or $(PYTHON),python3))-venv
# Where programs are that not everybody has on the path
SBIN := /usr/sbin:/sbin
# Where a Debian looks whether a package may start its service; tests start servers of their own
POLICY := /usr/sbin/policy-rc.d

system:  ## Install what the tests need from Debian if root, else name it
	@path="$$PATH:$(SBIN)"; packages=; root=; \
	[ "$$(id -u)" != 0 ] || root=yes; \
	has() { PATH="$$path" command -v "$$1" >/dev/null; }; \
	has ssh || packages="$$packages openssh-client"; \
	has sshd || packages="$$packages openssh-server"; \
	[ -z "$$root" ] || has debootstrap || packages="$$packages debootstrap"; \
	$(or $(PYTHON),false) -c 'import ensurepip, venv' 2>&- || packages="$$packages $(PACKAGE)"; \
	if [ -z "$$packages" ]; then \
		echo "Nothing to install."; \
	elif [ -n "$$root" ] && command -v apt-get >/dev/null; then \
		if [ ! -e $(POLICY) ]; then \
			trap 'rm -f $(POLICY)' EXIT; \
			printf '#!/bin/sh\nexit 101\n' >$(POLICY) && chmod +x $(POLICY); \
		fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update --quiet && \
		apt-get install --quiet --yes --no-install-recommends $$packages; \
	else \
		echo "Install, as Debian calls them, or what your system has instead:$$packages" >&2; \
		exit 1; \
	fi

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer. Debian 12, Ubuntu 24.04: apt-get install $(PACKAGE)" >&2; \
		exit 1; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>&-; then \
		echo "$(PYTHON) has no venv module. Debian, Ubuntu: apt-get install $(PACKAGE)" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv --clear .venv

# pip knows --group since 25.1.
$(INSTALLED): pyproject.toml engine/__init__.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[ctl]" --group dev
	@touch $@

$(FLIGHTS): examples/flights_data.py | $(INSTALLED)
	$(BIN)/python examples/flights_data.py .data
