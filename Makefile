# What a checkout can do; `make` alone prints the list.

# A Python to make the environment with. The pinned versions were tested with 3.11.
PYTHON ?= $(shell for python in python3.11 python3 python; do \
    "$$python" -c "$(IS_NEW_ENOUGH)" 2> /dev/null && echo "$$python" && break; done)
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# The pinned versions are those for CPUs. With others installed in .venv: make study JAX_PLATFORMS=cuda
JAX_PLATFORMS ?= cpu
export JAX_PLATFORMS

# Processes that tests run in.
WORKERS ?= 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Environments are complete when their stamp is there, and made again when what they list is newer.
CREATED := .venv/.created
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev
TOOLS := .tools/.installed

# Compiled programs, converted weights and the like are kept in the checkout. One thread a worker is
# enough for what runs beside JAX, which has threads of its own.
TEST := FSL_JAX_CACHE="$(CURDIR)/.cache/fsl_jax" \
    JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.cache/compiled" \
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1 \
    OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false \
    $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.NOTPARALLEL:
.PHONY: help study results no-data test soak lint format benchmark hashes audit sbom clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

study: $(RUNTIME) ## Which way works best on BBC headlines? Results in results/bbc_headlines_quick
	$(BIN)/python -m experiments.study --flagfile=experiments/configs/bbc_headlines_quick.flags

results: $(if $(DATA_DIR),,no-data) $(RUNTIME) ## Every method on sst2, trec and BBC headlines into RESULTS.md; give DATA_DIR=
	$(BIN)/python -m experiments.results --data_dir="$(DATA_DIR)"

no-data:
	@echo "make results needs the directory in which sst2 and trec lie:" \
	    "make results DATA_DIR=/path/to/data" >&2; exit 1

test: lint ## Lint, then run the tests but the long ones
	$(TEST) -m "not soak"

soak: lint ## Lint, then run all tests, the long ones too
	$(TEST) --timeout 3600

lint: $(DEV) ## Check format, style, types, and that modules import from lower layers only
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Format the code, and correct the style where that is safe
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark: $(DEV) ## Time the same work here and in PyTorch with PEFT
	$(BIN)/python -m benchmarks.study_vs_peft

hashes: $(TOOLS) ## Renew requirements-hashes.txt after a change of requirements.txt
	.tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --custom-compile-command "make hashes" --upgrade \
	    --constraint requirements.txt --output-file requirements-hashes.txt setup.py

audit: $(TOOLS) ## Look up known vulnerabilities of the pinned packages; needs a vulnerability service
	.tools/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements-hashes.txt

sbom: $(TOOLS) ## Write the bill of materials of the run-time packages, build/sbom.json (CycloneDX)
	@mkdir -p build
	.tools/bin/cyclonedx-py requirements --output-reproducible --output-file build/sbom.json \
	    requirements-hashes.txt

clean: ## Remove the environment and all caches of the checkout; results stay
	rm -rf .venv .tools .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf build dist fsl_jax.egg-info

$(CREATED):
	@test -n "$(PYTHON)" || { echo "fsl_jax needs Python 3.11 or newer, and none was found as" \
	    "python3.11, python3 or python. Name yours: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c "$(IS_NEW_ENOUGH)" || { echo "fsl_jax needs Python 3.11 or newer, and $(PYTHON)" \
	    "is not. Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@touch $@

# Pip wants a hash for everything that it installs at once, and the checkout itself has none.
$(RUNTIME): $(CREATED) setup.py requirements-hashes.txt requirements-demo.txt
	$(PIP) --require-hashes --requirement requirements-hashes.txt
	$(PIP) --require-hashes --no-deps --requirement requirements-demo.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements.txt requirements-dev.txt
	$(PIP) --requirement requirements-dev.txt
	@touch $@

$(TOOLS): requirements-tools.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found: make PYTHON=/path/to/it" >&2; \
	    exit 1; }
	"$(PYTHON)" -m venv --clear .tools
	.tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
	    --requirement requirements-tools.txt
	@touch $@
