"""Runs the headers and CPU kernels that need no PyTorch as an aarch64 processor would.

    python tools/aarch64_check.py [HARNESS ...]

The harnesses in tests/fuzz_headers are compiled for aarch64 with the flags of setup.py, and get
their corpus under QEMU. Each compares what the code gives with its definition, and aborts if they
differ. The baseline kernels are among them: those that an aarch64 processor runs. PyTorch's part of
the extension is not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from fuzz_headers import HARNESSES, ROOT, SOURCES

BUILD = ROOT / "build" / "aarch64"
COMPILER = "aarch64-linux-gnu-g++"
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")

# Of numbers as setup.py has them.
FLAGS = ["-std=c++20", "-O3", "-g0", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
# Without a system of that kind there are no libraries to load.
FLAGS += ["-static", f"-I{ROOT / 'csrc'}"]


def find_emulator() -> str:
    emulator = next(filter(shutil.which, EMULATORS), None)
    if emulator is None or shutil.which(COMPILER) is None:
        raise SystemExit(
            f"aarch64-check: {COMPILER} and {EMULATORS[0]} must be on the PATH; Debian has them in "
            "g++-aarch64-linux-gnu and qemu-user"
        )
    return emulator


def check(harness: str, emulator: str) -> str | None:
    """What was found wrong, if anything was."""
    program = BUILD / harness
    sources = [SOURCES / f"{each}.cpp" for each in (harness, "replay")]
    subprocess.run([COMPILER, *FLAGS, *sources, "-o", program], check=True)
    corpus = (SOURCES / "corpus" / f"{harness}.txt").read_text()
    done = subprocess.run(
        [emulator, program], input=corpus, capture_output=True, text=True, check=False
    )
    inputs = len(corpus.split())
    # The last line that it names is the last one that it began.
    if done.returncode != 0 or done.stderr.split()[-1:] != [str(inputs)]:
        return f"{harness}: {done.stderr[-400:]}"
    print(f"{harness}: {inputs} inputs, nothing wrong", flush=True)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("harnesses", nargs="*", default=HARNESSES, metavar="HARNESS")
    options = parser.parse_args()
    emulator = find_emulator()
    BUILD.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda harness: check(harness, emulator), options.harnesses)
        wrong = [each for each in found if each]
    if wrong:
        raise SystemExit(
            "\n".join(["aarch64-check: counts and outputs must be right, got", *wrong])
        )


if __name__ == "__main__":
    main()
