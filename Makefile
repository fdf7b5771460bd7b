# The commands of this project. Everything they need is installed into .venv from the pins in constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
DOCS_STAMP := $(VENV)/.docs-done
# Tests wait for processes and models most of their time: two at a time, each with a server of its own.
SIDE_BY_SIDE := -n 2 --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-fast coverage check gen fmt docs bench clean

help:  ## List the commands.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv with every extra and the forestflow command.

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ForestFlow needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[h2o,tensorflow,onnx,estimators,sources,postgres,charts,dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps graphpipe==1.0.4
	@touch $@

demo: setup  ## Start a server, deploy two releases of a model, score them, print what happened.
	@$(BIN)/python -m forestflow.examples.demo

serve: setup  ## Serve on 127.0.0.1:8090 until Ctrl-C.
	@$(BIN)/forestflow serve

test: setup  ## Run all tests.
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile=repeatable

test-fast: setup  ## Run the tests that take seconds.
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) --hypothesis-profile=fast -m "not slow" tests/unit

coverage: setup  ## Run the fast tests and report what of domain, codecs and the two planes they reach.
	$(BIN)/python -m pytest -q --hypothesis-profile=fast -m "not slow" tests/unit \
	  --cov=forestflow.domain --cov=forestflow.codecs --cov=forestflow.controlplane --cov=forestflow.dataplane --cov-report=term

check: setup  ## Lint, types, layers, generated code and tables.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m forestflow.servables.h2o.jar

gen: setup  ## Generate code from proto/, and the tables of the documents.
	$(BIN)/python proto/generate.py
	$(BIN)/python docs/generate.py

fmt: setup  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DOCS_STAMP)  ## Build the documents as a site, in build/site.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[docs]'
	@touch $@

bench: setup  ## Measure ours against the floor and the peers; prints ratios.
	$(BIN)/python -m benchmarks.setup
	$(BIN)/python -m benchmarks $(BENCH)

clean:  ## Remove .venv and caches.
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
