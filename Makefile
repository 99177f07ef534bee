# Everything happens in a .venv of its own; the only needs are git, make and Python 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-slow check docs bench lock sbom clean

setup: $(STAMP)

$(VENV)/bin/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

$(STAMP): requirements.txt pyproject.toml | $(VENV)/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	touch $@

demo: setup
	$(BIN)/vireid demo --out runs/demo

test: setup
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: setup
	$(BIN)/python -m pytest -m slow $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/zensical build --strict

bench: setup
	@for file in bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

# Resolve the newest allowed versions again; the file keeps hashes and names no address.
lock: $(VENV)/bin/uv
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-extras --all-groups --no-emit-index-url --no-emit-project --format requirements-txt --output-file requirements.txt
	sed -i '/^#/d' requirements.txt
	rm -f uv.lock

# What vireid is made of, as CycloneDX, from the lock.
sbom: setup
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sbom.json

clean:
	rm -rf $(VENV) site dist
