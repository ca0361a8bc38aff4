"""The report of a model on a data set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from relustat._checks import as_integer
from relustat.report.report import Report

from .counted_pass import Call, CountedPass
from .loaders import check_is_loader, number_of_batches
from .pace import Pace
from .progress import shown_progress


def analyze(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    limit: int | None = None,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    call: Call | None = None,
    progress: bool = False,
    **options: Any,
) -> Report:
    """Runs a model over the batches of a loader and counts every ReLU that it computes.

    The model evaluates, without gradients. Afterwards it is as it was before. For training, and
    for a model that is called in your own loop, use :func:`relustat.watch`.

    Args:
        model: the model.
        loader: a ``DataLoader``, or any iterable of batches. A batch is a tensor; a tuple or a
            list, such as ``(images, labels)``, of which the first elements are given to the model,
            as many as its ``forward`` must have; a dict, of which the arguments that ``forward``
            names are given to it, such as the batches of Hugging Face; or what else the model
            takes.
        limit: the pass ends after the batch in which this number of samples is reached; None: with
            the last batch.
        device: the device of the pass, to which the model and each batch are moved. None: the
            model stays where it is, as it must if it is on several devices.
        autocast: the dtype of ``torch.autocast``; None: no autocast.
        call: calls the model with a batch, in a way of your own: ``call=lambda model, batch:
            model.generate(batch["ids"])``. It moves the batch.
        progress: show on the standard error output how far the pass is.
        **options: those of :func:`relustat.watch`, such as ``bins``, ``unit_histograms``, ``only``.

    Returns:
        The report of all batches.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``, ``loader`` is a single batch or a data set
            without batches, or an argument has a wrong type.
        ValueError: if ``limit`` is less than 1, ``loader`` gives no batch, a batch that is a dict
            fits no argument of the model, or the model is watched already.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> batches = [(torch.randn(16, 4), torch.zeros(16)) for _ in range(3)]
        >>> relustat.analyze(model, batches)["1"].elements
        384
    """
    if limit is not None and as_integer("analyze: limit", limit) < 1:
        raise ValueError(f"analyze: limit must be at least 1, got {limit}")
    check_is_loader("analyze: loader", loader)
    counted = CountedPass(model, device=device, autocast=autocast, call=call, **options)
    pace = Pace(number_of_batches(loader), limit)
    with (
        counted,
        shown_progress(pace) if progress else contextlib.nullcontext(lambda: None) as show,
    ):
        for batch in loader:
            pace.advance(counted.step(batch))
            show()
            if pace.is_at_limit:
                break
    if not pace.batches:
        raise ValueError("analyze: loader must give at least one batch, got none")
    return counted.watch.report()
