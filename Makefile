# Two commands: `make run` plans a real machine, `make test` proves the whole; both do all the set-up themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
APT    := $(if $(filter 0,$(shell id -u)),,sudo )apt-get

MACHINE ?= examples/hotplug-nodes.yaml
MINUTES ?= 10
PAGE_LINT := tests/report/lint
SAMPLE  ?= 150
SEED    ?= 1
# LOCKED=1 installs the exact versions of requirements.lock.
PIP     := $(BIN)/pip install --quiet$(if $(LOCKED), --constraint requirements.lock)

.PHONY: run test coverage compat lint lint-page bench boot-test oracle fuzz mutants audit lock clean

run: $(VENV)/installed
	$(BIN)/memplan simulate $(MACHINE)

test: $(VENV)/installed-dev
	$(BIN)/pytest -n auto tests

# Lines and branches that the tests run; fails below the share that pyproject.toml wants, which holds for branches alone.
coverage: $(VENV)/installed-dev
	$(BIN)/pytest -n auto --cov --cov-report=term --cov-report=json:.cache/coverage.json tests
	$(BIN)/python -m tests.branches .cache/coverage.json

# On every Python that is found, and with the lowest and the newest dependencies.
compat: $(VENV)/installed-dev
	nice -n 19 $(BIN)/python -m tests.compat

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The script of `memplan report`'s page; needs npm.
lint-page: $(PAGE_LINT)/node_modules
	$(PAGE_LINT)/node_modules/.bin/eslint --config $(PAGE_LINT)/eslint.config.js 'memplan/report/page/*.js'
	$(PAGE_LINT)/node_modules/.bin/tsc --project $(PAGE_LINT)

$(PAGE_LINT)/node_modules: $(PAGE_LINT)/package.json
	npm install --prefix $(PAGE_LINT) --no-package-lock --no-audit --no-fund --silent
	touch $@

bench: $(VENV)/installed-dev
	$(BIN)/python tests/bench.py
	$(BIN)/python -m tests.bench_check

boot-test: $(VENV)/installed-dev
	$(BIN)/python tests/boot_test.py

# Compares memblock with the kernel's own code, out of Debian's source packages.
oracle: $(VENV)/installed-dev
	$(BIN)/python tests/oracle.py

# Looks for inputs that break a reader; guided by coverage where atheris is installed in $(VENV).
fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

# Changes the planner's code in small ways and counts how many of the changes the tests find.
mutants: $(VENV)/installed-dev
	$(PIP) --editable '.[dev,mutants]'
	nice -n 19 $(BIN)/python -m tests.mutants --sample $(SAMPLE) --seed $(SEED) $(PARTS)

# Known vulnerabilities of the locked versions; asks a database, so it needs the network.
audit: $(VENV)/installed-dev
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --requirement requirements.lock --no-deps

lock: $(VENV)/installed-dev
	@head -1 requirements.lock > requirements.lock.new
	@$(BIN)/pip freeze --exclude-editable >> requirements.lock.new
	@mv requirements.lock.new requirements.lock

# Debian keeps venv in a package of its own; it is installed where it is missing and the rights suffice.
$(VENV)/bin/pip:
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(APT) update && $(APT) install -y python3-venv; } \
	  || { echo "make: python3-venv is missing and could not be installed; install it and try again" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml
	$(PIP) --editable .
	$(BIN)/python -m compileall -q memplan
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(PAGE_LINT)/node_modules .cache .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
