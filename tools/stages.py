"""Runs commands in order within a budget of time, and writes a summary."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

OK = "ok"


class UnavailableError(Exception):
    """A stage cannot run here because something is missing. That is not a failure."""


class StageError(Exception):
    """A stage cannot run, which is a failure."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A line of the summary.

    Attributes:
        log: the file in the output folder for what the commands say; several stages may share it.
        least: seconds without which it is not begun.
        limit: seconds that all commands have together.
        plan: returns the commands, or raises one of the errors above; called when it is begun.
        needs: stages that must have been ok, if they are among those that run.
        unsupported: words in the log by which a failed command says that it cannot work here.
    """

    name: str
    log: str
    least: float
    limit: float
    plan: Callable[[], Iterable[list[str]]]
    needs: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    stage: str
    result: str
    seconds: float = 0
    said: str = ""

    @property
    def failed(self) -> bool:
        return self.result.startswith("FAILED")

    def __str__(self) -> str:
        return f"{self.stage:<12} {self.result:<24} {self.seconds:4.0f} s  {self.said}".rstrip()


def run_in_group(
    command: list[str], log: Path, limit: float, root: Path, environment: Mapping[str, str]
) -> int | None:
    """The exit status, or None after ``limit`` seconds. All its processes are killed then."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            return process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # No such group: it and all it started have ended.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def last_line(log: Path, begin: int) -> str:
    """Of what was written from position ``begin`` on."""
    if not log.exists():
        return ""
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].strip("= ")[:100] if said else ""


class Run:
    """All stages of one check."""

    def __init__(
        self, folder: Path, budget: float, heading: str, root: Path, environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.end = time.monotonic() + budget
        self.heading = heading
        self.root = root
        self.environment = environment
        self.outcomes: list[Outcome] = []

    def run(self, stages: Iterable[Stage]) -> None:
        """Runs all stages. An interrupted stage is in the summary, too."""
        for stage in stages:
            begin = time.monotonic()
            outcome = Outcome(stage.name, "FAILED (interrupted)")
            try:
                outcome = self._outcome(stage, begin)
            finally:
                self.outcomes.append(dataclasses.replace(outcome, seconds=time.monotonic() - begin))
                print(self.outcomes[-1], flush=True)
                self.write_summary()

    def _outcome(self, stage: Stage, begin: float) -> Outcome:
        left = self.end - begin
        lacking = [
            each.stage for each in self.outcomes if each.stage in stage.needs and each.result != OK
        ]
        if lacking:
            return Outcome(stage.name, "not run", said=f"needs {', '.join(lacking)}")
        if left < stage.least:
            said = f"{max(left, 0):.0f} s left, it takes at least {stage.least:g}"
            return Outcome(stage.name, "not run", said=said)
        log = self.folder / stage.log
        start = log.stat().st_size if log.exists() else 0
        limit = min(stage.limit, left)
        try:
            for command in stage.plan():
                left = limit - (time.monotonic() - begin)
                status = run_in_group(command, log, left, self.root, self.environment)
                if status != 0:
                    break
        except UnavailableError as reason:
            return Outcome(stage.name, "not available", said=str(reason))
        except StageError as reason:
            return Outcome(stage.name, "FAILED", said=str(reason))
        said = last_line(log, start)
        if status is None:
            return Outcome(stage.name, f"FAILED (over {limit:.0f} s)", said=said)
        if status != 0:
            text = log.read_bytes()[start:].decode(errors="replace")
            unsupported = [words for words in stage.unsupported if words in text]
            if unsupported:
                return Outcome(stage.name, "not available", said=unsupported[0])
            return Outcome(stage.name, f"FAILED (exit {status})", said=said)
        return Outcome(stage.name, OK, said=said)

    def write_summary(self) -> None:
        lines = [self.heading, "", "| stage | result | seconds | it said |", "|---|---|---|---|"]
        for outcome in self.outcomes:
            said = outcome.said.replace("|", "\\|")
            lines.append(f"| {outcome.stage} | {outcome.result} | {outcome.seconds:.0f} | {said} |")
        (self.folder / "summary.md").write_text("\n".join(lines) + "\n")
