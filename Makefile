# Each target prepares what it needs by itself; `make help` lists them. System packages are installed only
# when run as root, else the command is printed.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.venv
JOBS ?= $(shell nproc)
export PYTHON
export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
export CTEST_PARALLEL_LEVEL := $(JOBS)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 26

.PHONY: build
build:  ## build the wheel and install it into .venv
	@scripts/setup.sh demo
	@scripts/build_wheel.sh

.PHONY: demo
demo: build  ## run the documented example and EfficientNet-Lite0 on real photographs
	@python examples/mobilenet_v2.py
	@python examples/efficientnet_lite0.py

.PHONY: fashion-mnist
fashion-mnist: build  ## train a small MobileNetV2, in float and with quantization; top-1 of the .pte
	@python examples/fashion_mnist_qat.py

.PHONY: test
test:  ## says whether a change is right: all C++ tests, sanitizers on readers of files, Python (15 minutes the first time)
	@scripts/setup.sh compile
	@scripts/test.sh quick

.PHONY: test-all
test-all:  ## every test: `make test`, everything with sanitizers, all forms and networks in Python (half an hour)
	@scripts/setup.sh compile
	@scripts/test.sh all

.PHONY: fuzz
fuzz:  ## damaged programs, archives, images and documents, with sanitizers and a new seed (ENN_FUZZ_SEED, ENN_FUZZ_MUTATIONS)
	@scripts/setup.sh compile
	@scripts/test.sh fuzz

.PHONY: test-newest-torch
test-newest-torch:  ## the same wheel beside the newest torch, in an environment in build/ (takes 6 GB of disk)
	@scripts/setup.sh newest
	@scripts/build_wheel.sh
	@scripts/test_newest_torch.sh

.PHONY: test-upstream
test-upstream:  ## the tests of upstream's Exynos backend, unmodified, against ours
	@scripts/setup.sh upstream
	@scripts/build_wheel.sh
	@python tests/upstream/run.py samsung

.PHONY: test-suite
test-suite:  ## ExecuTorch's cross-backend suite in our flows and XNNPACK's (hours; goes on where it was stopped)
	@scripts/setup.sh upstream
	@scripts/build_wheel.sh
	@mkdir -p build
	@python tests/upstream/run.py operators --journal build/suite_operators.jsonl; operators=$$?; \
	  python tests/upstream/run.py models --journal build/suite_models.jsonl && exit $$operators

.PHONY: lint
lint:  ## format, clang-tidy, ruff, mypy, layers, names, paths, generated files, links
	@scripts/setup.sh lint
	@scripts/build_wheel.sh
	@scripts/lint.sh

.PHONY: format
format:  ## rewrite C++ and Python files in the project's format
	@scripts/setup.sh lint
	@git ls-files '*.cpp' '*.hpp' | xargs clang-format-19 -i
	@git ls-files '*.py' ':!examples/mobilenet_v2.py' ':!tests/data' | xargs ruff format
	@ruff check --fix

.PHONY: bench
bench: build  ## accuracy and speed figures of the README
	@python benchmarks/operators.py
	@python benchmarks/accuracy.py
	@python benchmarks/speed.py

.PHONY: bench-trained
bench-trained: build  ## trained networks in 8 bits beside other quantizers; installs their packages
	@scripts/setup.sh trained
	@python benchmarks/trained.py --json docs/trained.json

.PHONY: bench-kernels
bench-kernels:  ## speed of single kernels
	@scripts/setup.sh bench
	@scripts/bench_kernels.sh

.PHONY: docs
docs: build  ## rewrite the tables that are generated from the sources
	@python scripts/generate_tables.py

.PHONY: clean
clean:  ## remove what was built, keep .venv
	@rm -rf build dist wheelhouse

.PHONY: distclean
distclean: clean  ## remove .venv too
	@rm -rf .venv
