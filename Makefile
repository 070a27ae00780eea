# `make demo` and `make test` are all the set-up there is: Python 3.11 or newer and the Python package index will do.

.DEFAULT_GOAL := help
.PHONY: help demo demo-trust demo-learning dev test check mutations lock clean
SHELL := /bin/sh

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
COMPILE := uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

# The first Python that is new enough; Debian's own comes first.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# What `pip install --editable` would write, without the build tools that needs: the path and the command.
define LINK
import pathlib, sys, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
(site / "tenure.pth").write_text(f"{pathlib.Path.cwd()}\n")
told = site / "tenure-0+here.dist-info"  # so that pytest finds the plugin
told.mkdir(exist_ok=True)
(told / "METADATA").write_text("Metadata-Version: 2.1\nName: tenure\nVersion: 0+here\n")
(told / "entry_points.txt").write_text("[pytest11]\ntenure = tenure.testing.pytest_plugin\n")
command = pathlib.Path(sys.prefix, "bin", "tenure")
command.write_text(f"#!{sys.executable}\nfrom tenure.cli import main\nmain()\n")
command.chmod(0o755)
files = [site / "tenure.pth", told / "METADATA", told / "entry_points.txt", command]  # what pip removes before it installs anew
(told / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, told / "RECORD"]))
endef
export LINK

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv/.runtime ## an approval that survives kill -9, in half a minute
	@$(BIN)/tenure demo

demo-trust: .venv/.runtime ## trust that is earned by runs, and lost by itself, in half a minute
	@$(BIN)/tenure demo-trust

demo-learning: .venv/.runtime ## what repeats itself is learned, let in by people, and taken back by itself
	@$(BIN)/tenure demo-learning

dev: .venv/.runtime ## Temporal with its UI, a store and a worker, until Ctrl-C
	@$(BIN)/tenure dev

test: .venv/.dev ## all tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal  # they mostly wait: three keep two cores busy

check: .venv/.dev ## style, types, import contracts, lengths
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tests/check_lengths.py

mutations: .venv/.dev ## disable each check in turn: does a test fail? (half an hour)
	@$(BIN)/python -m tests.mutations

lock: ## pin all requirements anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 2; }
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --extra dev --output-file requirements-dev.txt

clean: ## remove what make has made; runs and keys in .tenure/ stay
	rm -rf .venv dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found: apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) comes without venv: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.txt | .venv/bin/python
	@echo "installing the requirements into .venv (once)"
	@$(PIP) --require-hashes -r requirements.txt
	@test -e .venv/.dev || $(BIN)/python -c "$$LINK"
	@touch $@

.venv/.dev: requirements-dev.txt pyproject.toml | .venv/bin/python
	@echo "installing the development requirements into .venv (once)"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@rm -rf .venv/lib/python*/site-packages/tenure.pth .venv/lib/python*/site-packages/tenure-0+here.dist-info
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.runtime
