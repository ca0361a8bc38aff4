"""Builds the extension; everything static is in pyproject.toml.

Environment:
    USE_CUDA=0: without the CUDA kernels.
    FORCE_CUDA=1: with them, or not at all.
    TORCH_CUDA_ARCH_LIST: what to compile them for, as in "8.0;9.0+PTX"; without it, for the GPUs
        of this machine, or where there are none, for all that KERNEL_ARCHITECTURES names.
    MAX_JOBS: compilers at a time.
    DEBUG=1: no optimisation, with debug information.
    CFLAGS, CXXFLAGS: added by setuptools as usual.
"""

import os
from pathlib import Path

import torch
from setuptools import setup
from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, CppExtension, CUDAExtension

DEBUG = os.environ.get("DEBUG", "0") == "1"
KERNEL_ARCHITECTURES = "7.5;8.0;9.0;10.0;12.0+PTX"


def why_no_cuda() -> str | None:
    """The reason not to build the CUDA kernels; None: build them."""
    if os.environ.get("USE_CUDA") == "0":
        return "USE_CUDA=0"
    if torch.version.cuda is None:
        return "this PyTorch is a CPU build"
    if CUDA_HOME is None:
        return "no CUDA toolkit was found: is nvcc on the PATH, or CUDA_HOME set?"
    return None


REASON = why_no_cuda()
if REASON is not None and os.environ.get("FORCE_CUDA") == "1":
    raise SystemExit(f"relustat: FORCE_CUDA=1, but {REASON}")
WITH_CUDA = REASON is None

# Relative, as setuptools wants its sources; sorted, for the same library every time.
SOURCES = sorted(str(path) for path in Path("csrc").rglob("*.cpp"))
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))

# PyTorch 2.11 would choose C++17.
SHARED_FLAGS = ["-std=c++20"]
# at::parallel_for runs on one thread in a file compiled without OpenMP. Trapping and errno are
# given up, not exactness: with them the compiler vectorises no conditional floating-point code.
CXX_FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-g0"]
CXX_FLAGS += ["-fopenmp", "-fno-trapping-math", "-fno-math-errno", "-fvisibility=hidden"]
# One expression gives one result wherever it is inlined, and on GPUs the same (--fmad=false below).
CXX_FLAGS += ["-ffp-contract=off", "-Wall"]
NVCC_FLAGS = ["-O0", "-g"] if DEBUG else ["-O3"]
NVCC_FLAGS += ["--fmad=false", "--expt-relaxed-constexpr", "-Xcompiler=-fvisibility=hidden"]

if WITH_CUDA:
    SOURCES += sorted(str(path) for path in Path("csrc").rglob("*.cu"))
    HEADERS += sorted(str(path) for path in Path("csrc").rglob("*.cuh"))
    CXX_FLAGS.append("-DRELUSTAT_WITH_CUDA")
    if not torch.cuda.is_available():
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", KERNEL_ARCHITECTURES)
    architectures = os.environ.get("TORCH_CUDA_ARCH_LIST", "this machine's GPUs")
    kernels = f"CPU and CUDA {torch.version.cuda} kernels for {architectures} ({CUDA_HOME})"
else:
    kernels = f"CPU kernels only ({REASON})"
print(f"relustat: building {kernels}; {len(SOURCES)} sources{', DEBUG' if DEBUG else ''}")

Extension = CUDAExtension if WITH_CUDA else CppExtension
setup(
    ext_modules=[
        Extension(
            "relustat._C",
            SOURCES,
            depends=HEADERS,
            extra_compile_args={
                "cxx": [*SHARED_FLAGS, *CXX_FLAGS],
                "nvcc": [*SHARED_FLAGS, *NVCC_FLAGS],
            },
            extra_link_args=["-fopenmp"],
        )
    ],
    cmdclass={"build_ext": BuildExtension},
)
