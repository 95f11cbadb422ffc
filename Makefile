# The one entry point: `make help`. Make is the dependency graph of the book; what takes more than a line of shell is a
# command of book/companion. GNU make from 3.81 on, and the tools of Linux and of macOS.

# What is given on the command line may hold anything: it is never expanded, and commands read it in their environment.
NAMES := NAME P PROFILE MANIFEST FOLDER YES A B METRIC RESULTS CORPUS
GIVEN := $(foreach name,$(NAMES),$(if $(filter command,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(GIVEN),$(NAMES)),$(eval $(name) :=)$(eval unexport $(name)))
PYTHON ?= python3
$(foreach name,$(GIVEN) PYTHON $(foreach name,DATA_HOME GTZAN_URL GTZAN_MINI_URL,$(if $(value $(name)),$(name))),\
  $(eval override $(name) := $$(value $(name)))$(eval export $(name)))

ifeq ($(PROFILE),)
override PROFILE := book
endif
PROFILES := $(basename $(notdir $(wildcard book/params/*.yaml)))
ifneq ($(words $(PROFILE))-$(filter $(PROFILES),$(PROFILE)),1-$(PROFILE))
$(error PROFILE=$(PROFILE) is none of: $(PROFILES))
endif
ASKED := $(if $(NAME),,$(filter P MANIFEST FOLDER,$(GIVEN)))
OTHERS := $(filter-out book render,$(or $(MAKECMDGOALS),help))
ifneq ($(and $(ASKED),$(OTHERS)),)
$(error $(firstword $(ASKED))=… is for make book and make render, not for: $(OTHERS))
endif

# As many jobs as there are cores, one thread each, unless -j says otherwise (make 3.81 does not know by now what it said).
CORES := $(shell getconf _NPROCESSORS_ONLN)
ifeq ($(MAKELEVEL)$(filter -j% --jobs%,$(shell ps -o args= -p $$PPID 2> /dev/null)),0)
MAKEFLAGS += -j$(CORES)
endif
JOBS = $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),$(CORES))
$(foreach library,OMP OPENBLAS MKL NUMBA,$(eval export $(library)_NUM_THREADS := 1))
export PYTHONHASHSEED := 0
# Seeds of a notebook are trained side by side as well; where notebooks are small, starting processes costs more.
ifeq ($(PROFILE),smoke)
export LOKY_MAX_CPU_COUNT := 1
endif
# Caches and settings of its own: nothing of the user's changes a run, nothing of a run stays in the user's folders.
export NUMBA_CACHE_DIR := $(CURDIR)/_build/cache/numba
export MPLCONFIGDIR := $(CURDIR)/_build/cache/matplotlib
export IPYTHONDIR := $(CURDIR)/_build/cache/ipython
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

BIN := .venv/bin
READY := .venv/.ready
COMPANION := $(BIN)/python -m companion
# Options of a make within make: the environment is there.
AGAIN := --no-print-directory -o $(READY)
# A build is a folder. P, MANIFEST and FOLDER ask for one of their own, NAME, which holds its profile, and may hold a
# table of contents and the notice that it is a variation: book/companion/build.py.
BUILD := _build/$(or $(NAME),$(PROFILE))
HTML := $(if $(filter _build/book,$(BUILD)),_build/html,$(BUILD)/html)
VALUES := $(firstword $(if $(NAME),$(wildcard $(BUILD)/profile.yaml)) book/params/$(PROFILE).yaml)
TOC := $(firstword $(wildcard $(BUILD)/front/_toc.yml) _toc.yml)
NOTICE := $(wildcard $(BUILD)/notice.yml)
NOTEBOOKS := $(wildcard $(addsuffix .ipynb,$(shell sed -n 's/^.*file: *//p; s/^ *root: *//p' $(TOC))))
EXECUTED := $(NOTEBOOKS:book/%=$(BUILD)/executed/%)
ARTICLE := paper/neurips_2024.pdf
CODE := $(filter-out %.pyc,$(wildcard vae_lib/*.* vae_lib/*/*.* book/companion/*.*))

.DEFAULT_GOAL := help
.PHONY: help setup book render songs compare paper release lab data embed \
  peers test test-all test-processors nbval smoke references bench lock clean
.SUFFIXES:

help:  ## list the targets; times are those of two cores
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 17
	@echo
	@echo "PROFILE=$(PROFILE) ($(PROFILES)), PYTHON=$(PYTHON), jobs side by side: $(JOBS) (make -j1: one by one)"
	@echo "P=\"beta=8 easy.seeds=3\" with book or render: a variation, in a build of its own"
	@echo "MANIFEST=songs.csv or FOLDER=folder with book: a book about your own music (YES=1: of very many files)"

setup: $(READY)  ## create .venv with the pinned packages, 2 min; the other targets do it when it is missing

$(READY): requirements.txt pyproject.toml
	@command -v "$$PYTHON" > /dev/null || { echo "error: no PYTHON=$$PYTHON here; name a Python from 3.11 on" >&2; exit 1; }
	@"$$PYTHON" book/companion/environment.py
	@touch $@

ifneq ($(ASKED),)
book render: $(READY)
	@name=$$($(COMPANION) derive $(PROFILE)) && $(MAKE) $(AGAIN) $@ NAME="$$name"
else
book: $(HTML)/index.html  ## execute what is stale and render the book, _build/html/index.html; 15 to 25 min the first time
	@echo "$< is up to date"

render: $(READY)  ## render the prose again without executing a notebook that has been executed before, 1 min
	@$(MAKE) $(AGAIN) book $(patsubst %,-o %,$(wildcard $(EXECUTED)))
endif

# All profiles and notebooks are checked before the first kernel starts. A file of effective parameters is written only
# when it differs, so a change re-executes the notebooks whose own parameters changed.
$(BUILD)/params/.resolved: $(VALUES) $(NOTEBOOKS) $(TOC) | $(READY)
	@$(COMPANION) resolve $< $(NOTEBOOKS) --into $(@D)
	@touch $@

$(BUILD)/params/%.json: $(BUILD)/params/.resolved
	@test -e $@ || $(COMPANION) resolve $(VALUES) $(NOTEBOOKS) --into $(@D)

# A run notes in deps/<notebook>.d which modules and data it read.
$(EXECUTED): $(BUILD)/executed/%.ipynb: book/%.ipynb $(BUILD)/params/%.json requirements.txt | $(READY)
	@mkdir -p $(IPYTHONDIR) $(MPLCONFIGDIR) $(NUMBA_CACHE_DIR)
	@$(COMPANION) run $< --parameters $(BUILD)/params/$*.json --build $(BUILD) --newer "$?" --vector \
	  $(if $(NOTICE),--base _build/$(PROFILE) --needs "$^")
-include $(wildcard $(BUILD)/deps/*.d)
# The page of results reads the rows of the other pages; both pages about songs write the same songs to try.
$(BUILD)/executed/results.ipynb: $(filter-out %/results.ipynb,$(EXECUTED))
$(BUILD)/executed/own_clusters.ipynb: | $(BUILD)/executed/own.ipynb

# The reference pages are made from the code; every book carries the article.
$(HTML)/index.html: $(EXECUTED) $(CODE) $(ARTICLE) _config.yml $(TOC) $(NOTICE) pyproject.toml $(wildcard book/*.md \
  book/*/*.md book/_html/* book/images/* book/params/*.yaml paper/*.* paper/results/* $(BUILD)/front/*.* $(BUILD)/front/*/*)
	@$(COMPANION) render $(BUILD) --html $(HTML) --needs "$^"
.PRECIOUS: $(EXECUTED) $(HTML)/index.html $(BUILD)/params/%.json

songs: $(READY)  ## write synthetic songs as files, to try: make book MANIFEST=songs.csv (or FOLDER=folder)
	@$(COMPANION) songs

compare: $(READY)  ## two runs side by side: make compare A=book B=book+beta=8 METRIC=ari
	@$(COMPANION) compare "$$A" "$$B" --metric "$$METRIC"

paper: $(if $(RESULTS),,$(ARTICLE)) | $(READY)  ## set the article, seconds; RESULTS=_build/book/results: from the rows of your run
	@$(if $(RESULTS),$(COMPANION) article --results "$$RESULTS",echo "$(ARTICLE) is up to date")

$(ARTICLE): $(wildcard paper/*.typ paper/sections/*.typ paper/results/*.json paper/results/figures/*.svg paper/*.toml) \
  paper/refs.bib $(wildcard data/evidence/published.csv book/companion/article.py book/companion/report.py) | $(READY)
	@$(COMPANION) article

release: $(EXECUTED)  ## keep rows and figures of this run in paper/results: what the article prints
	@$(COMPANION) keep $(BUILD) --into paper/results

# What it saves has no outputs: the sources stay as clean as they were.
lab: $(READY)  ## open the clean notebooks in JupyterLab
	@$(BIN)/jupyter lab book --ContentsManager.pre_save_hook=companion.execute.clear_outputs

data: $(READY)  ## download GTZAN and verify each file: make data DATA_HOME=folder GTZAN_URL=address
	@set -f; $(COMPANION) data $$CORPUS

embed: $(READY)  ## derive the embedded corpora again: make embed DATA_HOME=folder CORPUS=name
	@set -f; $(BIN)/python data/rebuild.py $$CORPUS

peers: $(READY)  ## train DEC, IDEC, DCN and VaDE of ClustPy again: data/evidence/peers.npz, about 1 h
	@$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[peers]"
	@$(BIN)/python data/peers.py

PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
CHECK = $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && $(PYTEST) tests --nbval --build=_build/smoke

smoke: $(READY)  ## build the small book that the tests read, 4 min
	@$(MAKE) $(AGAIN) book PROFILE=smoke NAME=

test: smoke  ## build the small book and check it and the library, 6 to 10 min
	@$(CHECK) -m "not slow"

test-all: smoke  ## all tests: whole books, every page in a browser, long calibrations too, 10 to 20 min
	@$(CHECK) --durations=25

test-processors: smoke  ## compare numbers under the kernels of other processors
	@$(BIN)/python tests/processors.py

nbval: $(READY)  ## execute the quickest references again and compare, 1 min
	@$(PYTEST) --nbval $(addprefix tests/nbval/,methods.ipynb own.ipynb)

references: smoke  ## regenerate the references that tests compare with from the small book
	@$(BIN)/python tests/goldens.py

bench: $(READY)  ## measure ours against the usual way: _build/bench.json
	@$(BIN)/python -m benchmarks

lock: $(READY)  ## regenerate requirements.txt from the ranges in pyproject.toml
	@env -u UV_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --quiet --extra book --extra test \
	  --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock" -o requirements.txt

clean:  ## remove everything generated; .venv stays
	@rm -rf _build
