"""Small files in MNIST's format."""

import gzip

import numpy as np


def write_idx(path, array, compress):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if compress else content)


def make_idx(folder, compress):
    rng = np.random.default_rng(0)
    suffix = ".gz" if compress else ""
    for prefix, count in (("train", 90), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28))
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", images, compress)
        labels = np.arange(count) % 10
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", labels, compress)
