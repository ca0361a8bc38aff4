"""Small labelled image sets for the demo: scikit-learn's digits, IDX files, image folders."""

from __future__ import annotations

import dataclasses
import gzip
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relustat._messages import some
from relustat._optional import import_optional

_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
_FOLDER_SIZE = 32


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """A training set and a test set.

    Attributes:
        name: the name of the data set.
        train_images, test_images: float32 [N, channels, height, width], about 0 to 1.
        train_labels, test_labels: int64 [N].
        classes: number of classes.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def classes(self) -> int:
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def load_images(path: Path | None, samples: int) -> LabelledImages:
    """Reads a data set.

    Args:
        path: None: scikit-learn's digits (1,797 of 8x8 pixels). A folder with IDX files
            (``train-images-idx3-ubyte`` and so on, also ``.gz``): MNIST, Fashion-MNIST. Any other
            folder: images in one subfolder for each class, scaled to 32x32.
        samples: the largest number of training images.

    Raises:
        ValueError: if nothing can be read there, or if it is not such data.
        ImportError: if scikit-learn or Pillow is missing.
    """
    if path is None:
        return _digits(samples)
    if not path.is_dir():
        raise ValueError(f"--data must be a folder of images or of IDX files, got {path}")
    if any(path.glob("train-images*idx3-ubyte*")):
        return _idx(path, samples)
    return _folder(path, samples)


def _digits(samples: int) -> LabelledImages:
    digits = import_optional("sklearn.datasets", "demo", "the digits data set").load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    return _split("scikit-learn's digits", images, torch.from_numpy(digits.target).long(), samples)


def _idx(path: Path, samples: int) -> LabelledImages:
    def images(prefix: str) -> Tensor:
        return torch.from_numpy(_read_idx(path, f"{prefix}-images", 3)).float()[:, None] / 255

    def labels(prefix: str) -> Tensor:
        return torch.from_numpy(_read_idx(path, f"{prefix}-labels", 1)).long()

    data = LabelledImages(
        path.name,
        images("train")[:samples],
        labels("train")[:samples],
        images("t10k")[:samples],
        labels("t10k")[:samples],
    )
    pairs = (data.train_images, data.train_labels), (data.test_images, data.test_labels)
    for pictures, names in pairs:
        if len(pictures) != len(names) or not len(names):
            raise ValueError(
                f"--data: {path} must hold one label for each image, "
                f"got {len(pictures)} images and {len(names)} labels"
            )
    if data.train_images.shape[1:] != data.test_images.shape[1:]:
        raise ValueError(
            f"--data: {path} must hold training and test images of one size, got "
            f"{list(data.train_images.shape[2:])} and {list(data.test_images.shape[2:])}"
        )
    if min(data.train_images.shape[2:]) < 4:
        raise ValueError(
            f"--data: {path} must hold images of at least 4x4 pixels, got "
            f"{list(data.train_images.shape[2:])}"
        )
    return data


def _read_idx(path: Path, stem: str, dims: int) -> npt.NDArray[np.uint8]:
    """An IDX file (http://yann.lecun.com/exdb/mnist): magic 0, 0, type, dims; big-endian sizes."""
    files = sorted(path.glob(f"{stem}*idx{dims}-ubyte*"))
    if not files:
        raise ValueError(f"--data: {path} must hold {stem}-idx{dims}-ubyte or its .gz, got neither")
    file = files[0]
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"--data: {file} cannot be read ({error})") from error
    head = 4 + 4 * dims
    shape = tuple(np.frombuffer(content[4:head].ljust(head - 4, b"\0"), ">u4").tolist())
    if content[:4] != bytes([0, 0, 8, dims]) or len(content) != head + int(np.prod(shape)):
        raise ValueError(
            f"--data: {file} must be an IDX file of {dims}-D bytes, got something else"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()


def _folder(path: Path, samples: int) -> LabelledImages:
    pillow = import_optional("PIL.Image", "demo", "an image folder")
    classes = sorted(child for child in path.iterdir() if child.is_dir())
    images, labels, unreadable = [], [], []
    for label, folder in enumerate(classes):
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() not in _IMAGE_SUFFIXES:
                continue
            try:
                with pillow.open(file) as image:
                    pixels = image.convert("RGB").resize((_FOLDER_SIZE, _FOLDER_SIZE))
            except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files
                unreadable.append(file.name)
                continue
            images.append(torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255)
            labels.append(label)
    if unreadable:
        shown = some(unreadable)
        warnings.warn(f"{len(unreadable)} images could not be read: {shown}", stacklevel=2)
    if len(set(labels)) < 2 or len(labels) < 5:
        raise ValueError(
            f"--data: {path} must hold at least 5 images in 2 or more subfolders, one for each "
            f"class, got {len(labels)} images in {len(set(labels))}"
        )
    return _split(path.name, torch.stack(images), torch.tensor(labels), samples)


def _split(name: str, images: Tensor, labels: Tensor, samples: int) -> LabelledImages:
    """One image in five is held out."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held_out = max(1, len(labels) // 5)
    test, train = order[:held_out], order[held_out:][:samples]
    return LabelledImages(name, images[train], labels[train], images[test], labels[test])
