"""ReLU, its counts and max-pooling, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from relustat.ops.pool_geometry import PoolGeometry

from .checks import check_relu_max_pool
from .counting_relu import counting_relu
from .max_pool import max_pool


def relu_max_pool(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None,
    blocks: Tensor | None,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[Tensor, Tensor]:
    """The largest value of each window of ``relu(x)``, and its offset there.

    Args:
        x: [(N,) C, spatial ...], any real dtype.
        counters, edges, unit_dim, binning, mask, blocks: as :func:`counting_relu` takes them.
        kernel_size, stride, padding, dilation, ceil_mode: of one to three axes.
    """
    counting = counters, edges, unit_dim, binning, mask, blocks
    pooling = PoolGeometry(
        tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), ceil_mode
    )
    # Before anything is counted.
    check_relu_max_pool(x, counting, pooling)
    return max_pool(counting_relu(x, *counting), *pooling.arguments)
