PYTHON ?= python3.11
VENV ?= .venv
SCALE ?= laptop
FROM ?=
ABLATIONS ?=
SPEED ?=
export CHROMIUM ?= /usr/bin/chromium

# One thread per process: MD and Snakemake start one process per core; training sets its own number.
export OMP_NUM_THREADS ?= 1
export PATH := $(abspath $(VENV))/bin:$(PATH)
INSTALLED := $(VENV)/.installed
TOOLS := _build/tools

.DEFAULT_GOAL := help
.PHONY: help book look pdf test fuzz reproduce lint lock audit clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

$(INSTALLED): requirements.lock torch.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and f"Python 3.11 is needed, not {v}: make PYTHON=...")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet -r torch.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps -e .
	$(VENV)/bin/python -m pip check
	touch $@

book: $(INSTALLED) ## build the book from the executed notebooks into _build/html
	jupyter-book build -W -n --keep-going book/

look: book ## look at each page in headless Chromium (needs chromium, node and npm): errors, accessibility, width, weight
	npm install --prefix workflow/look --no-audit --no-fund --silent
	node workflow/look/look.js _build/html

pdf: book ## print the book into _build/book.pdf, with headless Chromium (needs chromium, node and npm)
	npm install --prefix workflow/look --no-audit --no-fund --silent
	node workflow/look/print.js _build/html _build/book.pdf

test: $(INSTALLED) ## unit tests, and the notebooks rerun and compared (nbval)
	python -m pytest --nbval --nbval-current-env -n auto --maxprocesses 4 --dist loadfile

fuzz: $(INSTALLED) ## read 20,000 files damaged at random, try wrong inputs, kill jobs; records what escaped
	python workflow/fuzz.py

reproduce: $(INSTALLED) ## run the notebooks: SCALE=smoke|laptop|gpu|paper, FROM=md runs the MD too, ABLATIONS=1 retrains the ablations, SPEED=1 times anew; resumes
	python workflow/run.py --cores all --rerun-incomplete --config scale=$(SCALE) $(if $(FROM),from=$(FROM)) $(if $(ABLATIONS),ablations=$(ABLATIONS)) $(if $(SPEED),speed=$(SPEED))
	$(if $(filter laptop gpu,$(SCALE)),$(MAKE) book)

lint: $(INSTALLED) ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

# Of these two alone, and of no use to who reads or runs the paper.
$(TOOLS)/.installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet uv==0.13.9 pip-audit==2.10.1
	touch $@

lock: $(INSTALLED) $(TOOLS)/.installed ## write the hashes of the versions in requirements.lock into it
	python workflow/lock.py $(TOOLS)/bin/uv

audit: $(TOOLS)/.installed ## look up known vulnerabilities of what is locked; fails too if any package could not be looked up
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock
	$(TOOLS)/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r torch.lock

clean: ## remove everything that the targets above make, but for data, trained models and what you made by hand, in runs/own
	rm -rf $(VENV) _build .snakemake $(filter-out runs/own,$(wildcard runs/*)) .pytest_cache .mypy_cache .ruff_cache
