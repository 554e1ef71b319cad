# `make demo` and `make test` need Python 3.11 or newer and nothing else.
.DEFAULT_GOAL := help
.PHONY: help demo test test-all check fmt bench chaos docs lock clean
.DELETE_ON_ERROR:

VENV := .venv
RUN := $(VENV)/bin
PIP := $(RUN)/python -m pip install --quiet --disable-pip-version-check --no-input
DEMO ?= demo
JOBS ?= 4

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: $(VENV)/.base ## Run the quickstart over this project's own documentation
	@scripts/demo $(RUN)/kurt "$(DEMO)"

test: $(VENV)/.test ## Run the tests, except those of conventions, which are part of check (arguments for pytest: make test ARGS="-k worker")
	$(RUN)/python -m pytest -n $(JOBS) --dist worksteal -m "not conventions" -rs $(ARGS)

check: $(VENV)/.dev ## Check formatting, lint, types, layers and the project's own rules
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/basedpyright
	$(RUN)/lint-imports
	$(RUN)/python -m pytest -q tests/contracts -m conventions

fmt: $(VENV)/.dev ## Format the code and repair what can be repaired
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: $(VENV)/.base ## Measure (one benchmark: make bench ARGS=help)
	$(RUN)/python -m benchmarks $(ARGS)

chaos: $(VENV)/.test ## Kill executors at random moments (repeat a series: make chaos ARGS="--chaos-seed=7")
	$(RUN)/python -m pytest -n $(JOBS) -m chaos --chaos --timeout 1800 -rA $(ARGS)

docs: $(VENV)/.test ## Write the generated reference pages and run every example of the documentation
	$(RUN)/python -m scripts.reference
	$(RUN)/python -m pytest -q -n $(JOBS) tests/contracts/test_docs.py

lock: $(VENV)/.dev ## Write the lock files (newest versions: make lock UPGRADE=1)
	UV=$(RUN)/uv scripts/lock

clean: ## Remove the virtual environment, the demo and caches
	rm -rf $(VENV) "$(DEMO)" dist build .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# The lock files hold everything but one package that dspy declares and does not need, hence --no-deps.
# One stamp a lock file: repeating a target costs nothing until a lock file or pyproject.toml changes.
$(VENV)/.python:
	@$(RUN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ python=$$(scripts/find-python) && echo "Making $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	@touch $@

$(VENV)/.base: $(VENV)/.python requirements/base.txt requirements/build.txt pyproject.toml
	@echo "Installing $(notdir $@): $(filter requirements/%,$^)"
	@$(PIP) --require-hashes -r requirements/base.txt -r requirements/build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base requirements/test.txt
	@echo "Installing $(notdir $@): $(filter requirements/%,$^)"
	@$(PIP) --require-hashes --no-deps -r requirements/test.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.test requirements/dev.txt
	@echo "Installing $(notdir $@): $(filter requirements/%,$^)"
	@$(PIP) --require-hashes --no-deps -r requirements/dev.txt
	@touch $@
