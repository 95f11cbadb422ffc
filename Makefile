# The one entry point: `make help`. Make is the dependency graph of the book; what it calls is in book/companion/execute.py.

PYTHON ?= python3
PROFILE ?= book

PROFILES := $(basename $(notdir $(wildcard book/params/*.yaml)))
ifneq ($(words $(PROFILE))-$(filter $(PROFILES),$(PROFILE)),1-$(PROFILE))
$(error PROFILE=$(PROFILE) is none of: $(PROFILES))
endif

# One thread per process: results repeat, and Make runs the processes side by side (-j).
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1
export PYTHONHASHSEED := 0
# Caches and settings of its own: nothing of the user's changes a run, nothing of a run stays in the user's folders.
export NUMBA_CACHE_DIR := $(CURDIR)/_build/cache/numba
export MPLCONFIGDIR := $(CURDIR)/_build/cache/matplotlib
export IPYTHONDIR := $(CURDIR)/_build/cache/ipython
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

# Notebooks run in their own folder: a relative path must mean the same there.
ifdef DATA_HOME
override export DATA_HOME := $(if $(filter /%,$(firstword $(DATA_HOME))),$(DATA_HOME),$(CURDIR)/$(DATA_HOME))
endif

BIN := .venv/bin
READY := .venv/.ready
# A variation, `make book P="beta=8"`, and a book about your own music, MANIFEST or FOLDER, are profiles of their own:
# book/companion/vary.py and book/companion/own.py name them and write them into their builds.
DERIVED := $(or $(OWN),$(VARIATION))
BUILD := _build/$(or $(DERIVED),$(PROFILE))
VALUES := $(if $(DERIVED),$(BUILD)/profile.yaml,book/params/$(PROFILE).yaml)
HTML := $(if $(filter _build/book,$(BUILD)),_build/html,$(BUILD)/html)
ifneq ($(strip $(P)),)
ifneq ($(filter-out book render,$(MAKECMDGOALS)),)
$(error P="$(P)" is for make book and make render, not for: $(filter-out book render,$(MAKECMDGOALS)))
endif
endif

# Your own music. MANIFEST and FOLDER name it and may hold what Make cannot: they are never expanded, and go to the
# shell through the environment. What is made from them is a build of its own, OWN, with a front of its own.
YOURS := $(strip $(foreach name,MANIFEST FOLDER,$(if $(filter command,$(origin $(name))),$(name))))
override export MANIFEST := $(if $(filter MANIFEST,$(YOURS)),$(value MANIFEST))
override export FOLDER := $(if $(filter FOLDER,$(YOURS)),$(value FOLDER))
ifeq ($(OWN),)
ifneq ($(YOURS),)
ifneq ($(words $(YOURS))-$(if $(MANIFEST)$(FOLDER),given),1-given)
$(error give MANIFEST=songs.csv or FOLDER=folder, one of them, to make a book about your own music)
endif
endif
endif
FRONT := $(if $(OWN),$(BUILD)/front)
TOC := $(if $(OWN),$(FRONT)/)_toc.yml
CONFIG := $(if $(OWN),$(FRONT)/)_config.yml

PAGES := $(shell sed -n 's/^.*file: *//p; s/^ *root: *//p' $(TOC))
NOTEBOOKS := $(wildcard $(PAGES:=.ipynb))
PROSE := $(wildcard $(addsuffix .md,$(if $(OWN),$(filter-out book/index,$(PAGES)),$(PAGES))))
ARTICLE := paper/neurips_2024.pdf
STATIC := $(wildcard book/_html/* book/images/*) paper/refs.bib $(ARTICLE) paper/exhibits.csv
EXECUTED := $(NOTEBOOKS:book/%=$(BUILD)/executed/%)
PARAMETERS := $(NOTEBOOKS:book/%.ipynb=$(BUILD)/params/%.json)
# What makes pages of executed notebooks: no result depends on it.
RENDERING := $(wildcard book/companion/pages.py book/companion/reference.py book/companion/vary.py book/companion/article.py)
LIBRARY := $(filter-out $(RENDERING),$(wildcard vae_lib/*.py book/companion/*.py))
# What the reference pages are generated from while they are rendered.
REFERENCE := $(LIBRARY) $(RENDERING) $(wildcard book/params/*.yaml paper/results/history.csv pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup data embed songs book render compare paper paper-results test lab bench lock references clean
.SUFFIXES:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
	@echo
	@echo "PROFILE=$(PROFILE) ($(PROFILES)), PYTHON=$(PYTHON), make -j2: notebooks side by side"
	@echo "P=\"beta=8 easy.seeds=3\" with book or render: a variation, in a build of its own"

setup: $(READY)  ## create .venv with the pinned packages (the other targets do it when it is missing)

# The first stamp is there when every package of the lock is. An install that was cut short has none: it is dropped
# whole and done again, because pip takes half-copied packages for installed ones.
.venv/.locked: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, PYTHON=$(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there)" >&2; \
	  exit 1; }
	@if test -e $@; then rm $@; else $(PYTHON) -m venv --clear .venv; fi
	@echo "installing requirements.txt into .venv (a few minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@touch $@

$(READY): .venv/.locked pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

ifneq ($(strip $(P)),)
book render: $(READY)
	@variation=$$($(BIN)/python -m companion vary book/params/$(PROFILE).yaml $(NOTEBOOKS) --set "$$P") && \
	  $(MAKE) --no-print-directory $@ P= VARIATION="$$variation"
else ifneq ($(MANIFEST)$(FOLDER),)
book: $(READY)
	@own=$$($(BIN)/python -m companion own --manifest="$$MANIFEST" --folder="$$FOLDER" --values=$(VALUES)) && \
	  $(MAKE) --no-print-directory book OWN=$$own MANIFEST= FOLDER=
else
book: $(HTML)/index.html  ## execute what is stale and render the book: _build/html/index.html
	@echo "$< is up to date"

render:  ## render the prose again without executing a notebook that has been executed before
	@$(MAKE) --no-print-directory book $(patsubst %,-o %,$(wildcard $(EXECUTED)))
endif

songs: $(READY)  ## write synthetic songs as files, to try: make book MANIFEST=songs.csv (or FOLDER=folder)
	@$(BIN)/python -m companion songs

# All profiles and notebooks are checked before the first kernel starts. A file of effective parameters is written only
# when it differs, so a change re-executes the notebooks whose own parameters changed.
$(BUILD)/params/.resolved: $(VALUES) $(NOTEBOOKS) $(TOC) book/companion/execute.py | $(READY)
	@$(BIN)/python -m companion resolve $< $(NOTEBOOKS) --into $(@D)
	@touch $@

$(PARAMETERS): $(BUILD)/params/.resolved
	@test -e $@ || $(BIN)/python -m companion resolve $(VALUES) $(NOTEBOOKS) --into $(@D)

$(EXECUTED): $(BUILD)/executed/%.ipynb: book/%.ipynb $(BUILD)/params/%.json $(LIBRARY) requirements.txt | $(READY)
	@mkdir -p $(IPYTHONDIR) $(MPLCONFIGDIR) $(NUMBA_CACHE_DIR)
	@$(BIN)/python -m companion run $< --parameters $(BUILD)/params/$*.json --build $(BUILD) --newer "$?" \
	  $(if $(findstring j,$(filter-out --% VARIATION=% OWN=%,$(MAKEFLAGS)))$(findstring jobserver,$(MAKEFLAGS)),--parallel) --vector \
	  $(if $(VARIATION),--base _build/$(PROFILE) --needs "$^")
.PRECIOUS: $(EXECUTED)

# The embedded corpora that a notebook reads; tests/test_book.py compares these lines with the parameters.
$(BUILD)/executed/data.ipynb: $(wildcard data/*/*)
$(BUILD)/executed/methods.ipynb: $(wildcard data/gtzan_mini/*)
$(BUILD)/executed/audit.ipynb: $(wildcard data/gtzan_mini/*) data/evidence/published.csv
$(BUILD)/executed/easy.ipynb: $(wildcard data/gtzan_mini/*)
$(BUILD)/executed/medium.ipynb: $(wildcard data/songs_en_de/* data/lyrics_bn_en/*)
$(BUILD)/executed/hard.ipynb: $(wildcard data/songs_en_de/* paper/results/hard.json)
$(BUILD)/executed/ensembles.ipynb: $(wildcard data/gtzan_mini/*)
$(addprefix $(BUILD)/executed/,own.ipynb own_clusters.ipynb): $(wildcard $(BUILD)/corpus/* $(BUILD)/skipped.csv)
# One after the other: in the whole book both write the same songs.
$(BUILD)/executed/own_clusters.ipynb: | $(BUILD)/executed/own.ipynb
# The page of results reads the rows that the other pages wrote, and those of the article.
$(BUILD)/executed/results.ipynb: $(filter-out %/results.ipynb,$(EXECUTED)) $(wildcard paper/results/*.json) data/evidence/published.csv

# A variation says on every page that it is one: its notice goes under `html:` of the configuration.
NOTICE := $(if $(VARIATION),_build/$(VARIATION)/notice.yml)
# Sphinx reads a staged tree, from clean, with warnings as errors; the new pages replace the old ones when all is well.
$(HTML)/index.html: $(EXECUTED) $(PROSE) $(STATIC) $(REFERENCE) _config.yml $(TOC) $(NOTICE) \
  $(if $(OWN),$(wildcard $(FRONT)/_config.yml $(FRONT)/book/*)) | $(READY)
	@echo "rendering $(words $(PAGES)) pages"
	@rm -rf $(BUILD)/stage $(BUILD)/rendered
	@mkdir -p $(BUILD)/stage $(dir $(HTML))
	@tar -cf - _config.yml _toc.yml $(PROSE) $(STATIC) | tar -xf - -C $(BUILD)/stage
	@$(if $(OWN),cp -R $(FRONT)/. $(BUILD)/stage/)
	@$(BIN)/python -m companion stage $(BUILD) $(NOTEBOOKS) $(PROSE) --paper paper/results --into $(BUILD)/stage
	@$(if $(NOTICE),sed '/^html:/r $(NOTICE)' $(CONFIG) > $(BUILD)/stage/_config.yml)
	@touch $(BUILD)/stage
	@$(BIN)/jupyter-book build $(BUILD)/stage --path-output $(BUILD)/rendered -W -n --keep-going \
	  > $(BUILD)/render.log 2>&1 || { \
	  echo "error: the book was not rendered; the last one is as it was. From $(BUILD)/render.log:" >&2; \
	  grep -E 'WARNING|ERROR|Error:|rror in' $(BUILD)/render.log >&2 || tail -n 12 $(BUILD)/render.log >&2; exit 1; }
	@$(BIN)/python -m companion trim $(BUILD)/rendered/_build/html $(NOTEBOOKS)
	@touch -r $(BUILD)/stage $(BUILD)/rendered/_build/html/index.html
	@rm -rf $(BUILD)/replaced
	@if test -e $(HTML); then mv $(HTML) $(BUILD)/replaced; fi
	@mv $(BUILD)/rendered/_build/html $(HTML)
	@rm -rf $(BUILD)/replaced $(BUILD)/rendered
.PRECIOUS: $(HTML)/index.html

compare: $(READY)  ## two runs side by side: make compare A=book B=book+beta=8 METRIC=ari
	@$(BIN)/python -m companion compare "$(A)" "$(B)" $(if $(METRIC),--metric "$(METRIC)")

paper: $(if $(RESULTS),,$(ARTICLE)) | $(READY)  ## set the article; RESULTS=_build/book/results: from the rows of your own run
	@$(if $(RESULTS),$(BIN)/python -m companion article --results "$(RESULTS)",echo "$(ARTICLE) is up to date")

# Every book that is rendered carries it, so it is set before.
$(ARTICLE): $(wildcard paper/*.typ paper/sections/*.typ paper/results/*.json paper/results/figures/*.svg paper/claims.toml \
  data/evidence/published.csv $(addprefix vae_lib/,article.py metrics.py report.py scaling.py)) paper/refs.bib | $(READY)
	@$(BIN)/python -m companion article
paper/exhibits.csv: $(ARTICLE)
	@test -e $@ || $(BIN)/python -m companion article

# A recipe of its own, so that the profile is that of the article whatever PROFILE says.
paper-results: $(READY)  ## run the study on everything under DATA_HOME and keep its rows and figures in paper/results
	@test -n "$(DATA_HOME)" || { echo "error: say where the music is: make paper-results DATA_HOME=folder" >&2; exit 1; }
	@$(MAKE) --no-print-directory book PROFILE=paper
	@$(BIN)/python -m companion keep _build/paper --into paper/results

test: $(READY)  ## build the smoke book, then check and test everything
	@$(MAKE) --no-print-directory book PROFILE=smoke
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/python -m pytest tests -rs --nbval --nbval-sanitize-with tests/nbval/sanitize.cfg --nbval-cell-timeout 300

references: $(READY)  ## regenerate the nbval references from the smoke book
	@$(MAKE) --no-print-directory book PROFILE=smoke
	@$(BIN)/python tests/nbval/regenerate.py

# What it saves has no outputs: the sources stay as clean as they were.
lab: $(READY)  ## open the clean notebooks in JupyterLab
	@$(BIN)/jupyter lab book --ContentsManager.pre_save_hook=companion.execute.clear_outputs $(LAB)

data: $(READY)  ## download GTZAN and verify each file: make data DATA_HOME=folder GTZAN_URL=address
	@$(BIN)/python -m companion data $(CORPUS)

embed: $(READY)  ## derive the embedded corpora again from audio and lyrics: make embed DATA_HOME=folder CORPUS=name
	@set -e; for name in $(or $(CORPUS),gtzan-mini songs-en-de lyrics-bn-en); do $(BIN)/python data/rebuild.py $$name; done

bench: $(READY)  ## measure ours against the usual way: _build/bench.json
	@$(BIN)/python -m benchmarks

lock: $(READY)  ## regenerate requirements.txt from the ranges in pyproject.toml
	@env -u UV_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --quiet --extra book --extra test --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -o requirements.txt

clean:  ## remove everything generated; .venv stays
	@rm -rf _build
