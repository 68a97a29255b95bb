# make demo   fine-tunes a small network on embedded data: about a minute after the installation
# make test   runs the tests
# make faults proves what is promised about faults and attacks: about 4 minutes; make faults-short: about 2
PYTHON ?= python3
BIN := .venv/bin

# Tests that walk all networks: long, independent of one another, and each on one core.
WALKS := tests/models tests/inference tests/export tests/train/test_gradient.py
# Tests that start several processes, or measure time.
ALONE := tests/end_to_end tests/serve tests/runs tests/train/distributed tests/doctor tests/benchmarks

.PHONY: demo test test-slow faults faults-short lint format clean

demo: .venv/ready
	$(BIN)/hubtune demo

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow -n 2 $(WALKS)
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(patsubst %,--ignore=%,$(WALKS) $(ALONE))
	$(BIN)/python -m pytest -m slow $(ALONE)

faults: .venv/ready
	$(BIN)/python -m benchmarks.faults

faults-short: .venv/ready
	$(BIN)/python -m benchmarks.faults --short

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "hubtune needs Python 3.11, 3.12 or 3.13, not $$($(PYTHON) --version 2>&1): make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,test]"
	@touch $@

clean:
	rm -rf .venv hubtune-demo .pytest_cache .mypy_cache .ruff_cache
