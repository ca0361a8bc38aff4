"""The options that say which data, and the batches that they mean."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from relustat.cli.arguments import file, folder, not_negative, numbers, positive, shape
from relustat.cli.messages import first_line
from relustat.cli.named_objects import called, named_object
from relustat.data_pass.loaders import check_is_loader

from .arrays import ArrayRows
from .batches import Batches, DatasetBatches, LoaderBatches
from .images import IMAGENET_MEAN, IMAGENET_STD, ImageFolder, Normalisation
from .random_inputs import RandomInputs, taken_by
from .share import Share

# Of --images, if there are as many processors.
_MOST_WORKERS = 4
_RANDOM_INPUTS = 256
_BATCH = 32
_CROP = 224
_OPTIONS_OF = {
    "images": {"resize", "crop", "mean", "std"},
    "npy": {"mean", "std"},
    "random": {"shape"},
    "data": set(),
}
# What to do if the model does not take the inputs.
_HINTS = {
    "images": "--crop gives the size of an image",
    "npy": "a row must be what the model takes, channels first; integers but bytes are tokens",
    "random": "--shape gives the size of an input, --tokens the vocabulary",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    data = parser.add_argument_group("data (one of --images, --npy, --data; or random inputs)")
    data.add_argument(
        "--images",
        type=folder,
        metavar="DIR",
        help="all images below a folder; labels, as names of subfolders, do not matter",
    )
    data.add_argument(
        "--npy",
        type=file,
        metavar="FILE",
        help="an array; each row is an input: floats, bytes (then 0 to 1), or integers as tokens",
    )
    data.add_argument(
        "--data",
        metavar="FILE.py:NAME",
        help="a data set, a DataLoader or another iterable of batches, or a function that gives "
        "one; also package.module:name",
    )
    data.add_argument(
        "--random",
        type=positive,
        metavar="N",
        help="N random inputs, normally distributed, or tokens if the model's first layer is an "
        "embedding",
    )
    data.add_argument(
        "--tokens",
        type=positive,
        metavar="VOCABULARY",
        help=f"random tokens below this number; with --random N so many ({_RANDOM_INPUTS})",
    )
    data.add_argument(
        "--shape",
        type=shape,
        help="the size of a random input, such as 3x224x224 or 512 (default: what the model's "
        "first layer takes; images of 224x224, 128 tokens)",
    )
    data.add_argument(
        "--resize",
        type=positive,
        metavar="PIXELS",
        help="scale the shorter side of images to this (default: 8/7 of --crop)",
    )
    data.add_argument(
        "--crop",
        type=positive,
        metavar="PIXELS",
        help="cut this out of the middle (default: 224)",
    )
    for name, imagenet in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        data.add_argument(
            f"--{name}",
            type=numbers,
            metavar="X,...",
            help="normalise by this, a number for each channel or one for all (default of "
            f"--images: ImageNet's, {','.join(map(str, imagenet))})",
        )
    data.add_argument(
        "--batch-size", type=positive, metavar="N", help="samples in a batch (default: 32)"
    )
    data.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="only the first N samples; of a loader that makes its own batches, up to the batch "
        "in which the N-th sample is",
    )
    data.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help="processes that load data (default: up to 4 for --images, else 0)",
    )


def batches_of(options: argparse.Namespace, model: nn.Module, share: Share) -> Batches:
    """The batches of a process.

    Raises:
        ImportError: if Pillow is needed and missing.
        ValueError: if the options do not name one source, or it has no data.
    """
    given = [name for name in ("images", "npy", "data") if getattr(options, name) is not None]
    given += ["random"] if options.random or options.tokens else []
    if len(given) != 1:
        found = " and ".join(f"--{name}" for name in given)
        raise ValueError(
            "analyze: the data must be given by one of --images, --npy, --data, or by --random or "
            f"--tokens, got {found or 'none; --random 64 is enough for a first look'}"
        )
    _check_fitting(options, given[0])
    if given == ["data"]:
        loader = _loader(options.data, options.seed)
        if isinstance(loader, IterableDataset):
            loader = DataLoader(
                loader, options.batch_size or _BATCH, num_workers=options.workers or 0
            )
        elif not isinstance(loader, Dataset) and (options.batch_size or options.workers):
            raise ValueError(
                "--batch-size and --workers are for a data set, got a "
                f"{type(loader).__name__}, which makes its own batches"
            )
        if not isinstance(loader, Dataset):
            return LoaderBatches(loader, options.seed, options.limit, share)
        dataset: Dataset[Any] = loader
    else:
        dataset = _dataset(options, model)
    workers = options.workers
    if workers is None:
        workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0))) if options.images else 0
    return DatasetBatches(
        dataset,
        options.batch_size or _BATCH,
        options.limit,
        share,
        workers,
        seed=options.seed,
        hint=_HINTS.get(given[0], ""),
    )


def _check_fitting(options: argparse.Namespace, source: str) -> None:
    """Raises ValueError if an option is of another source of data."""
    for name in ("shape", "resize", "crop", "mean", "std"):
        if getattr(options, name) is not None and name not in _OPTIONS_OF[source]:
            raise ValueError(f"--{name} does not go with --{source}; `--help` says what it is for")


def _dataset(options: argparse.Namespace, model: nn.Module) -> Dataset[Any]:
    kind = taken_by(model)
    if options.images is not None:
        channels = kind.shape[0] if len(kind.shape) == 3 else 3
        crop = options.crop or _CROP
        return ImageFolder(
            options.images,
            resize=options.resize or -(-crop * 8 // 7),
            crop=crop,
            channels=channels,
            normalise=_normalisation(options, channels, IMAGENET_MEAN, IMAGENET_STD),
        )
    if options.npy is not None:
        rows = ArrayRows(options.npy, None)
        if options.mean or options.std:
            channels = rows.row_shape[0] if rows.row_shape else 1
            rows = ArrayRows(options.npy, _normalisation(options, channels, (0.0,), (1.0,)))
        return rows
    if options.tokens:
        kind = kind._replace(vocabulary=options.tokens, shape=kind.shape[-1:])
    if options.shape:
        kind = kind._replace(shape=options.shape)
    return RandomInputs(options.random or _RANDOM_INPUTS, kind, options.seed)


def _normalisation(
    options: argparse.Namespace, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Normalisation:
    """That of the options; defaults are averaged if the channels are others."""
    if len(mean) not in (1, channels):
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Normalisation(options.mean or mean, options.std or std, channels)


def _loader(text: str, seed: int) -> Any:
    found = named_object("--data", text)
    is_data = isinstance(found, (Dataset, Iterable)) and not isinstance(found, type)
    loader = called("--data", text, found, seed) if callable(found) and not is_data else found
    if not isinstance(loader, Dataset):
        try:
            check_is_loader(f"--data: {text}", loader)
        except TypeError as error:
            raise ValueError(f"{error}, and no data set") from error
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        try:
            size = len(loader)  # type: ignore[arg-type]
        except Exception as error:
            raise ValueError(
                f"--data: {text} must give a data set that has a length, got {first_line(error)}"
            ) from error
        if not size:
            raise ValueError(f"--data: {text} must give data, got an empty data set")
    return loader
