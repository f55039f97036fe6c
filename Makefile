# The whole vocabulary of the project. Each target makes its own set-up: Python 3.11+ and make are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := .ocrlty/demo
UV_VERSION := 0.13.9

.PHONY: demo up test lint bench lock
.DEFAULT_GOAL := demo

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("OCRlty needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made: on Debian, apt install python3-venv."; exit 1; }
	@echo "Installing what requirements.lock pins ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: $(READY)  ## Draw 16 receipts, import them, extract and evaluate them, show the result
	@$(BIN)/python -m examples.make_receipts $(DEMO) --count 16
	@DATA_ROOT=$(DEMO) $(BIN)/ocrlty import $(DEMO)/images --name demo --gt $(DEMO)/ground_truth.json
	@DATA_ROOT=$(DEMO) $(BIN)/ocrlty run demo --task receipt_fields_v1 --backend ocr --fresh

up: $(READY)  ## PostgreSQL, Dagster's webserver and daemon, the HTTP API
	@$(BIN)/ocrlty up

test: $(READY)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(READY)  ## A batch beside the bare client; runs through the queue beside Dagster's own launcher; the online lane; many runs; a large evaluation; the API; OCR in several processes; 100,000 images
	@$(BIN)/python -m benchmarks.batch
	@$(BIN)/python -m benchmarks.queued_runs
	@$(BIN)/python -m benchmarks.online
	@$(BIN)/python -m benchmarks.soak
	@$(BIN)/python -m benchmarks.evaluation
	@$(BIN)/python -m benchmarks.api
	@$(BIN)/python -m benchmarks.ocr
	@$(BIN)/python -m benchmarks.large_set

lock: $(READY)  ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 --no-header --upgrade --quiet -o requirements.lock
