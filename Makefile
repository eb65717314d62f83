# fer_features. `make help` lists what can be done.

PYTHON  ?= python3
VENV    ?= .venv
DATA    ?= sample
WEIGHTS ?=
COMMA   := ,
SPLIT   ?= $(if $(filter %.csv %.gz %.tgz %.tar %.xz %.zip,$(DATA)),usage --drop twins$(COMMA)learnt)
CHOICE  ?=
# fernet's weights have learnt from FER2013's Training part, which other splits would score.
FERNET  ?= $(if $(filter sample,$(DATA))$(filter usage,$(SPLIT))$(if $(SPLIT),,yes),yes)
EXTRACT ?=
FIT     ?=

FER := $(VENV)/bin/fer
BIN := $(VENV)/bin
FIT_ALL := fit --head all $(if $(SPLIT),--split $(SPLIT)) $(FIT)

.DEFAULT_GOAL := help
.PHONY: help setup compare test test-ray test-oldest test-all lint format bench build clean

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 21
	@echo
	@echo '  make compare DATA=path/to/fer2013.csv    is the real job; WEIGHTS=imagenet (a download of'
	@echo '  219 MB), a file or random:0 adds InceptionResNetV2 to it'
	@echo '  SPLIT=grouped|reference|usage (of a fer2013.csv: usage, which all weights allow),'
	@echo '  CHOICE="--task seven, say", EXTRACT="flags for the network",'
	@echo '  FIT="flags for the heads", PYTHON=python3.12'

compare: $(VENV)/.installed ## features of HOG, fernet and EfficientNet-Lite0, all heads on each, the table and the report
ifneq ($(FERNET),)
	@$(FER) extract "$(DATA)" --backbone fernet --views flip $(CHOICE)
	@$(FER) $(FIT_ALL) --views flip || \
	  { [ $$? -eq 2 ] && echo 'fernet is left out of the table' >&2; }
else
	@echo "fernet is left out: its weights may have seen what --split $(SPLIT) scores" >&2
endif
	@$(FER) extract "$(DATA)" --backbone hog $(CHOICE)
	@$(FER) $(FIT_ALL)
	@$(FER) extract "$(DATA)" --backbone efficientnet_lite0 --views flip $(CHOICE) $(EXTRACT)
	@$(FER) $(FIT_ALL) --views flip
ifneq ($(WEIGHTS),)
	@$(FER) extract "$(DATA)" --weights "$(WEIGHTS)" $(CHOICE) $(EXTRACT)
	@$(FER) $(FIT_ALL)
endif
	@$(FER) compare
	@$(FER) report

setup: $(VENV)/.installed-dev ## make .venv with everything that development needs

test: $(VENV)/.installed-dev ## run the tests but those marked long (TESTS=path/to/test.py for some)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long and not ray" $(TESTS)

test-ray: $(VENV)/.installed-dev ## install Ray and run its tests: a cluster whose workers, nodes and driver are killed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ray]'
	@$(BIN)/python -m pytest -m ray tests/ray

test-oldest: ## run the tests with the oldest dependencies that are allowed, in .venv-oldest
	@$(PYTHON) -m venv .venv-oldest
	@$(PYTHON) tools/lower_bounds.py > .venv-oldest/constraints.txt
	@.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint .venv-oldest/constraints.txt --editable '.[dev]'
	@.venv-oldest/bin/python -m pytest -m "not long and not ray" $(TESTS)

test-all: $(VENV)/.installed-dev ## run all tests, as before a change lands
	@$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev ## check style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.installed-dev ## put the code into the house style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## images/s of each engine here, beside the usual Keras recipe (python -m benchmarks for the rest)
	@$(BIN)/python -m benchmarks speed

build: $(VENV)/.installed-dev ## build wheel and sdist into dist/
	@$(BIN)/python -m build

clean: ## remove what was built; caches and runs stay
	@rm -rf $(VENV) .venv-oldest build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'error: Python 3.11 or newer is needed' >&2; \
	    echo 'hint: make PYTHON=python3.12, say' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'installing into $(VENV) (TensorFlow is large; a few minutes) ...' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[imagenet]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo 'installing into $(VENV) with the tools of development (a few minutes) ...' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
