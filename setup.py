"""Builds the extension; everything static is in pyproject.toml.

Environment:
    USE_CUDA=0: without the CUDA kernels.
    FORCE_CUDA=1: with them, or not at all.
    TORCH_CUDA_ARCH_LIST: what to compile them for, as in "8.0;9.0+PTX"; without it, for the GPUs
        of this machine, or where there are none, for all that the kernels are checked with.
    MAX_JOBS: compilers at a time.
    DEBUG=1: no optimisation, with debug information.
    CXX: the compiler. CFLAGS, CXXFLAGS: added by setuptools as usual.
    RELUSTAT_WHEEL_FOR_TORCH: for wheels that go to other machines, the minor version of PyTorch
        that they are for, as in "2.13". Their version and their requirements name it.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.egg_info import egg_info

try:
    import torch
except ImportError as error:
    raise SystemExit(
        "relustat: PyTorch must be installed before relustat is built, for that PyTorch; "
        f"pip install torch ninja numpy ({error})"
    ) from error
from torch.utils.cpp_extension import (
    CUDA_HOME,
    BuildExtension,
    CppExtension,
    CUDAExtension,
    get_cxx_compiler,
)

DEBUG = os.environ.get("DEBUG", "0") == "1"
NVCC = Path(CUDA_HOME or "", "bin", "nvcc")


def nvcc_version() -> tuple[int, int]:
    said = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.search(r"release (\d+)\.(\d+)", said).groups()
    return int(major), int(minor)


def why_no_cuda() -> str | None:
    """The reason not to build the CUDA kernels; None: build them."""
    if os.environ.get("USE_CUDA") == "0":
        return "USE_CUDA=0"
    if torch.version.cuda is None:
        return f"this PyTorch is a {'ROCm' if torch.version.hip else 'CPU'} build"
    if CUDA_HOME is None or not NVCC.exists():
        return "no CUDA toolkit was found: is nvcc on the PATH, or CUDA_HOME set?"
    if nvcc_version()[0] != int(torch.version.cuda.split(".")[0]):
        ours = ".".join(map(str, nvcc_version()))
        return f"nvcc is of CUDA {ours}, this PyTorch of CUDA {torch.version.cuda}"
    return None


def architectures() -> str:
    """For PyTorch's TORCH_CUDA_ARCH_LIST."""
    if os.environ.get("TORCH_CUDA_ARCH_LIST"):
        return os.environ["TORCH_CUDA_ARCH_LIST"]
    if torch.cuda.is_available():
        found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        return ";".join(f"{major}.{minor}" for major, minor in sorted(found))
    return "7.5;8.0;9.0;10.0;12.0+PTX" if nvcc_version() >= (12, 8) else "7.5;8.0;9.0+PTX"


REASON = why_no_cuda()
if REASON is not None and os.environ.get("FORCE_CUDA") == "1":
    raise SystemExit(f"relustat: FORCE_CUDA=1, but {REASON}")
WITH_CUDA = REASON is None


def joined(name: str, *folders: str) -> str:
    """A source that includes those in some folders of csrc.

    To read PyTorch's headers takes most of their time, and so they are read once for all of them.
    """
    source = Path("build", "joined", f"{name}.cpp")
    paths = sorted(path for folder in folders for path in Path("csrc", folder).glob("*.cpp"))
    text = "".join(f'#include "{path.relative_to("csrc")}"\n' for path in paths)
    source.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists() or source.read_text() != text:
        source.write_text(text)
    return str(source)


# Relative, as setuptools wants its sources; in an order for the same library every time. Those come
# first that take longest: else one processor compiles the last of them while the others wait.
KERNELS = sorted(Path("csrc/cpu/kernels").glob("*/*.cpp"), key=lambda path: (path.name, path))
SOURCES = [*map(str, KERNELS), joined("autograd", "autograd"), joined("cpu", "cpu")]
SOURCES.append(joined("others", ".", "negative"))
INCLUDED = sorted(str(path) for path in Path("csrc").rglob("*.cpp"))
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
    os.environ["TORCH_CUDA_ARCH_LIST"] = architectures()
    if "MAX_JOBS" not in os.environ:
        # The last sources would take as long as all architectures, one after the other.
        NVCC_FLAGS.append(f"--threads={len(architectures().split(';'))}")
    kernels = f"CPU and CUDA {torch.version.cuda} kernels for {architectures()} ({CUDA_HOME})"
else:
    kernels = f"CPU kernels only ({REASON})"
print(f"relustat: building {kernels}; {len(SOURCES)} sources{', DEBUG' if DEBUG else ''}")


# All that the sources need of a machine, beside PyTorch.
TRIAL = "#include <Python.h>\n#include <omp.h>\n#include <concepts>\nint main() {}\n"


def why_not_here() -> str | None:
    """The rule for machines that this one breaks, and what to do; None: it can compile."""
    if sys.platform != "linux":
        return (
            f"the package must be built on Linux, got {sys.platform}; use a Linux container or a "
            "virtual machine there, such as WSL on Windows"
        )
    compiler = get_cxx_compiler()
    command = [*shlex.split(compiler), "-std=c++20", "-fopenmp", "-fsyntax-only", "-x", "c++"]
    command += [f"-I{sysconfig.get_path('include')}", "-"]
    try:
        done = subprocess.run(command, input=TRIAL, capture_output=True, text=True, check=False)
    except OSError as error:
        said = error.strerror
    else:
        if done.returncode == 0:
            return None
        said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
    return (
        "a C++20 compiler with OpenMP and the headers of Python must be at hand, got "
        f"{compiler}: {said}; install them (on Debian g++ and python3-dev), or name another "
        "compiler by CXX"
    )


class InOrder(BuildExtension):
    """Compiles the sources in their order; setuptools sorts them."""

    def run(self) -> None:
        # Here and not above: metadata and sdists can be made anywhere.
        reason = why_not_here()
        if reason is not None:
            raise SystemExit(f"relustat: {reason}")
        super().run()

    def build_extension(self, ext: Extension) -> None:
        compile_sorted = self.compiler.compile

        def compile_in_order(sources: list[str], *args: object, **options: object) -> list[str]:
            return compile_sorted(sorted(sources, key=SOURCES.index), *args, **options)

        self.compiler.compile = compile_in_order
        super().build_extension(ext)


WHEEL_FOR = os.environ.get("RELUSTAT_WHEEL_FOR_TORCH")
if WHEEL_FOR is not None and ".".join(torch.__version__.split(".")[:2]) != WHEEL_FOR:
    raise SystemExit(
        "relustat: RELUSTAT_WHEEL_FOR_TORCH must be the minor version of PyTorch that is "
        f"installed, got {WHEEL_FOR}, and PyTorch {torch.__version__}"
    )


class ForOnePyTorch(egg_info):
    """Names the PyTorch that a wheel is for, and its kernels, in the metadata."""

    def finalize_options(self) -> None:
        kernels = "cu" + torch.version.cuda.replace(".", "") if WITH_CUDA else "cpu"
        self.tag_build = f"+torch{WHEEL_FOR}.{kernels}"
        super().finalize_options()
        # A set: setuptools asks more than once.
        needs = sorted({*self.distribution.install_requires, f"torch=={WHEEL_FOR}.*"})
        # It has read them from pyproject.toml into both already.
        self.distribution.install_requires = self.distribution.metadata.install_requires = needs


make_extension = CUDAExtension if WITH_CUDA else CppExtension
setup(
    ext_modules=[
        make_extension(
            "relustat._C",
            SOURCES,
            depends=[*HEADERS, *INCLUDED],
            # Absolute: the compiler runs in another folder.
            include_dirs=[str(Path("csrc").resolve())],
            extra_compile_args={
                "cxx": [*SHARED_FLAGS, *CXX_FLAGS],
                "nvcc": [*SHARED_FLAGS, *NVCC_FLAGS],
            },
            extra_link_args=["-fopenmp"],
        )
    ],
    cmdclass={"build_ext": InOrder, **({"egg_info": ForOnePyTorch} if WHEEL_FOR else {})},
)
