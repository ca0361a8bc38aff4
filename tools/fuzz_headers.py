"""Fuzzes the headers of csrc that need no PyTorch, by libFuzzer of clang.

    python tools/fuzz_headers.py [--minutes MINUTES] [--store] [HARNESS ...]

Each harness in tests/fuzz_headers runs for so many minutes, as many of them at a time as there are
processors. It begins with the inputs in tests/fuzz_headers/corpus, a line of hexadecimal digits for
each, and with those that build/fuzz_headers has of earlier runs. --store adds to the corpus the
fewest inputs that reach what it does not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "fuzz_headers"
BUILD = ROOT / "build" / "fuzz_headers"
HARNESSES = sorted(path.stem for path in (SOURCES / "corpus").glob("*.txt"))

# Of numbers as setup.py has them. A NaN's guess is converted to an integer: see relu/binning.h.
FLAGS = ["-std=c++20", "-O1", "-g", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
FLAGS += ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize=float-cast-overflow"]
FLAGS += ["-fno-sanitize-recover=all", "-Wno-bitwise-conditional-parentheses"]
FLAGS += [f"-I{ROOT / 'csrc'}"]
LONGEST = 512  # bytes of an input; most harnesses read fewer


def find_clang() -> str:
    names = ["clang++", *(f"clang++-{version}" for version in range(30, 13, -1))]
    for name in names:
        if shutil.which(name):
            return name
    raise SystemExit(
        "fuzz-headers: clang++ 14 or later with libFuzzer is needed, got none on the PATH; "
        "Debian has it in clang and libclang-rt-14-dev"
    )


def build(clang: str, harness: str) -> Path:
    program = BUILD / harness
    subprocess.run([clang, *FLAGS, SOURCES / f"{harness}.cpp", "-o", program], check=True)
    return program


def unpack(harness: str, folder: Path) -> None:
    """Writes the inputs of the corpus into a folder."""
    folder.mkdir(exist_ok=True)
    for line in (SOURCES / "corpus" / f"{harness}.txt").read_text().split():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def fuzz(program: Path, inputs: Path, minutes: float) -> str | None:
    """What was found wrong, if anything was."""
    limits = [f"-max_total_time={round(60 * minutes)}", f"-max_len={LONGEST}", "-len_control=0"]
    failures = [f"-artifact_prefix={program}-"]
    done = subprocess.run(
        [program, *limits, *failures, "-timeout=60", "-rss_limit_mb=4096", inputs],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    ran = re.search(r"Done (\d+) runs in (\d+) second", done.stderr)
    if done.returncode == 0 and ran is not None:
        print(f"{program.name}: {ran.group(1)} inputs in {ran.group(2)} s, nothing wrong")
        return None
    written = re.search(r"Test unit written to (\S+)", done.stderr)
    line = f"\nas a line: {Path(written.group(1)).read_bytes().hex()}" if written else ""
    return f"{program.name}:\n{done.stderr[-4000:]}{line}"


def store(program: Path, inputs: Path) -> None:
    corpus = BUILD / f"{program.name}-corpus"
    shutil.rmtree(corpus, ignore_errors=True)
    unpack(program.name, corpus)
    command = [program, "-merge=1", f"-max_len={LONGEST}", corpus, inputs]
    subprocess.run(command, capture_output=True, check=True)
    lines = {path.read_bytes().hex() for path in corpus.iterdir()} - {""}
    text = "".join(f"{line}\n" for line in sorted(lines, key=lambda line: (len(line), line)))
    (SOURCES / "corpus" / f"{program.name}.txt").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("harnesses", nargs="*", default=HARNESSES, metavar="HARNESS")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    clang = find_clang()
    BUILD.mkdir(parents=True, exist_ok=True)

    def run(harness: str) -> str | None:
        program, inputs = build(clang, harness), BUILD / f"{harness}-inputs"
        unpack(harness, inputs)
        wrong = fuzz(program, inputs, options.minutes)
        if options.store and wrong is None:
            store(program, inputs)
        return wrong

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [each for each in pool.map(run, options.harnesses) if each]
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
