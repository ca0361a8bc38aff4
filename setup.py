"""Builds the extension; everything static is in pyproject.toml.

Environment:
    MAX_JOBS: compilers at a time.
    DEBUG=1: no optimisation, with debug information.
    CFLAGS, CXXFLAGS: added by setuptools as usual.
"""

import os
from pathlib import Path

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

DEBUG = os.environ.get("DEBUG", "0") == "1"

# Relative, as setuptools wants its sources; sorted, for the same library every time.
SOURCES = sorted(str(path) for path in Path("csrc").rglob("*.cpp"))
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))

# at::parallel_for runs on one thread in a file compiled without OpenMP. Trapping and errno are
# given up, not exactness: with them the compiler vectorises no conditional floating-point code.
COMPILE_FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-g0"]
COMPILE_FLAGS += ["-fopenmp", "-fno-trapping-math", "-fno-math-errno", "-fvisibility=hidden"]
# One expression gives one result wherever it is inlined. PyTorch 2.11 would choose C++17.
COMPILE_FLAGS += ["-ffp-contract=off", "-std=c++20"]
COMPILE_FLAGS += ["-Wall"]

print(f"relustat: {DEBUG = }, {len(SOURCES)} sources, CPU kernels only")

setup(
    ext_modules=[
        CppExtension(
            "relustat._C",
            SOURCES,
            depends=HEADERS,
            extra_compile_args={"cxx": COMPILE_FLAGS},
            extra_link_args=["-fopenmp"],
        )
    ],
    cmdclass={"build_ext": BuildExtension},
)
