# make demo    a trained network, shown            make test    the test suite
# make test-pages   reports and drawings in a browser
# make bench   ours beside PyTorch and JAX         make conformance   held against PyTorch's operator database
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-pages lint bench conformance clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[develop]'
	touch $@

.venv/rivals: .venv/installed
	$(BIN)/pip install --quiet torch==2.13.0 expecttest jax jaxlib
	touch $@

demo: .venv/installed
	$(BIN)/rushlight train digits

test: .venv/installed
	$(BIN)/python -m pytest

# The reports and drawings, opened in a browser; installs Debian's Chromium where there is none
test-pages: .venv/installed
	$(BIN)/python tests/pages/browser.py || { apt-get update && apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; }
	$(BIN)/python -m pytest tests/pages

lint: .venv/installed
	$(BIN)/ruff check src tests
	$(BIN)/pyright
	$(BIN)/lint-imports

conformance: .venv/rivals
	$(BIN)/python tests/conformance/run.py

bench: .venv/rivals
	$(BIN)/python bench/run.py

clean:
	rm -rf .venv
