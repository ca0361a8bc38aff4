"""Clusters of pixels by their hypercolumns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relustat._checks import as_integer
from relustat._optional import import_optional

from .hypercolumns import Hypercolumns

# Number of pixels at a time: 24 MB for VGG-16's 1,472 channels.
_BLOCK_PIXELS = 4096
_STARTS = 10


def hypercolumn_clusters(columns: Hypercolumns, clusters: int = 2, *, seed: int = 0) -> Tensor:
    """Groups the pixels of all images by k-means of their hypercolumns.

    K-means with 10 starts finds centres for a few thousand random pixels. Then all pixels move the
    centres, in random blocks (scikit-learn's ``MiniBatchKMeans``). The tensor of all hypercolumns
    is never made. A cluster with less than a thousandth of the pixels may be missed.

    Channels are not standardised, as in Perone (Convolutional hypercolumns in Python, 2016).
    Standardisation would give channels that are active at a few pixels the weight of all others,
    and would split off small patches of photographs. So layers with large activations decide. Among
    the last layers of the five blocks of the original VGG-16, the third has about two thirds of the
    variance, and the fifth has a thousandth at most. Choose the layers accordingly.

    Args:
        columns: from :func:`relustat.analysis.hypercolumns`, without NaN or infinity.
        clusters: number of clusters, at most the number of pixels.
        seed: the seed of the random order and starts. The same seed gives the same labels.

    Returns:
        int64 [N, H, W] on the CPU: 0 for the largest cluster, and so on by size.

    Raises:
        ValueError: if ``clusters`` is below 1 or above the number of pixels, if it or ``seed`` is
            not an integer, or if a hypercolumn is not finite.
        TypeError: if ``columns`` are not hypercolumns.
        ImportError: if scikit-learn is missing.

    Example:
        >>> import torch
        >>> from relustat.analysis import hypercolumn_clusters
        >>> from relustat.analysis import hypercolumns
        >>> x = torch.tensor([[0.0, 9.0, 0.1], [0.2, 8.0, 0.0]])[None, None]
        >>> columns = hypercolumns(torch.nn.Sequential(torch.nn.ReLU()).eval(), x, ["0"])
        >>> hypercolumn_clusters(columns)
        tensor([[[0, 1, 0],
                 [0, 1, 0]]])
    """
    if not isinstance(columns, Hypercolumns):
        raise TypeError(
            f"hypercolumn_clusters: columns must be Hypercolumns, got {type(columns).__name__}"
        )
    clusters = as_integer("hypercolumn_clusters: clusters", clusters)
    seed = as_integer("hypercolumn_clusters: seed", seed)
    images, _, height, width = columns.shape
    if not 1 <= clusters <= images * height * width:
        raise ValueError(
            f"hypercolumn_clusters: clusters must be within 1 and the {images * height * width} "
            f"pixels, got {clusters}"
        )
    sklearn = import_optional("sklearn.cluster", "analysis", "clustering")
    generator = torch.Generator().manual_seed(seed)
    # Neighbouring pixels resemble each other, so a block of them is not a fair sample.
    order = torch.randperm(height * width, generator=generator)
    blocks = order.split(math.ceil(max(_BLOCK_PIXELS, clusters) / images))
    first = sklearn.KMeans(clusters, n_init=_STARTS, random_state=seed)
    first.fit(_matrix(columns, blocks[0]))
    # Centres with few pixels are kept. The default moves them to random pixels.
    kmeans = sklearn.MiniBatchKMeans(
        clusters, init=first.cluster_centers_, n_init=1, reassignment_ratio=0, random_state=seed
    )
    for pixels in blocks:
        kmeans.partial_fit(_matrix(columns, pixels))
    labels = torch.empty(images, height * width, dtype=torch.int64)
    for pixels in blocks:
        found = torch.from_numpy(kmeans.predict(_matrix(columns, pixels)))
        labels[:, pixels] = found.reshape(images, -1).long()
    return _by_size(labels, clusters).reshape(images, height, width)


def _matrix(columns: Hypercolumns, pixels: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The hypercolumns of some pixels of all images: [N * pixels, channels]."""
    width = columns.shape[3]
    rows = columns.at(pixels // width, pixels % width).flatten(0, 1)
    matrix = rows.float().cpu()
    if not bool(matrix.isfinite().all()):
        raise ValueError(
            "hypercolumn_clusters: hypercolumns must be finite as float32, got NaN or infinity"
        )
    return matrix.numpy()


def _by_size(labels: Tensor, clusters: int) -> Tensor:
    sizes = labels.flatten().bincount(minlength=clusters)
    return sizes.argsort(descending=True, stable=True).argsort()[labels]
