# Each target sets up everything it needs, on a machine with only Python (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: help demo test bench drill drill-wordpress mutate lint clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sandbox,test,lint]'
	@touch $@

demo: $(VENV)/.installed  ## Run the main job on the sandbox (ARGS=--unattended answers by itself)
	$(BIN)/python -m deployments.sandbox $(ARGS)

# Three processes: many tests wait for servers rather than compute. By file, because fixtures of a session are expensive.
test: $(VENV)/.installed  ## Run the linter and the suite (types and import contracts are tests in it)
	$(BIN)/ruff check .
	@echo "$$(find tests -name '*.py' -exec cat {} + | wc -l) lines of tests for $$(find flows tasks deployments -name '*.py' -exec cat {} + | wc -l) lines of code (we want 1.3 to 1)"
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(VENV)/.installed  ## Measure what we add to the host's time, and dumps against pg_dump and other tools
	$(BIN)/python -m pytest tests/benchmarks -s --timeout=3600 $(ARGS)

drill: $(VENV)/.installed  ## Run the long drills: every fault against every flow, the demo interrupted at every moment
	$(BIN)/python -m pytest tests/drills tests/deployments tests/flows tests/tasks -m drill -n 2 --dist loadfile --no-loadscope-reorder \
		--ignore=tests/drills/wordpress --timeout=3600 $(ARGS)

drill-wordpress: $(VENV)/.installed  ## Run every flow on real WordPress sites (Debian's wordpress, mariadb-server, php-cli, php-mysql, php-xml)
	$(BIN)/python -m pytest tests/drills/wordpress -m drill --timeout=3600 $(ARGS)

mutate: $(VENV)/.installed  ## Plant small breakages in the code that guards, and count those that no test notices
	$(BIN)/python -m tests.drills.mutation $(ARGS)

# bandit from medium severity up (-ll): its low ones are in ruff's S rules, with our reasons. pip-audit writes its findings
# only when it could ask: no file means that nothing was checked, a file and a failure mean a known fault.
lint: $(VENV)/.installed  ## Check format, style, types, import contracts and known faults of what we install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit -q -ll -c pyproject.toml -r flows tasks deployments
	@rm -f $(VENV)/audit.json
	$(BIN)/pip-audit --local --skip-editable --progress-spinner off -f json -o $(VENV)/audit.json \
		|| { test ! -e $(VENV)/audit.json && echo 'pip-audit could not reach its database: nothing was audited.'; }

clean:  ## Remove what the targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .mutation .sandbox build *.egg-info
	find flows tasks deployments tests -name __pycache__ -prune -exec rm -rf {} +
