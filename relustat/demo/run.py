"""``relustat demo``: trains a small CNN and shows its ReLUs before and after."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from relustat._files import replacing
from relustat._optional import import_optional
from relustat.report.plots import histogram_grid
from relustat.report.report import Report
from relustat.report.row import Row
from relustat.watching.watches import watch

from .labelled_images import LabelledImages, load_images


@dataclasses.dataclass(frozen=True)
class UnitChange:
    """The units of one call site that changed in training, as indices."""

    call_site: str
    died: list[int]
    revived: list[int]


def run(
    data: Path | None, output: Path, *, epochs: int, samples: int, learning_rate: float, seed: int
) -> None:
    """Trains, prints both reports and the changes, and writes figure, JSON and CSV to ``output``.

    Raises:
        ValueError, ImportError: see :func:`relustat.demo.load_images`.
    """
    rich_console = import_optional("rich.console", "demo", "the demo")
    # A file or a pipe has no width of its own.
    width = None if sys.stdout.isatty() else 110
    console = rich_console.Console(highlight=False, width=width, soft_wrap=True)
    import_optional("matplotlib", "demo", "the demo")
    with output_folder(output):
        images = load_images(data, samples)
        _train_and_show(images, output, console, epochs, learning_rate, seed)


def _train_and_show(
    images: LabelledImages,
    output: Path,
    console: Any,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    model = make_model(images)

    size = "x".join(map(str, images.train_images.shape[1:]))
    console.print(
        f"[bold]{images.name}[/bold]: {len(images.train_labels)} training and "
        f"{len(images.test_labels)} held-out images of {size}, {images.classes} classes"
    )
    before = look(model, images)
    console.print("\n[bold]Before training[/bold] (one pass over the training images)")
    console.print(before)
    console.print("\n[bold]Training[/bold], every ReLU watched")
    train(model, images, epochs, learning_rate, console)
    after = look(model, images)
    console.print("\n[bold]After training[/bold] (one pass over the training images)")
    console.print(after)
    console.print("\n[bold]What changed[/bold]")
    changes = compare(before, after)
    for line in describe(before, after, changes):
        console.print(line)
    write(output, before, after, changes)
    console.print(f"\nWrote histograms.png, report.json and report.csv to [bold]{output}[/bold]")


def make_model(images: LabelledImages) -> nn.Module:
    """A CNN: Conv-ReLU-MaxPool twice, then two linear layers."""
    _, channels, height, width = images.train_images.shape
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 16, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(32 * (height // 4) * (width // 4), 64),
            relu3=nn.ReLU(),
            fc2=nn.Linear(64, images.classes),
        )
    )


def look(model: nn.Module, images: LabelledImages) -> Report:
    """The report of all ReLUs on the training images."""
    model.eval()
    with torch.no_grad(), watch(model) as watching:
        for batch in images.train_images.split(256):
            model(batch)
    return watching.report()


def accuracy(model: nn.Module, images: LabelledImages) -> float:
    model.eval()
    with torch.no_grad():
        right = model(images.test_images).argmax(1) == images.test_labels
    return float(right.float().mean())


def train(
    model: nn.Module,
    images: LabelledImages,
    epochs: int,
    learning_rate: float,
    console: Any,
) -> None:
    progress_module = import_optional("rich.progress", "demo", "the demo")
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    batches = -(-len(images.train_labels) // 64)
    with (
        progress_module.Progress(console=console, transient=True) as progress,
        watch(model) as watching,
    ):
        task = progress.add_task("training", total=epochs * batches)
        for epoch in range(1, epochs + 1):
            watching.reset()
            model.train()
            total = 0.0
            for chosen in torch.randperm(len(images.train_labels)).split(64):
                optimizer.zero_grad()
                loss = F.cross_entropy(
                    model(images.train_images[chosen]), images.train_labels[chosen]
                )
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(chosen)
                progress.advance(task)
            rates = "  ".join(
                f"{name} {stats.zero_fraction:.0%}" for name, stats in watching.stats.items()
            )
            with watching.pause():
                right = accuracy(model, images)
            progress.console.print(
                f"epoch {epoch:2}  loss {total / len(images.train_labels):.3f}  "
                f"held-out accuracy {right:.1%}  zeros: {rates}"
            )


def compare(before: Report, after: Report) -> list[UnitChange]:
    """The units that are dead in one report and alive in the other."""
    changes = []
    for name, stats in after.stats.items():
        was, now = set(before.stats[name].dead_units.tolist()), set(stats.dead_units.tolist())
        if stats.nans:  # a unit that gives NaN is not dead, but it is not revived either
            was = now
        changes.append(UnitChange(name, sorted(now - was), sorted(was - now)))
    return changes


def describe(before: Report, after: Report, changes: list[UnitChange]) -> list[str]:
    """The changes as sentences."""
    lines = []
    for change in changes:
        was, now = before.stats[change.call_site], after.stats[change.call_site]
        line = f"{change.call_site}: {was.zero_fraction:.1%} zero -> {now.zero_fraction:.1%}"
        for verb, units in (("died", change.died), ("revived", change.revived)):
            noun = "unit" if len(units) == 1 else "units"
            which = f" ({', '.join(map(str, units))})" if units else ""
            line += f"; {len(units)} {noun} {verb}{which}"
        lines.append(line)
    return lines


@contextlib.contextmanager
def output_folder(output: Path) -> Iterator[None]:
    """Makes the folder before any work, and removes it if nothing was written.

    Raises:
        OSError: if the folder cannot be made or written to.
    """
    is_new = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"--output must be a folder to write to, got {output} ({error})") from error
    if not os.access(output, os.W_OK):
        raise OSError(f"--output must be a folder to write to, got {output}")
    try:
        yield
    except BaseException:
        if is_new and not any(output.iterdir()):
            output.rmdir()
        raise


def write(output: Path, before: Report, after: Report, changes: list[UnitChange]) -> None:
    """Writes each file whole or not at all."""
    output.mkdir(parents=True, exist_ok=True)
    panels = {
        f"{name} {when}": stats
        for when, report in (("before", before), ("after", after))
        for name, stats in report.stats.items()
    }
    figure = histogram_grid(panels, columns=len(after.stats))
    with replacing(output / "histograms.png") as file:
        figure.savefig(file, format="png", dpi=120)
    document = {
        "before": before.to_dict(),
        "after": after.to_dict(),
        "changes": [dataclasses.asdict(change) for change in changes],
    }
    with replacing(output / "report.json") as file:
        file.write(json.dumps(document).encode())
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Row)]
    writer = csv.DictWriter(text, ["when", *names], lineterminator="\n")
    writer.writeheader()
    for when, report in (("before", before), ("after", after)):
        for row in report.rows:
            writer.writerow({"when": when, **dataclasses.asdict(row)})
    with replacing(output / "report.csv") as file:
        file.write(text.getvalue().encode())
