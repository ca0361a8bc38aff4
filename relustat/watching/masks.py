"""Which elements of a call are counted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relustat._dynamo import inline_in_graph
from relustat.ops.inputs import describe, is_dense
from relustat.ops.reference.checks import why_mask_does_not_fit

MaskOf = Tensor | Callable[[str, Tensor], Tensor | None]
"""A mask of all calls, or what gives that of one: from its call site's name and its input."""


def check_mask(mask: object) -> None:
    """Raises a TypeError or ValueError if this cannot be a mask."""
    if isinstance(mask, Tensor) and mask.dtype != torch.bool:
        raise ValueError(f"watch: mask must be bool, got {mask.dtype}")
    if mask is not None and not isinstance(mask, Tensor) and not callable(mask):
        raise TypeError(
            "watch: mask must be a bool tensor, or a function of a call site's name and its input "
            f"that returns one or None, got {type(mask).__name__}"
        )


@inline_in_graph
def mask_for(given: MaskOf, site: str, x: Tensor, unit_dims: tuple[int, ...]) -> Tensor | None:
    """The mask of one call; None if all is counted, or if there is nothing to count.

    Raises:
        TypeError: if it is no dense tensor.
        ValueError: if it does not fit the input.
    """
    mask = given if isinstance(given, Tensor) else given(site, x)
    if mask is None:
        return None
    if not is_dense(mask):
        raise TypeError(
            f"watch: mask must be a dense tensor of torch.bool or None, got {describe(mask)}, for "
            f"{site!r}"
        )
    if x.numel() == 0:
        return None  # it is no call, and views of it do not tell where units go
    problem = why_mask_does_not_fit(x, unit_dims, mask)
    if problem:
        raise ValueError(f"watch: {problem}, for {site!r}")
    return mask
