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

# Compiled programs, converted weights and the like are kept in the checkout. One thread a worker is
# enough for what runs beside JAX, which has threads of its own.
TEST := FSL_JAX_CACHE="$(CURDIR)/.cache/fsl_jax" \
    JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.cache/compiled" \
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
    JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1 \
    OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false \
    $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.NOTPARALLEL:
.PHONY: help study results no-data test soak lint format benchmark clean

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

clean: ## Remove the environment and all caches of the checkout; results stay
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf build dist fsl_jax.egg-info

$(CREATED):
	@test -n "$(PYTHON)" || { echo "fsl_jax needs Python 3.11 or newer, and none was found as" \
	    "python3.11, python3 or python. Name yours: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c "$(IS_NEW_ENOUGH)" || { echo "fsl_jax needs Python 3.11 or newer, and $(PYTHON)" \
	    "is not. Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@touch $@

$(RUNTIME): $(CREATED) setup.py requirements.txt requirements-demo.txt
	$(PIP) --requirement requirements.txt
	$(PIP) --no-deps --requirement requirements-demo.txt --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	$(PIP) --requirement requirements-dev.txt
	@touch $@
