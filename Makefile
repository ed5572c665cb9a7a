PYTHON   ?= python3
BACKENDS ?= torch tensorflow
MARKS    ?= not slow
JOBS     ?= 2

BACKEND_TESTS = $(BACKENDS:%=test-%)
INSTALL = $(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: demo test test-backends $(BACKEND_TESTS) lint bench

demo: .venv/.light
	.venv/bin/supple demo

test: .venv/.dev
	.venv/bin/python -m pytest -n $(JOBS) --durations=20 -m "($(MARKS)) and not gpu"

test-backends: $(BACKEND_TESTS)

$(BACKEND_TESTS): test-%: .venv-%/.test
	OMP_NUM_THREADS=1 KERAS_BACKEND=$* .venv-$*/bin/python -m pytest -n $(JOBS) -m "backend and ($(MARKS)) and not gpu"

lint: .venv/.dev
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

bench: .venv/.dev
	for script in benchmarks/*.py; do .venv/bin/python $$script || exit 1; done

# The stamps: an environment is installed again only when pyproject.toml has changed.
.venv/.light: pyproject.toml
	$(INSTALL) . && touch $@

.venv/.dev: pyproject.toml
	$(INSTALL) ".[dev]" && touch $@

.venv-%/.test: pyproject.toml
	$(INSTALL) ".[test,$*]" && touch $@
