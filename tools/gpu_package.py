"""Prepares a package for `gpu_check.py --package`, on a machine without a GPU.

    python tools/gpu_package.py [--output .gpu] [--architectures 9.0]

The folder holds the extension for the Python and PyTorch that run this, the program
benchmarks/probe, wheels of packages that only tests need, and a manifest. It needs nvcc and a CUDA
build of PyTorch. The checkout's own build does not change.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import toolkit

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 30_000_000
WHEELS = ["captum", "expecttest", "monitorch", "uhi", "boost-histogram"]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The sources, versions and architectures of a built extension.

    Attributes:
        python: such as "3.12".
        torch: such as "2.11.0+cu130".
        architectures: such as ["9.0"].
        sources: a hash of csrc/, benchmarks/probe and setup.py.
        commit: of git, for the reader.
    """

    python: str
    torch: str
    architectures: list[str]
    sources: str
    commit: str

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """The manifest, or None if there is none that can be read."""
        try:
            return cls(**json.loads((folder / "manifest.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=2)
        (folder / "manifest.json").write_text(text + "\n")

    def why_not(self, python: str, torch: str, architecture: str, sources: str) -> str | None:
        """The reason not to use its extension, or None. torch must have the same minor version."""
        if self.python != python:
            return f"it is for Python {self.python}, got {python}"
        if self.torch.split(".")[:2] != torch.split(".")[:2]:
            return f"it is for PyTorch {self.torch}, got {torch}"
        if architecture not in self.architectures:
            return f"it is for sm {', '.join(self.architectures)}, got {architecture}"
        if self.sources != sources:
            return "it was built from other sources"
        return None


def sources_hash() -> str:
    found = hashlib.sha256()
    folders = [ROOT / "csrc", ROOT / "benchmarks/probe"]
    for path in sorted(
        [*(each for folder in folders for each in folder.rglob("*")), ROOT / "setup.py"]
    ):
        if path.is_file():
            found.update(str(path.relative_to(ROOT)).encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def probe_commands(nvcc: str, architecture: str, program: Path) -> list[list[str]]:
    """Compile benchmarks/probe for an architecture such as "9.0"."""
    flags = ["-O3", "-std=c++20", "--fmad=false", "--expt-relaxed-constexpr", f"-I{ROOT / 'csrc'}"]
    sources = sorted(map(str, (ROOT / "benchmarks/probe").glob("*.cu")))
    # -t 0: sources are compiled side by side.
    build = [nvcc, *flags, "-t", "0", f"-arch=sm_{architecture.replace('.', '')}", *sources]
    return [[*build, "-o", str(program)]]


def build_extension(nvcc: str, architectures: list[str], folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "csrc", "relustat", "setup.py", "pyproject.toml", "README.md"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    with tempfile.TemporaryDirectory() as copy:
        for name in filter(None, listed.split("\0")):
            target = Path(copy, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        environment = {
            **os.environ,
            "FORCE_CUDA": "1",
            # PyTorch would look beside the first nvcc on the PATH, which can be a script.
            "CUDA_HOME": str(Path(nvcc).parent.parent),
            "TORCH_CUDA_ARCH_LIST": ";".join(architectures),
        }
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
            cwd=copy,
            env=environment,
            check=True,
        )
        for library in Path(copy, "relustat").glob("_C*.so"):
            shutil.copy2(library, folder)
            subprocess.run(["strip", "--strip-unneeded", folder / library.name], check=True)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / ".gpu", metavar="FOLDER")
    parser.add_argument("--architectures", default="9.0", metavar='"9.0;10.0"')
    options = parser.parse_args()
    architectures = options.architectures.split(";")
    nvcc = toolkit.find("nvcc")
    if nvcc is None:
        raise SystemExit("gpu-package: needs nvcc on the PATH, or CUDA_HOME, got neither")
    if torch.version.cuda is None:
        raise SystemExit(
            f"gpu-package: needs a CUDA build of PyTorch, got PyTorch {torch.__version__}"
        )
    sources = sources_hash()
    folder = options.output.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in probe_commands(nvcc, architectures[0], folder / "probe"):
        subprocess.run(command, check=True)
    subprocess.run(["strip", folder / "probe"], check=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", folder / "wheels", *WHEELS], check=True)
    build_extension(nvcc, architectures, folder)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    Manifest(
        python_version(), str(torch.__version__), architectures, sources, commit.strip()
    ).write(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise SystemExit(f"gpu-package: at most {MOST_BYTES / 1e6:.0f} MB, got {size / 1e6:.1f}")
    print(f"{folder}: {size / 1e6:.1f} MB for Python {python_version()}, {torch.__version__}")


if __name__ == "__main__":
    main()
