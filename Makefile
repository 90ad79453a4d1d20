# Every target makes what it needs, from a bare `python3` with venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready

# pip compiles what it installs file by file; this takes all processors. What fails are other Pythons' files.
COMPILE := -m compileall -qq -j 0 -x '/tests?/'

# An editable install remembers its folder, so a checkout that was moved or copied is set up anew:
# otherwise its tests would run the old folder's code.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif
ifneq ($(shell cat $(BENCH_READY) 2>/dev/null),$(CURDIR))
.PHONY: $(BENCH_READY)
endif

.PHONY: setup demo test test-all check format bench bench-quick accuracy docs tutorial pages pictures build clean

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gatelight needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing gatelight and its tools into $(VENV) (torch is large: this takes minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	@$(BIN)/python $(COMPILE) $(VENV)/lib || true
	@printf '%s\n' '$(CURDIR)' > $@

demo: $(READY)
	$(BIN)/python tools/demo.py

# On several processors, each with whole files, since tests of a file share what is dear to set up; in the order
# of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

# Tools are called as modules: the scripts in bin/ name the folder in which they were installed.
check: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: $(READY)
	$(BIN)/python -m ruff check --fix-only --quiet .
	$(BIN)/python -m ruff format .

# The libraries that gatelight is compared with have an environment of their own: nothing else needs them.
$(BENCH_READY): pyproject.toml benchmarks/requirements.txt
	@$(BENCH)/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(BENCH)
	@echo "installing gatelight and what it is compared with into $(BENCH) (this takes minutes the first time)"
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --editable . -r benchmarks/requirements.txt
	@$(BENCH)/bin/python $(COMPILE) $(BENCH)/lib || true
	@printf '%s\n' '$(CURDIR)' > $@

bench: $(BENCH_READY)
	$(BENCH)/bin/python -m benchmarks

bench-quick: $(BENCH_READY)
	$(BENCH)/bin/python -m benchmarks --quick

accuracy: $(BENCH_READY)
	$(BENCH)/bin/python -m benchmarks.accuracy

# Runs the pages' code; `make tutorial WRITE=--write` also puts what it prints and draws into them. With EMPTY=--empty
# they run where only that is installed which the pages themselves install, as a reader does it.
tutorial: $(READY)
	$(BIN)/python tools/pages.py docs/tutorial/*.md $(WRITE) $(EMPTY)

pages: $(READY)
	$(BIN)/python tools/pages.py README.md docs/index.md docs/how-to/*.md docs/explanation/*.md $(WRITE) $(EMPTY)

# What the README and the docs show of the page, taken in a headless Chromium.
pictures: $(READY)
	$(BIN)/gatelight train rotten-tomatoes --out build/critic --test-fraction 0.2
	$(BIN)/python tools/pictures.py build/critic

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# The type marker is a file that nothing imports, so only looking shows whether it was packed.
build: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m zipfile --list dist/*.whl | grep 'gatelight/py.typed'
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) $(BENCH) benchmarks/.scratch dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
