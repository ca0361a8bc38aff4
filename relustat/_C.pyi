from collections.abc import Sequence

from torch import Tensor

MAX_BINS: int

def build_info() -> dict[str, str | int | bool]: ...
def cpu_capability() -> str: ...
def is_direct(x: object) -> bool: ...
def is_plain(x: object) -> bool: ...
def counting_relu(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> Tensor: ...
def counting_relu_(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> None: ...

class Pooling:
    def __init__(
        self,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil_mode: bool,
    ) -> None: ...

def max_pool(x: Tensor, pooling: Pooling) -> tuple[Tensor, Tensor]: ...
def relu_max_pool(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None,
    blocks: Tensor | None,
    pooling: Pooling,
) -> tuple[Tensor, Tensor]: ...
def max_unpool(
    y: Tensor,
    offsets: Tensor,
    input_size: Sequence[int],
    pooling: Pooling,
    overlap: int,
    validate: bool,
) -> Tensor: ...
def flat_indices(offsets: Tensor, pooling: Pooling, input_size: Sequence[int]) -> Tensor: ...
def snapshot(counters: Tensor) -> Tensor: ...
def reset(counters: Tensor) -> None: ...
