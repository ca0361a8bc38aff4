"""``relustat demo``: trains a small CNN and shows its ReLUs before and after."""

from __future__ import annotations

import contextlib
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
from relustat._printable import printed
from relustat.report.columns import COLUMNS
from relustat.report.compared_row import ComparedRow
from relustat.report.comparison import Comparison
from relustat.report.csv_text import csv_text
from relustat.report.plots import histogram_grid
from relustat.report.report import Report
from relustat.stats import json_file
from relustat.watching.watches import watch

from .labelled_images import LabelledImages, load_images


def run(
    data: Path | None, output: Path, *, epochs: int, samples: int, learning_rate: float, seed: int
) -> None:
    """Trains, prints both reports and the changes, and writes page, figure, JSON and CSV.

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

    escape = import_optional("rich.markup", "demo", "the demo").escape
    size = "x".join(map(str, images.train_images.shape[1:]))
    console.print(
        f"[bold]{escape(printed(images.name))}[/bold]: {len(images.train_labels)} training and "
        f"{len(images.test_labels)} held-out images of {size}, {images.classes} classes"
    )
    before = look(model, images)
    console.print("\n[bold]Before training[/bold] (one pass over the training images)")
    console.print(before)
    console.print("\n[bold]Training[/bold], every ReLU watched")
    training = train(model, images, epochs, learning_rate, console)
    after = look(model, images)
    console.print("\n[bold]After training[/bold] (one pass over the training images)")
    console.print(after)
    console.print("\n[bold]What changed[/bold]")
    change = before.compare(after, names=("untrained", "trained"))
    for line in describe(change):
        console.print(line)
    write(output, before, after, change)
    training.to_html(output / "training.html", title="ReLUs of the demo while it trains")
    console.print(
        "\nWrote report.html and training.html (open them in a browser), histograms.png, "
        f"report.json and report.csv to [bold]{escape(printed(str(output)))}[/bold]"
    )


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
) -> Report:
    """Trains the model; returns the report of the training, with its epochs."""
    progress_module = import_optional("rich.progress", "demo", "the demo")
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    batches = -(-len(images.train_labels) // 64)
    with (
        progress_module.Progress(console=console, transient=True) as progress,
        watch(model) as watching,
    ):
        task = progress.add_task("training", total=epochs * batches)
        for epoch in range(1, epochs + 1):
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
            watching.snapshot(epoch)
            counted = watching.history.spans[-1].stats
            rates = "  ".join(f"{name} {each.zero_fraction:.0%}" for name, each in counted.items())
            with watching.pause():
                right = accuracy(model, images)
            progress.console.print(
                f"epoch {epoch:2}  loss {total / len(images.train_labels):.3f}  "
                f"held-out accuracy {right:.1%}  zeros: {rates}"
            )
    return watching.report()


def describe(change: Comparison) -> list[str]:
    """The changes as sentences."""
    lines = []
    for row in in_order(change):
        line = f"{row.call_site}: {row.zero_fraction:.1%} zero -> {row.other_zero_fraction:.1%}"
        for verb, by_width in (("died", row.died_units), ("revived", row.revived_units)):
            units = [str(unit) for each in by_width.values() for unit in each]
            noun = "unit" if len(units) == 1 else "units"
            which = f" ({', '.join(units)})" if units else ""
            line += f"; {len(units)} {noun} {verb}{which}"
        lines.append(line)
    return lines


def in_order(change: Comparison) -> list[ComparedRow]:
    """The rows in the order of execution."""
    return [change[name] for name in change.first.stats]


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


def write(output: Path, before: Report, after: Report, change: Comparison) -> None:
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
        "changes": [
            {
                "call_site": row.call_site,
                "died": [int(unit) for units in row.died_units.values() for unit in units],
                "revived": [int(unit) for units in row.revived_units.values() for unit in units],
            }
            for row in in_order(change)
        ],
    }
    json_file.save(output / "report.json", document)
    rows = (
        {"when": when, **row.numbers()}
        for when, report in (("before", before), ("after", after))
        for row in report.rows
    )
    with replacing(output / "report.csv") as file:
        file.write(csv_text(["when", *COLUMNS], rows))
    change.to_html(output / "report.html", title="ReLUs of the demo, untrained and trained")
