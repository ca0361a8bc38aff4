"""The file by which a pass that was killed goes on."""

from __future__ import annotations

import hashlib
import io
import re
import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relustat._files import replacing
from relustat.watching.handle import Watch

from .data.share import Share


class Done(NamedTuple):
    """What of a pass is done.

    Attributes:
        batches: the number of whole batches.
        samples: the number of samples in them.
        unreadable: what could not be read.
    """

    batches: int = 0
    samples: int = 0
    unreadable: tuple[str, ...] = ()


class ResumeFile:
    """Keeps the counts of a pass, and what is done of it.

    Args:
        path: the file. If there are several shares, each has a file of its own beside it.
        share: the share of this process.
        arguments: all that decides what is counted, as texts.
        every: seconds from one save to the next.

    Raises:
        ValueError: if other files than of these shares are there.
    """

    def __init__(
        self, path: Path, share: Share, arguments: Mapping[str, str], every: float
    ) -> None:
        self._arguments = dict(arguments)
        self._every = every
        self.path = path
        if share.count > 1:
            self.path = path.with_name(
                f"{path.stem}.{share.index + 1}-of-{share.count}{path.suffix}"
            )
        of_share = re.compile(rf"{re.escape(path.stem)}\.\d+-of-(\d+){re.escape(path.suffix)}")
        counts = {each.name: of_share.fullmatch(each.name) for each in path.parent.iterdir()}
        others = sorted(
            name
            for name, found in counts.items()
            if (found and int(found[1]) != share.count) or (name == path.name and share.count > 1)
        )
        if others:
            raise ValueError(
                f"--resume: all files must be of {share.count} shares, got {others[0]}; go on with "
                "the same number of processes, or name another file"
            )
        self._last = time.monotonic()

    def load(self, watch: Watch) -> Done:
        """Gives a watch the counts of the file, if there is one.

        Raises:
            ValueError: if it is a file of another pass, or none.
        """
        if not self.path.exists():
            return Done()
        if not self.path.is_file():
            raise ValueError(
                f"--resume: the file must be one that can be read again, got {self.path}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of files of other kinds
                _check_archive(self.path)
                state = torch.load(self.path, weights_only=True)
            theirs, counts = dict(state["arguments"]), state["watch"]
            batches, samples, unreadable = state["done"]
            done = Done(int(batches), int(samples), tuple(map(str, unreadable)))
        except Exception as error:  # a damaged file makes PyTorch raise many kinds
            raise ValueError(
                f"--resume: {self.path} must be a file that `relustat analyze --resume` wrote; it "
                "is something else, or damaged"
            ) from error
        for name, mine in self._arguments.items():
            if theirs.get(name) != mine:
                raise ValueError(
                    f"--resume: {self.path} must be of the same pass, got {name} "
                    f"{theirs.get(name)} in the file, {mine} here"
                )
        watch.load_state_dict(counts)
        return done

    def save(self, watch: Watch, done: Done) -> None:
        """Writes the file, whole or not at all."""
        state = {"arguments": self._arguments, "done": tuple(done), "watch": watch.state_dict()}
        # PyTorch's writer hides why a file could not be written.
        content = io.BytesIO()
        torch.save(state, content)
        with replacing(self.path) as file:
            file.write(content.getbuffer())
        self._last = time.monotonic()

    def save_if_due(self, watch: Watch, done: Done) -> None:
        """Writes the file if the last time is long enough ago."""
        if time.monotonic() - self._last >= self._every:
            self.save(watch, done)


def _check_archive(path: Path) -> None:
    """Raises whatever if a part of a file is not as it was written. torch.load would not tell."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"{broken} has another checksum")


def identity_of(model: nn.Module) -> str:
    """A text that changes with any parameter or buffer of a model."""
    found = hashlib.sha256()
    for name, each in model.state_dict().items():
        found.update(name.encode())
        if isinstance(each, Tensor) and not is_lazy(each):
            values = each.detach().cpu().contiguous()
            found.update(f"{values.dtype} {list(values.shape)}".encode())
            if values.numel():
                found.update(values.view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
