# Two commands: `make run` plans a real machine, `make test` proves the whole; both do all the set-up themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
APT    := $(if $(filter 0,$(shell id -u)),,sudo )apt-get

MACHINE ?= examples/hotplug-nodes.yaml

.PHONY: run test lint bench boot-test oracle clean

run: $(VENV)/installed
	$(BIN)/memplan simulate $(MACHINE)

test: $(VENV)/installed-dev
	$(BIN)/pytest -n auto tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-dev
	$(BIN)/python tests/bench.py
	$(BIN)/python -m tests.bench_check

boot-test: $(VENV)/installed-dev
	$(BIN)/python tests/boot_test.py

# Compares memblock with the kernel's own code, out of Debian's source packages.
oracle: $(VENV)/installed-dev
	$(BIN)/python tests/oracle.py

# Debian keeps venv in a package of its own; it is installed where it is missing and the rights suffice.
$(VENV)/bin/pip:
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(APT) update && $(APT) install -y python3-venv; } \
	  || { echo "make: python3-venv is missing and could not be installed; install it and try again" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable .
	$(BIN)/python -m compileall -q memplan
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
