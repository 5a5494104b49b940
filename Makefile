# setup, demo, check, fix, test, docs, wheel, wheel-fresh, dist, stress, fuzz, audit, bench: each makes what it needs.
PYTHON ?= python3
RUN ?= runs/demo
BIN := .venv/bin

.PHONY: setup demo check fix test test-all docs wheel wheel-fresh dist stress fuzz audit bench bench-digits bench-real clean

setup: .venv/.ready

# Reinstalls only when the requirements change. pip's own group support came with 25.1.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"lcnet needs Python 3.11 or newer, got {v.major}.{v.minor}. Run: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

demo: setup
	$(BIN)/lcnet train --config configs/digits.yaml --out $(RUN) --overwrite
	$(BIN)/lcnet evaluate $(RUN)
	$(BIN)/lcnet predict $(RUN) 'data/digits/test/00000[0-4].jpg' --out $(RUN)/predictions.jsonl
	@echo "The run folder is $(RUN): report.html, metrics.json, model/, predictions.jsonl. Next: lcnet predict $(RUN) YOUR_PICTURES"

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fix: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Two processes of one thread each: the models in tests are too small to share. Each begins with
# neighbouring tests, which share what is trained and exported for them, and takes from the other's.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)

# The pages of docs/ as a site that needs no network. A warning, such as a link that leads nowhere, is an error. The variable leaves
# out what the theme says about its successor.
docs: setup
	$(BIN)/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site: site/index.html"

# The wheel alone, without the clone: its size and content, lcnet --help, train, predict and serve. It borrows the packages of .venv;
# wheel-fresh installs what the wheel says that it needs, from any Python: make wheel-fresh PYTHON=python3.14.
wheel: setup
	$(BIN)/python -m pytest tests/test_wheel.py

wheel-fresh:
	rm -rf .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --upgrade "pip>=25.1" pytest httpx "setuptools>=77"
	LCNET_FRESH=1 .venv-wheel/bin/python -m pytest --noconftest tests/test_wheel.py

# What a release uploads: sdist and wheel in dist/, their descriptions checked. With TAG=v0.2.0 that must be the version.
dist: setup
	test -z "$(TAG)" || test "$(TAG)" = "v$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')"
	$(BIN)/python -m pip install --quiet --group release
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

# What takes long and is bounded in time, about 75 minutes: 500 generated bad inputs over all commands and every planted file,
# kill -9 at 20 random moments of a digits run, without and with loader processes, and a process of two that dies or hangs.
stress: SECONDS ?= 1800
stress: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bad_input.generate --cases 500 --seconds $(SECONDS)
	$(PYTEST) tests/bad_input
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.kill_training --kills 20 --minutes 40
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.kill_training --kills 5 --workers 2 --seed 1
	$(PYTEST) -m slow tests/training/test_processes.py

LAYOUTS := coco_anywhere cvat datumaro fiftyone huggingface huggingface_csv huggingface_parquet \
	label_studio mmpretrain paddleclas voc_folder voc_lists yolo yolo_boxes
# SECONDS for each reader; one target alone: make fuzz TARGETS=table.
TARGETS ?= table coco voc vectors model_json published config picture deep_picture sources predictions $(LAYOUTS)
fuzz: SECONDS ?= 600
fuzz: setup
	$(BIN)/python -m pip install --quiet --group fuzz || echo "no atheris here: seeded changes"
	for target in $(TARGETS); do $(BIN)/python -m tests.fuzz $$target --seconds $(SECONDS) || exit 1; done

# Known faults of the packages that are installed; asks a server, so it is no part of make check.
audit: setup
	$(BIN)/python -m pip install --quiet --group audit
	$(BIN)/pip-audit --skip-editable

# Heads on real photographs, which are not part of the project: make bench-real DATA=../data. Goes on where it was stopped.
OUT ?= runs/real
bench-real: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.real $(DATA) --out $(OUT)

# Speed and memory: about half an hour on 2 quiet cores. docs/reference/results.md and docs/log/speed.md have the tables.
bench: setup
	$(BIN)/python -m benchmarks.inference published
	$(BIN)/python -m benchmarks.inference levels
	$(BIN)/python -m benchmarks.inference backbones
	$(BIN)/python -m benchmarks.inference heads
	$(BIN)/python -m benchmarks.inference exported
	$(BIN)/python -m benchmarks.training published
	$(BIN)/python -m benchmarks.training levels
	$(BIN)/python -m benchmarks.training backbones
	$(BIN)/python -m benchmarks.training heads
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.metrics_speed

# Accuracy: the demo from three seeds.
bench-digits: setup
	$(BIN)/python -m benchmarks.seeds --out runs/bench --seeds 0 1 2 -- --config configs/digits.yaml

clean:
	rm -rf .venv .venv-wheel runs data dist site
