# Everything is installed into .venv from the package index; constraints.txt pins what.
PYTHON ?= python3
BIN := .venv/bin
SIZE ?= default
ROAD ?= pe-ft
DEMO := runs/demo$(if $(filter frozen,$(ROAD)),-frozen)$(if $(filter-out default,$(SIZE)),-$(SIZE))

.PHONY: install demo full recorded test test-all tiny results clean

install: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: install
	$(BIN)/undertone demo --road $(ROAD) --out $(DEMO) --size $(SIZE)

# Three seeds and two more methods, half an hour on two cores: the rows of docs/results.md.
full: install
	$(BIN)/undertone demo --out runs/demo-full --size full
	cp runs/demo-full/scores.jsonl benchmarks/results/pe_ft.jsonl
	$(MAKE) results

# The frozen road on recordings of people; RAVDESS names the corpus' folder, which is nobody's to ship.
recorded: install
	$(BIN)/python benchmarks/frozen/recorded.py --data $(RAVDESS) --base runs/demo-frozen/seed-0/align/aligned/model --out runs/ravdess

# One thread a process: two test processes whose commands take two threads each wait for one another more than they work.
test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check undertone tests scripts
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2

test-all: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

tiny: install
	$(BIN)/torchrun --nproc-per-node 2 scripts/make_tiny/__main__.py

results: install
	$(BIN)/python scripts/results.py
	$(BIN)/python scripts/readme.py

clean:
	rm -rf .venv runs data
