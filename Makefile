# Everything to do with a checkout. Each target brings what it needs: nothing but make and some Python 3 is expected.

UV_VERSION := 0.13.9
UV := $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),.tools/bin/uv)
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -n 4 --dist loadgroup
PORT ?=
on_port := $(if $(PORT),--port $(PORT))
# Runs a command and shows what it said only if it failed.
quietly = said=$$($(1) 2>&1) || { echo "$$said"; exit 1; }

export PYTHONUNBUFFERED := 1
# Many processes are started, each of which would otherwise compile everything anew.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo run test test-postgres check format control-plane screenshot lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: .venv/runtime ## Show everything on a recorded attack (PORT=8000; KEEP=1 keeps the last one's alerts)
	@$(PYTHON) manage.py demo $(on_port) $(if $(KEEP),--keep)

run: .venv/runtime ## Run Rolecall on this machine with its data in .data (PORT=8000)
	@$(PYTHON) manage.py run $(on_port)

test: .venv/development ## Run every test that can run here (TESTS=tests/unit runs some)
	@$(PYTEST) $(TESTS)

test-postgres: .venv/development ## Run unit and integration tests on a throwaway PostgreSQL
	@tests/with-postgres $(PYTEST) $(or $(TESTS),tests/unit tests/integration)

check: .venv/development ## Check format, lint, types, layers, templates, migrations and settings
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m mypy --no-error-summary
	@$(call quietly,.venv/bin/lint-imports)
	@$(call quietly,.venv/bin/djlint --lint templates)
	@$(PYTHON) manage.py makemigrations --check --dry-run --verbosity 0
	@$(call quietly,env PUBLIC_URL=https://rolecall.example ALLOWED_HOSTS=rolecall.example $(PYTHON) manage.py check --deploy --fail-level WARNING)
	@! command -v shellcheck >/dev/null || shellcheck .ci/run tests/with-postgres

format: .venv/development ## Format the code and mend what can be mended
	@$(PYTHON) -m ruff format --quiet .
	@$(PYTHON) -m ruff check --quiet --fix .

control-plane: ## Build the real Kubernetes control plane for tests/cluster (needs Go)
	@command -v go >/dev/null || { echo "Go is needed to build the control plane: https://go.dev/dl"; exit 1; }
	@cd tests/cluster/control_plane && go build -trimpath \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" \
	  -o $(CURDIR)/.control-plane/ ./...

screenshot: .venv/development ## Take the README's picture anew (needs Chromium)
	@ROLECALL_SCREENSHOT=$(CURDIR)/docs/screenshot.png $(PYTEST) -n 0 tests/browser/test_story.py

lock: $(UV) ## Write both lock files anew from pyproject.toml
	@$(call quietly,$(call compile,requirements.lock,))
	@$(call quietly,$(call compile,requirements-dev.lock,--group dev --constraint requirements.lock))

clean: ## Remove what make made here; your data in .data stays
	rm -rf .venv .tools .control-plane .data/demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results

compile = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile pyproject.toml --upgrade --generate-hashes \
  --no-emit-index-url --universal --python-version 3.12 --no-annotate --quiet $(2) --output-file $(1)

# The environment. Its two stamps are newer than the lock files they were made from.
.venv/runtime: requirements.lock | $(PYTHON)
	@$(UV) pip install --python $(PYTHON) --require-hashes --requirements requirements.lock
	@touch $@

.venv/development: requirements.lock requirements-dev.lock | $(PYTHON)
	@$(UV) pip sync --python $(PYTHON) --require-hashes requirements-dev.lock
	@touch .venv/runtime $@

# Python 3.13 or 3.12: one that really runs (a name on PATH may be a shim with nothing behind it), else uv fetches one.
$(PYTHON): | $(UV)
	@for python in python3.13 python3.12 "$$($(UV) python find --no-python-downloads '>=3.12' 2>/dev/null)" \
	    $$HOME/.pyenv/versions/3.13*/bin/python $$HOME/.pyenv/versions/3.12*/bin/python 3.13; do \
	  found=$$("$$python" -c 'import sys, ssl, sqlite3; print(sys.executable); sys.exit(sys.version_info < (3, 12))' 2>/dev/null) && break; \
	done; \
	$(UV) venv --quiet --clear --python "$${found:-3.13}" .venv \
	  || { echo "Rolecall needs Python 3.12 or later, and none could be fetched. Install one: the package python3.13 of your system, pyenv, or python.org."; exit 1; }

.tools/bin/uv:
	@for python in python3 /usr/bin/python3 python3.13 python3.12; do \
	  $$python -m venv --clear .tools >/dev/null 2>&1 && break; \
	done; \
	test -x .tools/bin/pip \
	  || { echo "Python cannot make virtual environments here. Install what is missing (Debian: apt-get install python3-venv), or uv, and run make again."; exit 1; }
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
