"""Builds the packages that are handed out, and checks them.

    python tools/dist_check.py [--torch REQUIREMENT] [--output FOLDER]

An sdist is made, and a wheel of the sdist, in an environment that has only what the README names.
So one compilation proves both. Then the wheel alone is installed in an empty environment, and
counts there. Both must hold every file that they should. The environments are in build/dist-check.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "dist-check"
BUILDER = ("setuptools>=77", "ninja", "numpy")
CHECKERS = ("twine", "check-wheel-contents")
# What an sdist has beside the folders of sources: whoever gets it can build, test and read it.
BESIDE = ("LICENSE", "MANIFEST.in", "Makefile", "README.md", "SECURITY.md", "CONTRIBUTING.md")
BESIDE += ("CHANGELOG.md", "CITATION.cff", "pyproject.toml", "setup.py")
SOURCES = ("csrc", "relustat", "tests", "tools", "docs", "examples", "benchmarks", "requirements")

MAKE_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def files_in(folder: Path) -> set[str]:
    """The sources in a folder of the checkout, without what was compiled there."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".so", ".pyc")
    }


def missing_from_sdist(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        names = [PurePosixPath(each.name) for each in archive.getmembers() if each.isfile()]
    held = {str(name.relative_to(name.parts[0])) for name in names}
    return set().union(BESIDE, *(files_in(ROOT / folder) for folder in SOURCES)) - held


def wrong_in_wheel(path: Path) -> set[str]:
    """What a wheel lacks, and what it should not have."""
    with zipfile.ZipFile(path) as archive:
        names = {PurePosixPath(name) for name in archive.namelist()}
    held = {str(name) for name in names if not name.parts[0].endswith(".dist-info")}
    libraries = {name for name in held if name.startswith("relustat/_C.") and name.endswith(".so")}
    licences = {name for name in names if name.name == "LICENSE" and str(name) not in held}
    wrong = (held - libraries) ^ files_in(ROOT / "relustat")
    if len(libraries) != 1:
        wrong.add(f"one relustat/_C.*.so, got {len(libraries)}")
    if len(licences) != 1:
        wrong.add(f"one LICENSE in the metadata, got {len(licences)}")
    return wrong


def expect_nothing(what: str, names: set[str]) -> None:
    if names:
        raise SystemExit(f"dist: {what}, got\n  " + "\n  ".join(sorted(names)))


def run(*command: str | Path, cwd: Path = ROOT, says: int | None = None) -> None:
    if subprocess.run(command, cwd=cwd, stdout=says, check=False).returncode != 0:
        raise SystemExit(f"dist: this command failed: {' '.join(map(str, command))}")


def environment(name: str, *requirements: str | Path) -> Path:
    """The programs of a new environment."""
    programs = FOLDER / name / "bin"
    print(f"Making an environment with {', '.join(map(str, requirements))} ...", flush=True)
    run(sys.executable, "-m", "venv", "--clear", FOLDER / name)
    run(programs / "python", "-m", "pip", "install", "--quiet", "--no-compile", *requirements)
    return programs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default="torch>=2.11", metavar="REQUIREMENT")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    output = options.output.resolve()
    shutil.rmtree(output, ignore_errors=True)

    builder = environment("builder", *BUILDER, options.torch)
    run(builder / "python", "-c", MAKE_SDIST, output, says=subprocess.DEVNULL)
    (sdist,) = output.glob("*.tar.gz")
    expect_nothing("an sdist must have all sources, and lacks some", missing_from_sdist(sdist))
    print(f"Compiling the wheel of {sdist.name} ...", flush=True)
    pip_wheel = ("-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps")
    run(builder / "python", *pip_wheel, "--wheel-dir", output, sdist)
    (wheel,) = output.glob("*.whl")
    expect_nothing("a wheel must have the package's files and no others", wrong_in_wheel(wheel))

    checkers = environment("checkers", *CHECKERS)
    run(checkers / "twine", "check", "--strict", sdist, wheel)
    run(checkers / "check-wheel-contents", wheel)

    # Elsewhere, so that the checkout is not imported.
    user = environment("user", wheel, options.torch)
    run(user / "python", "-m", "pip", "check")
    run(user / "relustat", "info", cwd=FOLDER)
    run(user / "python", ROOT / "tools" / "count_check.py", cwd=FOLDER)
    print(f"{sdist.name} and {wheel.name} are right")


if __name__ == "__main__":
    main()
