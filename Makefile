# `make demo`, `make test` and `make docs` each install what they need into .venv, once.

# The newest that is there and has its venv module. That it runs must be tried: a name on the path
# may stand for a Python that is not installed, and Debian keeps ensurepip apart.
VERSIONS := 3.13 3.12 3.11
PYTHON ?= $(firstword $(foreach version,$(VERSIONS),$(shell \
    python$(version) -c 'import ensurepip' 2>/dev/null && echo python$(version))))
PYTHON := $(PYTHON)
VERSION := $(shell $(or $(PYTHON),false) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := constraints/python$(VERSION).txt
INSTALLED := .venv/python$(VERSION)
BIN := .venv/bin

.PHONY: demo test lint format docs linkcheck constraints wheel clean

define DEMO_NEXT

Next, each with --help:
  another model      $(BIN)/python -m ocelot_jax.main --config=configs/demo.py:cell_only --workdir=runs/cell_only
  cells in an image  $(BIN)/python -m ocelot_jax.predict --workdir=runs/demo --input=IMAGE --mpp=0.25 --output=cells
  your own pairs     $(BIN)/python -m ocelot_jax.main --config=configs/crc.py --config.data.source=FOLDER_OR_ZIP --workdir=runs/mine
endef
export DEMO_NEXT

# Times are those of two cores.
demo: $(INSTALLED)
	@echo '1 of 3: draws 448 pairs of patches (a minute, once), trains three epochs (three minutes)'
	$(BIN)/python -m ocelot_jax.main --config=configs/demo.py --workdir=runs/demo
	@echo '2 of 3: scores the best epoch and the untrained network on the test split (a minute)'
	$(BIN)/python -m ocelot_jax.evaluate --workdir=runs/demo --split=test --untrained
	@echo '3 of 3: makes a page of it (ten seconds)'
	$(BIN)/python -m ocelot_jax.report runs/demo > /dev/null
	@echo; echo 'Look at, in a browser:'; $(BIN)/python -c 'import pathlib; \
	    print(" ", pathlib.Path("runs/demo/report/index.html").resolve().as_uri())'
	@echo "$$DEMO_NEXT"

test: $(INSTALLED) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A warning, such as of a link to a page that is not there, is an error.
SPHINX := $(BIN)/python -m sphinx -W --keep-going

docs: $(INSTALLED)-docs
	$(SPHINX) -b html docs docs/_build/html

# Asks the hosts of the links that leave the site, for which it needs the internet.
linkcheck: $(INSTALLED)-docs
	$(SPHINX) -b linkcheck docs docs/_build/linkcheck

# Both distributions, and the wheel tried in an empty environment, with the versions of CONSTRAINTS.
wheel: $(INSTALLED)
	rm -rf build dist
	$(BIN)/uv build --quiet
	$(BIN)/python tests/try_wheel.py dist

# The newest releases that go together, for each Python; `make test PYTHON=...` then tries them.
constraints: $(INSTALLED)
	for version in $(VERSIONS); do \
	    $(BIN)/uv pip compile --quiet --upgrade --extra dev --extra docs --no-annotate \
	        --python-version $$version --python-platform x86_64-manylinux_2_28 \
	        --custom-compile-command 'make constraints' \
	        --output-file constraints/python$$version.txt setup.cfg || exit 1; \
	done

clean:
	rm -rf .venv build dist docs/_build *.egg-info

# uv resolves and downloads in parallel, which pip does one by one
$(INSTALLED): setup.cfg pyproject.toml $(wildcard $(CONSTRAINTS))
	$(if $(filter $(VERSION),$(VERSIONS)),,$(error \
	    want Python $(VERSIONS) with its venv module (Debian: python3-venv), found "$(PYTHON)" $(VERSION); \
	    name one: make PYTHON=/path/to/python))
	@echo 'Installs what is needed into .venv, once (a minute or two)'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

$(INSTALLED)-docs: $(INSTALLED)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c $(CONSTRAINTS) -e '.[docs]'
	touch $@
