"""A model of the time of a kernel, relative to a copy of the same bytes.

A kernel takes as long as its busiest resource: memory, a pipe of the processors, or the issue of
instructions. So the model has no latency, no fixed cost of a call and no conflicts of atomics in
shared memory. Instructions are those of sm_90 on every GPU. A measurement is to refute it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

# Instructions that a processor starts in a clock, each for one thread: of all pipes, and of one.
# NVIDIA's CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions". The FMA pipe
# has the rate of its integer instructions.
ISSUE = 128
RATES = {"ALU": 64, "FMA": 64, "LSU": 32, "XU": 16}
# The share of the memory's nominal rate that a copy reaches.
REACHED = 0.9


@dataclasses.dataclass(frozen=True)
class GPU:
    name: str
    terabytes: float  # a second, nominal
    processors: int
    gigahertz: float

    def load(self, pipes: Mapping[str, float], moved: float) -> float:
        """The time of the busiest pipe over that of memory. Above 1, the pipe decides.

        Args:
            pipes: instructions of each pipe, for one element.
            moved: bytes that are read and written for it.
        """
        memory = moved / (self.terabytes * 1e12 * REACHED)
        clocks = [sum(pipes.values()) / ISSUE]
        clocks += [pipes.get(pipe, 0) / rate for pipe, rate in RATES.items()]
        return max(clocks) / (self.processors * self.gigahertz * 1e9) / memory


GPUS = [
    GPU("T4", 0.32, 40, 1.59),
    GPU("A100", 2.04, 108, 1.41),
    GPU("H100", 3.35, 132, 1.98),
    GPU("H200", 4.8, 132, 1.98),
    GPU("B200", 8.0, 148, 1.96),
]
