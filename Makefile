# Neuralake Workbench. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo lab test check bench faults soak mutations ui docs notebooks lock wheel clean

RUN := scripts/python.sh -B -m
PROFILE ?= embedded

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

setup:  ## Make .venv and build everything into it; names what the machine lacks
	@$(RUN) scripts.setup

demo: setup  ## Run the whole loop on real recordings (PROFILE=local: MinIO, Kafka, Spark)
	@$(RUN) scripts.wheel
	@.venv/bin/neuralake demo --profile $(PROFILE)

lab: setup  ## Open JupyterLab on the quickstart
	@.venv/bin/jupyter lab notebooks/00_quickstart.ipynb

test:  ## Set up, then run every test, those on MinIO, Kafka, Spark and Chromium too
	@$(RUN) scripts.test

check:  ## Format, lint, types, stubs, imports, licences, locks, unit tests
	@$(RUN) scripts.check

bench: wheel  ## Measure, and write docs/benchmarks.md
	@.venv/bin/python -m pytest tests/bench --ignore=tests/bench/long
	@$(RUN) scripts.benchmarks

faults:  ## Kill workers and services again and again, then ask the law's checker
	@$(RUN) scripts.test fault

soak: setup  ## Kill hundreds of times, and let jobs run long: an hour and more; writes docs/soak.md
	@$(RUN) scripts.tools
	@.venv/bin/python -m pytest tests/soak tests/bench/long
	@$(RUN) scripts.soak
	@$(RUN) scripts.benchmarks

mutations: setup  ## Take each law out of the code and see its test go red (in a copy, for about an hour)
	@$(RUN) scripts.tools
	@$(RUN) scripts.mutations

ui:  ## Run the browser tests
	@$(RUN) scripts.test ui

docs: setup  ## Build the documentation into build/docs
	@.venv/bin/sphinx-build -q -W --keep-going docs build/docs

notebooks: setup  ## Run the notebooks and store what they say (look at it before you commit)
	@.venv/bin/python -m tests.store_notebooks

wheel: setup  ## Build the wheel into build/wheels
	@$(RUN) scripts.wheel

lock: setup  ## Resolve the Python packages again
	@$(RUN) scripts.lock

clean:  ## Remove what set-up and builds made in this folder (the shared cache stays)
	rm -rf .venv build dist widgets/node_modules wheel.data neuralake_kernel/view/static neuralake_kernel/_native*.so
