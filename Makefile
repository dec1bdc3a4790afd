# make run    set up .venv and start the app        PORT=7861 HOST=0.0.0.0 make run
# make test   set up everything and run every test  make test TESTS=tests/dinov TEST_PROCESSES=1
# make check  format, lint, types, architecture
# make clean  remove both environments and caches

HOST ?= 127.0.0.1
PORT ?= 7860
TESTS ?= tests
# Each takes up to 4 GB. A file of tests stays together: its models and servers are made once.
TEST_PROCESSES ?= 2
PYTEST_ARGS ?=
.DEFAULT_GOAL := run
.PHONY: run test check format clean

BIN := .venv/bin
# A stamp carries the checksum of what it installed: nothing is installed twice, a change always is.
RUN_STAMP := .venv/installed-run-$(shell cksum < requirements.txt | cut -d' ' -f1)
DEV_STAMP := .venv/installed-dev-$(shell cat requirements*.txt pyproject.toml | cksum | cut -d' ' -f1)

# Libraries that read what we export: apart, because they want other versions than we do.
READERS := .venv-readers
READERS_STAMP := $(READERS)/installed-$(shell sed -n '/^readers = /,/^]/p' pyproject.toml | cksum | cut -d' ' -f1)

run: $(RUN_STAMP)
	@exec $(BIN)/python app.py serve --host "$(HOST)" --port "$(PORT)"

test: $(DEV_STAMP) $(READERS_STAMP)
	@.ci/test-tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(TESTS) $(PYTEST_ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv $(READERS) .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@.ci/make-venv

$(RUN_STAMP): | $(BIN)/python
	@echo "Installing what the app needs (several minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@rm -f .venv/installed-run-* && touch $@

$(DEV_STAMP): | $(RUN_STAMP)
	@echo "Installing the development tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --group train \
		-r requirements-cluster.txt
	@rm -f .venv/installed-dev-* && touch $@

$(READERS_STAMP): | $(BIN)/python
	@echo "Installing the libraries that read our exports, in $(READERS) (a minute) ..."
	@$(BIN)/python -m venv $(READERS)
	@$(READERS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(READERS)/bin/python -m pip install --quiet --disable-pip-version-check --group readers
	@rm -f $(READERS)/installed-* && touch $@
