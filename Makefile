# Everything works from a fresh clone: each target makes .venv first if it is not there.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test lint site bench clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

demo: $(INSTALLED)
	$(BIN)/graphreid demo --out demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# the documentation as HTML in build/site; a dead link fails
site: $(INSTALLED)
	$(BIN)/sphinx-build -q -W --keep-going -c docs . build/site

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.run --shape market
	$(BIN)/python -m benchmarks.online
	$(BIN)/python -m benchmarks.table

clean:
	rm -rf demo .venv build dist src/*.egg-info
