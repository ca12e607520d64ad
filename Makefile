# Every path here is relative, so that the folder above may have a space in its name.
# PYTHON names the interpreter (3.11 or newer), VENV the environment's folder, ARGS goes to the command that is run.

VENV ?= .venv
PYTHON ?=
ARGS ?=

ui_sources := $(shell find runtime/tradewind/web/ui -type f -not -path '*/node_modules/*' -not -path '*/dist*/*' 2>/dev/null | grep -v ' ')
install_inputs := pyproject.toml constraints.txt .ci/environment $(ui_sources)

.PHONY: standalone test lint format services constraints clean

standalone: $(VENV)/.installed            ## everything on this machine; Ctrl-C stops it
	$(VENV)/bin/tradewind standalone $(ARGS)

test: $(VENV)/.installed-test             ## the suite
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.installed-test             ## style, types, layers; the pages too
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python .ci/check_pages.py

format: $(VENV)/.installed-test           ## put the sources into the style that `lint` wants
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

services:                                 ## what some groups of tests need and PyPI does not have (root, apt-get)
	.ci/services

constraints: $(VENV)/.installed           ## write down the versions that were tested together
	$(VENV)/bin/uv pip compile --quiet --universal --all-extras --upgrade --no-header --no-annotate \
		--python-version 3.11 --output-file constraints.txt pyproject.toml .ci/tools.in

clean:                                    ## remove the environment, caches and built files; the home folder stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	rm -rf runtime/tradewind/web/ui/dist runtime/tradewind/web/ui/dist.* runtime/tradewind/web/ui/node_modules

$(VENV)/.installed: $(install_inputs)
	PYTHON="$(PYTHON)" .ci/environment "$(VENV)" ""
	touch $@

$(VENV)/.installed-test: $(install_inputs)
	PYTHON="$(PYTHON)" .ci/environment "$(VENV)" "[test,lint]"
	touch $(VENV)/.installed $@
