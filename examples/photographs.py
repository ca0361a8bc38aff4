"""Photographs for ImageNet's networks: the middle 224 pixels, of 256 on the shorter side.

They come from a folder, or from scikit-image:

    photographs = Photographs("val", network.prepare)
    for x, labels in DataLoader(photographs, 16):       # [16, 3, 224, 224], [16]
        ...
    print(photographs.summary())                        # 2 of 113 could not be read: a.jpg, b.png
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

SHORTER_SIDE, SIDE = 256, 224
IMAGENET_CLASSES = 1000
# The label of an image whose class is not known.
NO_LABEL = -1
# The colour photographs in scikit-image itself, which need no download.
SHIPPED = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
)


class Photographs(Dataset[tuple[Tensor, int]]):
    """Images with their labels: ``prepare(rgb)`` and the index of the class, or -1.

    Labels are known if the folder has exactly 1,000 sub-folders, ImageNet's classes. Their sorted
    names ("n01440764", ...) have the order of ImageNet's indices. Other sub-folders give no labels.

    All image files are decoded once at the start. Files that cannot be decoded are left out, and
    :meth:`summary` names them.

    Args:
        folder: the folder, with its sub-folders; None: scikit-image's photographs.
        prepare: from RGB in 0 to 1, float32 [3, 224, 224], to a network's input.
        limit: the largest number of files, evenly spread over all; None: all.

    Attributes:
        names: the sorted names of the images; paths within the folder for files.
        unreadable: the files that were left out.

    Raises:
        ValueError: if ``limit`` is below 1, or no image can be read.
        ImportError: if Pillow or scikit-image is missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        prepare: Callable[[Tensor], Tensor],
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"Photographs: limit must be at least 1, got {limit}")
        self._folder = None if folder is None else Path(folder)
        self._prepare = prepare
        self.unreadable: list[str] = []
        self._labels: dict[str, int] = {}
        if self._folder is None:
            self.names = _spread(list(SHIPPED), limit)
            return
        classes = sorted(child.name for child in self._folder.glob("*") if child.is_dir())
        if len(classes) == IMAGENET_CLASSES:
            self._labels = {name: index for index, name in enumerate(classes)}
        found = _spread(self._files(self._folder), limit)
        self.names = [name for name in found if self._is_readable(name)]
        if not self.names:
            raise ValueError(
                f"Photographs: a folder must hold an image that can be read, got {folder} "
                f"with {len(found)} image files"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        name = self.names[index]
        pixels = torch.from_numpy(np.array(_square(self._open(name))))
        label = self._labels.get(Path(name).parts[0], NO_LABEL)
        return self._prepare(pixels.permute(2, 0, 1) / 255), label

    def summary(self) -> str:
        """The images that could not be read, as a sentence."""
        found = len(self.names) + len(self.unreadable)
        told = f"{len(self.unreadable)} of {found} could not be read"
        return f"{told}: {', '.join(self.unreadable)}" if self.unreadable else told

    def _files(self, folder: Path) -> list[str]:
        kinds = Image.registered_extensions().items()
        endings = {ending for ending, kind in kinds if kind in Image.OPEN}
        return sorted(
            file.relative_to(folder).as_posix()
            for file in folder.rglob("*")
            if file.suffix.lower() in endings and file.is_file()
        )

    def _is_readable(self, name: str) -> bool:
        try:
            self._open(name)
        except Exception:  # Pillow's decoders raise OSError, SyntaxError, struct.error and others
            self.unreadable.append(name)
            return False
        return True

    def _open(self, name: str) -> Any:
        if self._folder is None:
            from skimage import data

            return Image.fromarray(getattr(data, name)())
        with Image.open(self._folder / name) as image:
            return image.convert("RGB")


def _square(image: Any) -> Any:
    shorter = min(image.size)
    width, height = (SHORTER_SIDE * length // shorter for length in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + SIDE, top + SIDE))


def _spread(names: list[str], limit: int | None) -> list[str]:
    if limit is None or limit >= len(names):
        return names
    return [names[index * len(names) // limit] for index in range(limit)]
