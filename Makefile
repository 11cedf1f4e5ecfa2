# Each target installs what it needs into .venv (or .venv-deploy) on first use.
#   make run                       the whole loop on synthetic photos
#   make run DATA=../photos        the same on your photos; `make help` lists the options
.DEFAULT_GOAL := help
.PHONY: help run options test e2e lint format definition snapshot requirements clean

PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
BUILD ?= build/run

# What `make run` takes on its command line (never from the environment): each variable is the option of
# `python -m local run` of that name.
RUN_VARIABLES := DATA GROUPS LIST BACKBONE WEIGHTS IMAGE_SIZE EPOCHS BASELINE_EPOCHS HPO_EPOCHS HPO_JOBS \
	HPO_PARALLELISM INSTANCES MAX_INSTANCES SAMPLE_PHOTOS SEED PORT PARAMETER
option = --$(subst _,-,$(shell echo $(1) | tr A-Z a-z))
RUN_OPTIONS = $(foreach name,$(RUN_VARIABLES),$(if $(findstring command,$(origin $(name))),$(call option,$(name)) '$($(name))'))

help: ## this list
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "options of make run, as in make run DATA=../photos EPOCHS=3:"
	@echo "  BUILD $(RUN_VARIABLES)" | fmt -w 100
	@echo "  what they mean: make options"

run: .venv/installed ## photos in, a judged and served counter out, through the real pipeline definition
	@$(BIN)/python -m local run --build '$(BUILD)' $(RUN_OPTIONS)

options: .venv/installed ## what make run can be told
	@$(BIN)/python -m local run --help

test: .venv/installed ## unit tests and short jobs, a few minutes
	$(BIN)/pytest -n auto --maxprocesses=4 --dist=loadfile

e2e: .venv/installed ## whole loops, slow
	$(BIN)/pytest -m e2e

lint: .venv/installed ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

definition: .venv-deploy/installed ## print the pipeline definition that is deployed; needs no torch
	@.venv-deploy/bin/python -m pipeline

snapshot: .venv/installed ## accept the pipeline definition as it is now
	@mkdir -p build
	$(BIN)/python -m pipeline > build/definition.json && mv build/definition.json tests/pipeline/definition.json

clean: ## remove what make made, but the environments
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis

requirements: .venv/uv ## resolve requirements/*.in anew into pinned files
	$(BIN)/uv pip compile -q --no-header --upgrade --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	for name in deploy local serve train; do \
		$(BIN)/uv pip compile -q --no-header --python-version 3.11 -c requirements/dev.txt requirements/$$name.in -o requirements/$$name.txt; \
	done

.venv/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tally needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/installed: .venv/uv requirements/dev.txt
	@echo "installing requirements/dev.txt into .venv (about 6 GB, mostly torch; minutes on a first machine)"
	$(BIN)/uv pip install -q --python $(BIN)/python -r requirements/dev.txt
	@touch $@

.venv-deploy/installed: .venv/uv requirements/deploy.txt
	$(PYTHON) -m venv .venv-deploy
	$(BIN)/uv pip install -q --python .venv-deploy/bin/python -r requirements/deploy.txt
	@touch $@
