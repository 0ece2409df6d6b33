# What a person does here; `make` alone lists it. Everything lands in .venv, data and .services of this folder
# and in the user's cache folder; tshark and PostgreSQL come from Debian's packages.
PYTHON ?= python3
BIN := .venv/bin
DEMO := $(CURDIR)/data/demo
.DEFAULT_GOAL := help
.PHONY: help setup demo dev test check bench services services-stop lock

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.done ## Python packages into .venv; tshark if it can be installed

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@sh tools/install-package.sh tshark "captures" >&2
	@touch $@

demo: setup ## Three simulated days through Kafka, Dagster and into every table, checked against the truth
	$(BIN)/wifi-assets demo --folder $(DEMO)

dev: setup ## The Dagster UI at http://127.0.0.1:3000, on the WIFI_… settings, or on a live simulated household
	mkdir -p $(DEMO)/dagster && cp deploy/dagster.local.yaml $(DEMO)/dagster/dagster.yaml
	$(BIN)/wifi-assets dev --folder $(DEMO)

test: setup ## All tests, on real servers
	sh tools/install-package.sh chromium "the tests of pages"
	$(BIN)/python -m pytest

check: setup ## Style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## Speed on this machine; needs a quiet one
	$(BIN)/python -m bench

services: setup ## Kafka, MongoDB protocol, Postgres, Elasticsearch and Neo4j on free local ports, with their settings
	@$(BIN)/python -m wifi_assets_tests.services start

services-stop: ## Stop them
	@$(BIN)/python -m wifi_assets_tests.services stop

lock: setup ## Newest versions into requirements.lock
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
