"""The pass of ``relustat analyze``: batch by batch, shown, saved, and ended by Ctrl-C."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from relustat._messages import many, some
from relustat._optional import import_optional
from relustat.data_pass.counted_pass import CountedPass
from relustat.data_pass.pace import Pace
from relustat.data_pass.progress import shown_progress
from relustat.report.live import live

from .data.batches import NOTHING_READ, Batches
from .interrupts import Interrupts
from .messages import first_line
from .resuming import Done, ResumeFile


class Counted(NamedTuple):
    """What a process has counted.

    Attributes:
        done: the batches.
        all_batches: the number of its batches; None if it is not known.
        is_interrupted: whether a signal came before the last batch.
    """

    done: Done
    all_batches: int | None
    is_interrupted: bool

    @classmethod
    def sum(cls, parts: Sequence[Counted]) -> Counted:
        """What all processes have counted."""
        numbers = [each.all_batches for each in parts if each.all_batches is not None]
        return cls(
            Done(
                sum(each.done.batches for each in parts),
                sum(each.done.samples for each in parts),
                tuple(itertools.chain.from_iterable(each.done.unreadable for each in parts)),
            ),
            sum(numbers) if len(numbers) == len(parts) else None,
            any(each.is_interrupted for each in parts),
        )

    @property
    def warnings(self) -> list[str]:
        """What a reader of the counts must know."""
        found = []
        if self.is_interrupted:
            of_all = "" if self.all_batches is None else f" of {self.all_batches:,}"
            found.append(
                f"interrupted after {self.done.batches:,}{of_all} batches, "
                f"{many(self.done.samples, 'sample')}"
            )
        return found + ([self.left_out] if self.left_out else [])

    @property
    def left_out(self) -> str:
        """What could not be read; empty if all could."""
        names = self.done.unreadable
        if not names:
            return ""
        return f"{many(len(names), 'input')} could not be read, left out: {some(names, '; ')}"


def count(
    counted: CountedPass,
    batches: Batches,
    resume: ResumeFile | None,
    interrupts: Interrupts,
    *,
    is_shown: bool,
    is_live: bool,
) -> Counted:
    """Counts all batches, from those on that the file of an earlier process has.

    Raises:
        ValueError: if a batch cannot be loaded, or the model does not take it.
    """
    done = Done() if resume is None else resume.load(counted.watch)
    pace = Pace(batches.total)
    pace.begin(done.batches, done.samples)
    loaded = batches.beginning_at(done.batches)
    with _shown(counted, pace, is_shown, is_live) as show:
        while not interrupts.came():
            try:
                batch = next(loaded)
            except StopIteration:
                break
            except (Exception, SystemExit) as error:
                # The processes that load data may have got the same signal.
                if interrupts.came():
                    break
                if resume is not None:
                    resume.save(counted.watch, done)
                raise ValueError(
                    f"analyze: a batch cannot be loaded ({first_line(error)}); --debug shows where"
                ) from error
            pace.advance(0 if batch is NOTHING_READ else _step(counted, batch, batches.hint))
            done = Done(pace.batches, pace.samples, (*done.unreadable, *batches.unreadable))
            batches.unreadable.clear()
            show()
            if resume is not None:
                resume.save_if_due(counted.watch, done)
    if resume is not None:
        resume.save(counted.watch, done)
    return Counted(done, batches.total, interrupts.came() and done.batches != batches.total)


def _step(counted: CountedPass, batch: Any, hint: str) -> int:
    try:
        return counted.step(batch)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"analyze: the model does not take a batch of {_described(batch)} "
            f"({first_line(error)}); {hint or '--debug shows where'}"
        ) from error


def _described(batch: Any) -> str:
    if isinstance(batch, Tensor):
        return f"{batch.dtype} {list(batch.shape)}".removeprefix("torch.")
    if isinstance(batch, Mapping):
        return "a dict of " + some(f"{name}: {_described(each)}" for name, each in batch.items())
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of " + some(map(_described, batch))
    return f"type {type(batch).__name__}"


@contextlib.contextmanager
def _shown(
    counted: CountedPass, pace: Pace, is_shown: bool, is_live: bool
) -> Iterator[Callable[[], None]]:
    if not is_shown:
        yield lambda: None
    elif is_live and sys.stderr.isatty():
        console = import_optional("rich.console", "rich", "--live")
        with live(
            lambda: console.Group(counted.watch.report(), str(pace)),
            1.0,
            stderr=True,
            transient=True,
        ):
            yield lambda: None
    else:
        with shown_progress(pace) as show:
            yield show
