"""Counts the instructions of a trip through each kernel's main loop, by nvdisasm.

Loops are the natural loops of the control-flow graph. A way through a loop goes from its header to
its back edge, through inner loops at most once. The trip is the way that stores the most bytes to
global memory; of these, the one that loads the most bytes by the loop's widest loads; of these, the
shortest. So rare blocks (NaNs, values out of range, doubtful guesses) do not count, and blocks that
only load do. The main loop is one of the innermost loops whose trip loads and stores: the one with
the widest loads; of these, the one whose trip stores the most; of these, the one with the longest
trip, because kernels have a shorter loop for calls that are not counted. If no such trip adds to
shared memory, those that do and store nothing come before them. Without such a loop the trip is the
way from entry to exit. Instructions with a false predicate are issued and count. Instructions of a
CALL do not.

    python tools/sass.py FILE.cubin
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import toolkit

PIPES = ["ALU", "FMA", "LSU", "XU", "FP64", "CBU", "other"]
# Those of ALU are all that are not here.
OPCODES = {
    "FMA": "FFMA FMUL FADD IMAD HFMA2 HADD2 HMUL2 FFMA2 FADD2 FMUL2 IDP",
    "LSU": "LDG STG LDS STS LD ST LDL STL LDC ATOMS ATOMG ATOM RED REDG CCTL SHFL",
    "XU": "MUFU I2F F2I F2F FRND POPC FLO BREV",
    "FP64": "DADD DMUL DFMA DSETP",
    "CBU": "BRA BRX BSSY BSYNC BREAK CALL RET EXIT WARPSYNC YIELD JMP",
    "other": "R2UR S2UR S2R CS2R BAR MEMBAR ERRBAR NOP",
}
PIPE_OF = {opcode: pipe for pipe, opcodes in OPCODES.items() for opcode in opcodes.split()}
SIZES = {"Float32": 4, "Float64": 8, "BFloat16": 2, "Float16": 2}
WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}


@dataclasses.dataclass(frozen=True)
class Instruction:
    predicate: str
    opcode: str  # with its modifiers
    operands: str

    @property
    def name(self) -> str:
        return self.opcode.split(".")[0]

    @property
    def pipe(self) -> str:
        uniform = self.name[0] == "U" and self.name not in PIPE_OF
        return "other" if uniform else PIPE_OF.get(self.name, "ALU")

    @property
    def width(self) -> int:
        """Bytes that a memory access moves."""
        modifiers = self.opcode.split(".")[1:]
        return next((WIDTHS[modifier] for modifier in modifiers if modifier in WIDTHS), 4)

    @property
    def targets(self) -> list[str]:
        jumps = self.name in ("BRA", "BRX", "JMP")
        return re.findall(r"\.L_x_\d+", self.operands) if jumps else []

    @property
    def falls_through(self) -> bool:
        """Whether the next instruction may follow."""
        if self.predicate:
            return True
        if self.name == "BRA":
            return not self.operands.startswith("`")
        return self.name not in ("BRX", "JMP", "EXIT", "RET")


@dataclasses.dataclass(frozen=True)
class Trip:
    stored: int  # bytes, to global memory
    loaded: int  # bytes, by the widest loads from there
    widest: int  # bytes of such a load
    instructions: list[Instruction]

    @property
    def loads(self) -> int:
        """The number of widest loads."""
        return self.loaded // self.widest if self.widest else 0

    @property
    def counts(self) -> bool:
        """Whether it adds to shared memory: a kernel may also have a loop that does not count."""
        return any(instruction.name == "ATOMS" for instruction in self.instructions)

    def pipes(self) -> Counter[str]:
        return Counter(instruction.pipe for instruction in self.instructions)


class Graph:
    """Basic blocks of a kernel: lists of instructions, and the numbers of those that may follow."""

    def __init__(self, listing: str) -> None:
        self.blocks: list[list[Instruction]] = [[]]
        labels: dict[str, int] = {}
        for line in listing.splitlines():
            label = re.match(r"(\.L_x_\d+):", line.strip())
            found = re.match(
                r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;", line
            )
            if label or (self.blocks[-1] and self.ends(self.blocks[-1][-1])):
                self.blocks.append([])
            if label:
                labels[label[1]] = len(self.blocks) - 1
            elif found:
                self.blocks[-1].append(Instruction(found[1] or "", found[2], found[3]))
        self.follow: list[list[int]] = []
        for number, block in enumerate(self.blocks):
            targets = [labels[target] for target in block[-1].targets] if block else []
            falls = not block or block[-1].falls_through
            if falls and number + 1 < len(self.blocks):
                targets.append(number + 1)
            self.follow.append(targets)

    @staticmethod
    def ends(instruction: Instruction) -> bool:
        return bool(instruction.targets) or not instruction.falls_through

    def order(self, start: int, within: set[int]) -> tuple[list[int], set[tuple[int, int]]]:
        """Blocks by depth first, each before those that follow it, but for edges that go back."""
        done: list[int] = []
        back: set[tuple[int, int]] = set()
        state = {start: "open"}
        stack: list[tuple[int, Iterator[int]]] = [(start, iter(self.follow[start]))]
        while stack:
            block, following = stack[-1]
            for successor in following:
                if successor not in within:
                    continue
                if state.get(successor) == "open":
                    back.add((block, successor))
                elif successor not in state:
                    state[successor] = "open"
                    stack.append((successor, iter(self.follow[successor])))
                    break
            else:
                stack.pop()
                state[block] = "done"
                done.append(block)
        return done[::-1], back

    def loops(self) -> dict[int, tuple[set[int], set[int]]]:
        """By header: the blocks of the loop, and those that go back to the header."""
        order, back = self.order(0, set(range(len(self.blocks))))
        precede: dict[int, list[int]] = {block: [] for block in order}
        for block in order:
            for successor in self.follow[block]:
                precede[successor].append(block)
        loops: dict[int, tuple[set[int], set[int]]] = {}
        for latch, header in sorted(back):
            body, latches = loops.setdefault(header, ({header}, set()))
            latches.add(latch)
            stack = [latch]
            while stack:
                block = stack.pop()
                if block not in body:
                    body.add(block)
                    stack += precede[block]
        # A loop that does not hold the way into it is entered in the middle: no natural one.
        return {header: loop for header, loop in loops.items() if header == 0 or 0 not in loop[0]}

    def trip(self, start: int, within: set[int], ends: set[int]) -> Trip:
        accesses = [i for block in within for i in self.blocks[block] if i.name == "LDG"]
        widest = max((i.width for i in accesses), default=0)
        order, back = self.order(start, within)
        # Bytes stored, bytes loaded, instructions less than none, the block before.
        best: dict[int, tuple[int, int, int]] = {start: (0, 0, 0)}
        before: dict[int, int] = {}
        for block in order:
            stored, loaded, left = best[block]
            for i in self.blocks[block]:
                stored += i.width if i.name == "STG" else 0
                loaded += i.width if i.name == "LDG" and i.width == widest else 0
            best[block] = (stored, loaded, left - len(self.blocks[block]))
            for successor in self.follow[block]:
                if successor not in within or (block, successor) in back:
                    continue
                if successor not in best or best[block] > best[successor]:
                    best[successor] = best[block]
                    before[successor] = block
        end = max((block for block in ends if block in best), key=lambda block: best[block])
        way = [end]
        while way[-1] != start:
            way.append(before[way[-1]])
        instructions = [i for block in reversed(way) for i in self.blocks[block]]
        return Trip(best[end][0], best[end][1], widest, instructions)

    def main_trip(self) -> Trip:
        loops = self.loops()
        trips = {h: self.trip(h, body, latches) for h, (body, latches) in loops.items()}
        both = [header for header, trip in trips.items() if trip.stored and trip.loaded]
        if not any(trips[header].counts for header in both):
            # A kernel that only counts.
            counting = [header for header, trip in trips.items() if trip.loaded and trip.counts]
            both = counting or both
        innermost = [h for h in both if not any(o != h and o in loops[h][0] for o in both)]
        if innermost:
            found = [trips[header] for header in innermost]
            return max(found, key=lambda t: (t.counts, t.widest, t.stored, len(t.instructions)))
        every = set(range(len(self.blocks)))
        exits = {n for n in every if any(i.name == "EXIT" for i in self.blocks[n])}
        return self.trip(0, every, exits)


def find_nvdisasm() -> str | None:
    """Of the package nvidia-cuda-nvdisasm, or else of a CUDA toolkit."""
    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [str(file.locate()) for file in files if file.name == "nvdisasm"]
    return found[0] if found else toolkit.find("nvdisasm")


def read_listing(listing: str) -> dict[str, Trip]:
    """By mangled name of the kernel."""
    parts = re.split(r"^\s*\.section\s+\.text\.([\w$.]+),.*$", listing, flags=re.MULTILINE)
    return {
        name: Graph(body).main_trip() for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def disassemble(nvdisasm: str, cubin: Path) -> dict[str, Trip]:
    done = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, text=True, check=True)
    return read_listing(done.stdout)


def readable(names: list[str]) -> list[str]:
    demangled = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    noise = r"void |relustat::(cuda::|portable::)?|\(.*\)$|Arguments<\w+>$|unsigned "
    return [re.sub(noise, "", re.sub(r"\(.*?\)(?=\d)", "", name)) for name in demangled]


def elements(kernel: str, trip: Trip) -> float:
    """How many of its format the trip stores; a pool's have a switch each, which is stored, too.

    A kernel that stores none only counts what it loads: with an output each, in count_activation.
    """
    size = next(size for name, size in SIZES.items() if f"<{name}" in kernel)
    if not trip.stored:
        return trip.loaded / (2 * size if kernel.startswith("count_activation") else size)
    switch = 2 if ", short," in kernel else 1
    has_switches = kernel.startswith(("max_pool", "relu_max_pool"))
    return trip.stored / (size + switch if has_switches else size)


def main(cubin: Path) -> None:
    nvdisasm = find_nvdisasm()
    if nvdisasm is None:
        raise SystemExit("sass: needs nvdisasm of nvidia-cuda-nvdisasm, PATH or CUDA_HOME")
    trips = disassemble(nvdisasm, cubin)
    for kernel, trip in sorted(zip(readable(list(trips)), trips.values(), strict=True)):
        if not any(f"<{name}" in kernel for name in SIZES):
            continue
        stored = elements(kernel, trip)
        pipes = trip.pipes()
        shares = [f"{pipe} {pipes[pipe] / stored:.1f}" for pipe in PIPES if pipes[pipe]]
        per_element = len(trip.instructions) / stored
        print(f"{kernel:<90} {per_element:6.1f} of {stored:g}: {', '.join(shares)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
