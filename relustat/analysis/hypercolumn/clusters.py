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

# Pixels at a time: 24 MB for VGG-16's 1,472 channels.
_BLOCK_PIXELS = 4096
_STARTS = 10


def hypercolumn_clusters(columns: Hypercolumns, clusters: int = 2, *, seed: int = 0) -> Tensor:
    """Groups the pixels of all images by k-means of their hypercolumns.

    K-means with 10 starts finds centres for some thousand random pixels; then all pixels, block by
    block in random order, move them (scikit-learn's ``MiniBatchKMeans``). The tensor of all
    hypercolumns is never made. What has less than a thousandth of the pixels may be missed.

    Channels are taken as they are, as by Perone (Convolutional hypercolumns in Python, 2016), and
    not standardised: that would lift channels which are active at a few pixels to the weight of
    all others, and on photographs split off some small patch. So layers with large activations
    decide: in the original VGG-16, of the last layers of its five blocks, the third has some two
    thirds of the variance, the fifth a thousandth at most. Choose the layers by that.

    Args:
        columns: from :func:`relustat.analysis.hypercolumns`, without NaN or infinity.
        clusters: how many, at most as many as pixels.
        seed: of the random order and of the starts; the same seed gives the same labels.

    Returns:
        int64 [N, H, W] on the CPU: 0 for the largest cluster, and so on by size.

    Raises:
        ValueError: if ``clusters`` is below 1 or above the number of pixels, it or ``seed`` is no
            integer, or a hypercolumn is not finite.
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
    # Neighbouring pixels resemble each other: a block of them is no sample of the pictures.
    order = torch.randperm(height * width, generator=generator)
    blocks = order.split(math.ceil(max(_BLOCK_PIXELS, clusters) / images))
    first = sklearn.KMeans(clusters, n_init=_STARTS, random_state=seed)
    first.fit(_matrix(columns, blocks[0]))
    # Centres that have few pixels are kept: the default moves them to random ones.
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
