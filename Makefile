# Each target sets up what it needs. Settings:
#   PYTHON=python3.12   the interpreter that makes the environment
#   VENV=path           the environment; an existing one is kept, and what it lacks is installed
#   TORCH=torch==2.12.0 the PyTorch to install there
#   LOCKED=1            with it the versions of requirements/development.txt, for Python 3.11
#   PYTEST_ARGS="-k x"  which tests, and how
#   WORKERS=1           the processes of make test, instead of one for each core
#   MINUTES=10          how long fuzz or soak goes on
#   ARCHITECTURES="90"  what cuda-check compiles for, instead of all that setup.py names
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
WORKERS ?= auto

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help env build test-env demo test fuzz test-torch test-tools test-integrations asan tsan \
  asan-extension tsan-extension fuzz-headers aarch64-check soak lint format bench-env bench \
  bench-plots bench-smoke gallery notebooks cuda-check gpu-check gpu-package dist wheels-check docs clean

# Quoted wherever it is used: both paths may hold spaces.
PY = "$(VENV)/bin/python"
# Python compiles what is imported, when it is.
PIP = $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
ENV_STAMP = "$(VENV)/.relustat-env"
# The loops of activations are those of ReLU: some of their tests reach all memory.
ACTIVATION_TESTS = test_outputs_near_zero test_slopes
CUDA_TESTS = tests/cuda_host/test_activation_hash.py tests/cuda_host/test_counting_relu.py \
  $(addprefix tests/cuda_host/test_counting_activation.py::,$(ACTIVATION_TESTS)) \
  tests/cuda_host/test_pooling.py tests/cuda_host/test_relu_max_pool.py
SANITIZED = $(if $(LEVELS),--levels $(LEVELS)) $(if $(WHICH),--which "$(WHICH)")
INSTALL_STAMP = "$(VENV)/.relustat-install"
TEST_STAMP = "$(VENV)/.relustat-test"
BENCH_STAMP = "$(VENV)/.relustat-bench"
BUILD_STAMP = build/.built-for
DOCS_STAMP = .venv-docs/.relustat-docs
# Whose sentences have at most 25 words.
PLAIN_PAGES = README.md $(filter-out docs/compatibility.md docs/design-notes.md \
  docs/performance.md,$(wildcard docs/*.md docs/guides/*.md docs/api/*.md))
CXX_FILES = $$(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

help:
	@echo "make demo    train a small CNN and show what its ReLUs do"
	@echo "make test    run the tests;  PYTEST_ARGS=\"-k pool\" some of them"
	@echo "make fuzz    try random programs of all ops: MINUTES=3;  PYTEST_ARGS=\"-k pool\" some of them"
	@echo "make test-torch  the same with another PyTorch, in .venv-torch: TORCH=torch==2.11.0"
	@echo "make test-tools  beside tools that look modules up (shap, zennit), in .venv-tools"
	@echo "make test-integrations  with TensorBoard, W&B, MLflow, trackio, Lightning, transformers,"
	@echo "             accelerate and torchmetrics, 1.5 GB in .venv-integrations"
	@echo "make asan    run the CUDA kernels on the CPU under AddressSanitizer; make tsan  for races"
	@echo "make asan-extension  run tests with the extension compiled with AddressSanitizer and"
	@echo "             UBSan; make tsan-extension  for races; LEVELS=\"default avx2\" with those kernels,"
	@echo "             WHICH=\"float32 and not pool\" some of the tests"
	@echo "make fuzz-headers  fuzz the headers that need no PyTorch for MINUTES=1; needs clang"
	@echo "make aarch64-check  run those headers and the CPU kernels as on aarch64; needs a cross"
	@echo "             compiler and QEMU"
	@echo "make soak    train with counting on threads for an hour, MINUTES= for another time: counts must"
	@echo "             equal a replay, and memory must stay flat"
	@echo "make lint    run the linters;  make format  applies them"
	@echo "make docs    build the site of the documentation into build/site, in .venv-docs"
	@echo "make bench   measure against PyTorch and others: all, or BENCH=relu, activation, pool, grid,"
	@echo "             network, analysis, scaling, memory or roofline; TABLE=file.md writes the table, WEIGHTS="
	@echo "             is a file of VGG-16's"
	@echo "make bench-smoke  threads, allocations, instructions, compiled code, imports; no clock"
	@echo "make bench-plots  draw what make bench measured, into docs/"
	@echo "make notebooks   make the notebooks of examples/notebooks of the pages of docs/, and run them"
	@echo "make gallery     run the examples, and put their pictures into docs; WEIGHTS as above"
	@echo "make cuda-check  compile the CUDA sources with nvcc, and count instructions; no GPU needed"
	@echo "make gpu-check   build, test and measure on a GPU, with PYTHON's own PyTorch"
	@echo "make gpu-package  prepare .gpu, with which gpu-check need not build, for another machine"
	@echo "make build   compile the extension into $(VENV)"
	@echo "make dist    build an sdist, a wheel from it, and check both in empty environments"
	@echo "make wheels-check  list the wheels that cibuildwheel would build; builds none"
	@echo "Settings: PYTHON=$(PYTHON) VENV=$(VENV) TORCH=$(TORCH)"

env:
	@[ -x $(PY) ] || "$(PYTHON)" -m venv "$(VENV)"
	@if [ "$$(cat $(ENV_STAMP) 2>/dev/null)" != "$(TORCH)$(if $(LOCKED), locked)" ]; then \
	  echo "Installing $(TORCH) into $(VENV) ..." && \
	  $(PIP) "pip>=24" "setuptools>=77" ninja numpy "$(TORCH)" $(if $(LOCKED),&& \
	  $(PIP) --no-deps --require-hashes -r requirements/development.txt) && \
	  printf '%s' "$(TORCH)$(if $(LOCKED), locked)" > $(ENV_STAMP); \
	fi

# Again when a source changes, or when the library was built for another environment, or the
# environment holds another checkout.
build: env
	@if [ "$$(cat $(BUILD_STAMP) 2>/dev/null)" != "$(VENV) $(TORCH)" ] \
	    || [ "$$(cat $(INSTALL_STAMP) 2>/dev/null)" != "$(CURDIR)" ] \
	    || [ -z "$$(ls relustat/_C*.so 2>/dev/null)" ] \
	    || [ -n "$$(find csrc setup.py pyproject.toml -newer $(BUILD_STAMP))" ]; then \
	  echo "Compiling relustat into $(VENV) ..." && \
	  { [ "$$(cat $(BUILD_STAMP) 2>/dev/null)" = "$(VENV) $(TORCH)" ] || rm -rf build/temp*; } && \
	  PYTHONWARNINGS=ignore $(PIP) --no-build-isolation --editable ".[all]" "$(TORCH)" && \
	  printf '%s' "$(CURDIR)" > $(INSTALL_STAMP) && \
	  mkdir -p build && printf '%s' "$(VENV) $(TORCH)" > $(BUILD_STAMP); \
	fi

demo: build
	@$(PY) -m relustat demo

# What tests and linters need beside what users need.
test-env: build
	@if [ ! -e $(TEST_STAMP) ] || [ -n "$$(find pyproject.toml -newer $(TEST_STAMP))" ]; then \
	  $(PIP) "relustat[test,lint]" "$(TORCH)" && touch $(TEST_STAMP); \
	fi

# Threads of several processes that wait for work in a loop would leave no processor to the others.
test: test-env
	@OMP_WAIT_POLICY=passive $(PY) -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal $(PYTEST_ARGS)

# New programs in each run. What fails is kept in .hypothesis, and comes first the next time.
fuzz: test-env
	@FUZZ_MINUTES="$(or $(MINUTES),3)" $(PY) -m pytest tests/fuzz -m fuzz $(PYTEST_ARGS)

# With another PyTorch, of which builds may be for CUDA: its CPU side is what is tested.
test-torch:
	@USE_CUDA=0 $(MAKE) test VENV="$(if $(filter file,$(origin VENV)),.venv-torch,$(VENV))"

# Beside tools that look modules up, in an environment of their own. (zennit would install torchvision,
# of which it needs two names.)
test-tools: test-env
	@[ -x .venv-tools/bin/python ] || $(PY) -m venv .venv-tools
	@.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check \
	  numpy pytest pytest-benchmark shap pillow click "$(TORCH)"
	@.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check --no-deps zennit
	@PYTHONPATH=. .venv-tools/bin/python -m pytest tests/works_with/test_attribution.py -m tools

# Against the packages themselves, which are large.
test-integrations: test-env
	@[ -x .venv-integrations/bin/python ] || $(PY) -m venv .venv-integrations
	@.venv-integrations/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" numpy
	@.venv-integrations/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --no-deps -r requirements/integrations.txt
	@PYTHONPATH=. .venv-integrations/bin/python -m pytest tests/integrations -m integrations \
	  --ignore=tests/integrations/test_monitorch.py

# The kernels of csrc/cuda, a thread for each of theirs.
asan: test-env
	@RELUSTAT_SANITIZE=address,undefined $(PY) -m pytest $(CUDA_TESTS)

# Threads share the same words whatever the format: one of 32 bits and one of 16 are enough.
tsan: test-env
	@RELUSTAT_SANITIZE=thread $(PY) -m pytest $(CUDA_TESTS) \
	  -k "not torch.float64 and not torch.float16"

# The library that users have, in a build folder of its own.
asan-extension: test-env
	@$(PY) tools/sanitized_tests.py address $(SANITIZED)

tsan-extension: test-env
	@$(PY) tools/sanitized_tests.py thread $(SANITIZED)

fuzz-headers: env
	@$(PY) tools/fuzz_headers.py $(if $(MINUTES),--minutes $(MINUTES))

# Needs no environment.
aarch64-check:
	@"$(PYTHON)" tools/aarch64_check.py

# Not part of the tests: it takes as long as it is told.
soak: build
	@$(PY) tools/soak.py --minutes "$(or $(MINUTES),60)"

lint: test-env
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@"$(VENV)/bin/clang-format" --dry-run --Werror $(CXX_FILES)
	@$(PY) -m mypy
	@$(PY) tools/plain_english.py $(PLAIN_PAGES)

# Docstrings are read and not imported, so the site needs neither PyTorch nor the extension. (With
# --quiet, MkDocs counts no warnings, and none would be an error.)
docs:
	@[ -x .venv-docs/bin/python ] || "$(PYTHON)" -m venv .venv-docs
	@if [ ! -e $(DOCS_STAMP) ] || [ -n "$$(find requirements/docs.txt -newer $(DOCS_STAMP))" ]; then \
	  echo "Installing MkDocs into .venv-docs ..." && \
	  .venv-docs/bin/python -m pip install --quiet --disable-pip-version-check \
	    -r requirements/docs.txt && touch $(DOCS_STAMP); \
	fi
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict

format: test-env
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .
	@"$(VENV)/bin/clang-format" -i $(CXX_FILES)

bench: bench-env
	@mkdir -p build
	@$(PY) -m pytest benchmarks -q --benchmark-enable --benchmark-only --benchmark-quiet \
	  --benchmark-json="build/bench$(if $(BENCH),-$(BENCH)).json" -m "$(or $(BENCH),not smoke)" \
	  $(if $(TABLE),--table "$(TABLE)") $(if $(WEIGHTS),--weights "$(WEIGHTS)")

# What can be said of speed without a clock.
bench-smoke: test-env
	@$(PY) -m pytest benchmarks -m smoke

bench-plots: bench-env
	@$(PY) benchmarks/plots.py

# Of the pages of docs/, which have their text and code.
notebooks: test-env
	@$(PY) tools/notebooks.py

gallery: test-env
	@$(PY) tools/page_pictures.py
	@$(PY) tools/gallery.py $(if $(WEIGHTS),--weights "$(WEIGHTS)")

# What benchmarks compare with, as pyproject.toml names it; the tests need none of it.
bench-env: test-env
	@if [ ! -e $(BENCH_STAMP) ] || [ -n "$$(find pyproject.toml -newer $(BENCH_STAMP))" ]; then \
	  $(PIP) "relustat[bench]" "$(TORCH)" && touch $(BENCH_STAMP); \
	fi

cuda-check: env
	@$(PIP) $$(sed -n 's/.*"\(nvidia-cuda-nvdisasm==[0-9.]*\)".*/\1/p' pyproject.toml)
	@$(PY) tools/cuda_check.py $(ARCHITECTURES)

# In the environment that has a CUDA build of PyTorch; nothing is installed.
gpu-check:
	@"$(PYTHON)" tools/gpu_check.py $(if $(OUTPUT),--output "$(OUTPUT)") \
	  $(if $(wildcard .gpu/manifest.json),--package .gpu)

# For a machine with a GPU and little time. Nothing else uses this environment.
gpu-package: PYTHON = python3.12
gpu-package: VENV = .venv-gpu
gpu-package: TORCH = torch==2.11.0
gpu-package: ARCHITECTURES = 9.0
gpu-package: env
	@$(PIP) pybind11
	@$(PY) tools/gpu_package.py --output .gpu --architectures "$(ARCHITECTURES)"

# In environments of its own.
dist:
	@"$(PYTHON)" tools/dist_check.py --torch "$(TORCH)"

wheels-check:
	@"$(PYTHON)" tools/wheels_check.py

clean:
	@rm -rf build dist relustat/_C*.so *.egg-info
