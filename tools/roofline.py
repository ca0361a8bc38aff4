"""A model of how long a kernel takes beside what only moves the same bytes.

A kernel takes as long as the busiest of what it uses: memory, or a pipe of the processors, or the
issue of its instructions. So the model knows no latency, no fixed cost of a call and no conflicts
of atomics in shared memory. Instructions are those of sm_90 on every GPU. It is there to be refuted
by a measurement.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

# Instructions that a processor starts in a clock, each for one thread: of all pipes, and of one.
# NVIDIA's CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions". The FMA pipe
# has the rate of its integer instructions.
ISSUE = 128
RATES = {"ALU": 64, "FMA": 64, "LSU": 32, "XU": 16}
# Of the memory's nominal rate, what a copy reaches.
REACHED = 0.9


@dataclasses.dataclass(frozen=True)
class GPU:
    name: str
    terabytes: float  # a second, nominal
    processors: int
    gigahertz: float

    def load(self, pipes: Mapping[str, float], moved: float) -> float:
        """The time of the busiest pipe over memory's; above 1 a kernel takes so much longer.

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
