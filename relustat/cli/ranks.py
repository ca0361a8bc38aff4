"""The processes that ``torchrun`` has started together."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from relustat.watching.handle import Watch

from .messages import first_line

# The ranks meet at the end of the pass, for which some wait long. If one fails, torchrun ends all.
_LONGEST_WAIT = datetime.timedelta(days=30)


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process and the others.

    Attributes:
        index: the number of this process.
        count: the number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def local_device(self) -> torch.device:
        """The GPU of this process, or the CPU if there is none."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) if self.count > 1 else 0)

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _of_others():
            dist.all_gather_object(values, value)
        return values

    def all_reduce(self, watch: Watch) -> None:
        """Adds up the counts of all processes."""
        with _of_others():
            watch.all_reduce()


@contextlib.contextmanager
def _of_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ValueError(
            f"analyze: another process has failed, which says why ({first_line(error)})"
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """The processes, which can exchange within the context; one alone outside of torchrun."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield Ranks()
        return
    dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
