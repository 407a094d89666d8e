# Every target makes what it needs: a virtual environment in .venv with the pinned versions.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
THREADS := OMP_NUM_THREADS=1
GL := VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow

.PHONY: demo test test-slicer lint figures bench gpu screenshots clean

demo: $(VENV)/test
	$(GL) $(PY) -m DeepRegistrationLib.scene.runs.demo --output demo $(if $(DEMO_DATA),--data $(DEMO_DATA))

test: lint
	$(GL) $(THREADS) $(PY) -m pytest -n 2 --dist worksteal

# The panel on Slicer's own Python layer: make test-slicer SLICER_SOURCE=a checkout or an installation
test-slicer: $(VENV)/test
	@test -n "$(SLICER_SOURCE)" || { echo "SLICER_SOURCE: a checkout or an installation of Slicer"; exit 2; }
	$(GL) $(THREADS) SLICER_SOURCE="$(abspath $(SLICER_SOURCE))" $(PY) -m pytest -v -n 2 --dist worksteal Testing/Panel

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The pictures of README.md and docs/tutorial.md: the demo's, and the panel and the views at each
# step, light and dark.
screenshots: $(VENV)/test
	$(GL) $(PY) Testing/Scene/demo_pictures.py
	$(GL) $(PY) Testing/Panel/screenshots.py

# README's and the docs' tables and the model cards, from DeepRegistrationLib/figures.json and the
# benchmarks' rows: see CONTRIBUTING.md. And the picture of the floors in docs/architecture.md.
figures: $(VENV)/test
	$(PY) -m Testing.Benchmarks.figures
	$(PY) Testing/Scene/architecture_picture.py

# Damage and attack (about 1,100 bad inputs, 5,000 mutated files, 114 injected faults; some minutes;
# it prints how many were answered wrongly), accuracy on real data, then time and memory. Of the
# accuracy, elastix with EMPIRE10's parameters and ANTs take an hour each or more (--only runs
# others). The scaling alone takes about 40 minutes on 2 cores and up to 13 GB (convexAdam at 512 x 512 x 141; a row that leaves less than 2 GB free is ended);
# its --help says how to measure it in pieces.
bench: $(VENV)/bench
	$(PY) -m Testing.Benchmarks.damage
	$(PY) -m Testing.Benchmarks.results --data $(or $(BENCH_DATA),../shared/data)
	$(PY) -m Testing.Benchmarks.shift_response --data $(or $(BENCH_DATA),../shared/data) --take
	$(PY) -m Testing.Benchmarks.figures --take lungs synthetic motion hearts
	$(PY) -m Testing.Benchmarks.lungs --data $(or $(BENCH_DATA),../shared/data)
	$(PY) -m Testing.Benchmarks.hearts --data $(or $(BENCH_DATA),../shared/data)/cardiac_acdc
	$(PY) -m Testing.Benchmarks.verdict --data $(or $(BENCH_DATA),../shared/data)
	$(PY) -m Testing.Benchmarks.large_motion
	$(PY) -m Testing.Benchmarks.memory
	$(GL) $(THREADS) $(PY) -m Testing.Benchmarks.panel_blocks
	$(PY) -m Testing.Benchmarks.networks
	$(PY) -m Testing.Benchmarks.scaling
	$(PY) -m Testing.Benchmarks.roofline

# On a machine with an NVIDIA GPU, with the Python that has PyTorch for it: see
# Testing/Benchmarks/GPU.md. With TRAIN_DATA it trains first: RECIPE=, RUN=, START=weights to start
# from, SET="name=value ...".
RECIPE ?= svfnet
RUN ?= runs/$(RECIPE)
gpu:
	$(if $(TRAIN_DATA),$(PYTHON) -m DeepRegistrationLib train $(RECIPE) \
		--data $(TRAIN_DATA) --output $(RUN) --time-limit 8 $(addprefix --set ,$(SET)) \
		$(addprefix --start ,$(START)) $(if $(wildcard $(RUN)/checkpoint.pt),--resume))
	$(PYTHON) -m pytest Testing/Engine -k cuda
	$(PYTHON) -m Testing.Benchmarks.gpu
	$(PYTHON) -m Testing.Benchmarks.networks --device cuda
	$(PYTHON) -m Testing.Benchmarks.scaling --device cuda
	$(PYTHON) -m Testing.Benchmarks.roofline --device cuda

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed.")'
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian or Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/bench: $(VENV)/test
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test,bench]'
	@touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
