"""Checks which wheels cibuildwheel would build by the settings in pyproject.toml.

    python tools/wheels_check.py

It builds none, and needs no container engine. cibuildwheel is installed into build/wheels-check.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "wheels-check"
PYTHONS = ("cp310", "cp311", "cp312", "cp313")
MACHINES = ("x86_64", "aarch64")


def main() -> None:
    programs = FOLDER / "bin"
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    subprocess.run(
        [programs / "python", "-m", "pip", "install", "--quiet", "cibuildwheel"], check=True
    )
    for machine in MACHINES:
        options = ["--platform", "linux", "--archs", machine, "--print-build-identifiers"]
        command = [programs / "cibuildwheel", *options]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        wanted = [f"{python}-manylinux_{machine}" for python in PYTHONS]
        if done.returncode != 0 or done.stdout.split() != wanted:
            raise SystemExit(f"wheels-check: wheels must be {wanted}, got {done.stdout.split()}")
        print(*wanted, sep="\n")


if __name__ == "__main__":
    main()
