from torch import Tensor

MAX_BINS: int

def build_info() -> dict[str, str | int | bool]: ...
def cpu_capability() -> str: ...
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
def snapshot(counters: Tensor) -> Tensor: ...
def reset(counters: Tensor) -> None: ...
