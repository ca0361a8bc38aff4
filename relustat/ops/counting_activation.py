"""The relatives of the counting ReLU as functions: thin, checked, differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from . import library
from .counters import Counters
from .counting_relu import arguments_of_op
from .family import Member, computed
from .inputs import describe, is_called_directly, is_countable, is_symbolic
from .reference.checks import check_mask, unit_dims_of
from .unit_dim import FoundDim, UnitDim

_RULE = "input must be a dense tensor of float32, float64, bfloat16 or float16"


def counting_activation(
    x: Tensor,
    counters: Counters,
    member: Member,
    *,
    inplace: bool = False,
    slopes: Tensor | None = None,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """A relative of ReLU, counted in the same pass over memory.

    The output and gradients of any order are bit for bit PyTorch's. What is counted, and what is
    not, is as for :func:`relustat.functional.counting_relu`.

    Args:
        x: any shape and memory layout; float32, float64, bfloat16 or float16.
        counters: where the counts are added. Their activation is that of ``member``.
        member: what is computed; see :mod:`relustat.ops.family`.
        inplace: write the output over ``x``; not with ``slopes``.
        slopes: of PReLU: 1-D, one or one for each channel (dimension 1) of ``x``.
        unit_dim, mask: as for :func:`relustat.functional.counting_relu`.

    Returns:
        The output, of x's shape, dtype and strides; ``x`` itself if ``inplace``.

    Raises:
        TypeError, IndexError, ValueError: as for :func:`relustat.functional.counting_relu`; also
            if the counters are of another activation.

    Example:
        >>> import torch, relustat
        >>> from relustat.ops import family
        >>> relu6 = family.relu6()
        >>> counters = relustat.Counters(bins=None, activation=relu6.activation)
        >>> relustat.functional.counting_activation(torch.tensor([-1.0, 2.0, 7.0]), counters, relu6)
        tensor([0., 2., 6.])
        >>> counters.stats.inactive, counters.stats.saturated
        (1, 1)
    """
    _check("counting_activation", counters, member)
    if not member.is_fused:
        raise ValueError(
            "counting_activation: member must be one that an op computes, got "
            f"{member.activation.name}; compute it, and call count_activation"
        )
    is_compiling = torch.compiler.is_dynamo_compiling()
    ops: Any
    if not is_compiling and library.without_dispatcher.is_plain(x):
        ops = library.without_dispatcher
    elif not isinstance(x, Tensor) or is_symbolic(x):
        return computed(member, x, slopes, inplace)
    elif has_torch_function_unary(x):
        options: dict[str, Any] = {
            "inplace": inplace,
            "slopes": slopes,
            "unit_dim": unit_dim,
            "mask": mask,
        }
        return handle_torch_function(counting_activation, (x,), x, counters, member, **options)
    elif not is_countable(x) or x.dtype not in library.KERNEL_DTYPES:
        if not counters.enabled:
            return computed(member, x, slopes, inplace)
        raise TypeError(f"counting_activation: {_RULE}, got {describe(x)}")
    else:
        ops = library
    dim, units = counters.units_of(x, unit_dim)
    if mask is not None:
        check_mask(x, unit_dims_of(x, dim), mask, "counting_activation")
    if isinstance(dim, tuple) or not _fits(slopes, x, dim):
        return _counted_and_computed(x, counters, member, inplace, slopes, dim, mask)
    words, edges, dim, binning, mask, blocks = arguments_of_op(x, counters, dim, units, mask)
    how = member.kind, member.first, member.second
    if is_compiling and not inplace and slopes is None:
        # Inductor leaves the copy out where x is not read again.
        x, inplace = x.clone(), True
    if inplace:
        ops.counting_activation_(x, words, edges, dim, binning, *how, mask, blocks)
        return x
    if slopes is not None:
        # As torch.prelu does. A view: its gradient is that of the slopes, and where there is
        # nothing to sum, -0.0 stays.
        slopes = slopes.view([-1 if at == 1 else 1 for at in range(x.dim())])
    output: Tensor = ops.counting_activation(
        x, words, edges, dim, binning, *how, slopes, mask, blocks
    )
    return output


def _counted_and_computed(
    x: Tensor,
    counters: Counters,
    member: Member,
    inplace: bool,
    slopes: Tensor | None,
    unit_dim: FoundDim,
    mask: Tensor | None,
) -> Tensor:
    """In two passes, as units of several dimensions need, and slopes of channels that are none."""
    before = x.detach().clone() if inplace else x
    output = computed(member, x, slopes, inplace)  # first, because it may raise an error
    is_one_unit = unit_dim == x.dim()
    dim = () if is_one_unit else unit_dim
    count_activation(before, None, counters, member, unit_dim=dim, mask=mask)
    return output


def _fits(slopes: Tensor | None, x: Tensor, unit_dim: int) -> bool:
    """Whether the op takes these slopes of PReLU."""
    if slopes is None:
        return True
    is_alike = slopes.dtype == x.dtype and slopes.device == x.device and slopes.is_contiguous()
    # Autocast changes the dtype of both.
    if not is_alike or slopes.dim() > 1 or torch.is_autocast_enabled(x.device.type):
        return False
    if slopes.numel() == 1:
        return True
    return x.dim() > 1 and unit_dim % x.dim() == 1 and slopes.numel() == x.size(1)


def count_activation(
    x: Tensor,
    output: Tensor | None,
    counters: Counters,
    member: Member,
    *,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> None:
    """Counts a call of an activation that was computed elsewhere, in one read.

    Args:
        x: the input, as for :func:`counting_activation`.
        output: the output, of x's shape and dtype, if the activation has no knee; else None.
        counters, member, unit_dim, mask: as for :func:`counting_activation`.

    Raises:
        TypeError, IndexError, ValueError: as for :func:`counting_activation`.

    Example:
        >>> import torch, relustat
        >>> from relustat.ops import family
        >>> silu = family.smooth("SiLU", near_zero=1e-3)
        >>> counters = relustat.Counters(activation=silu.activation)
        >>> x = torch.tensor([-20.0, 0.0, 3.0])
        >>> y = torch.nn.functional.silu(x)
        >>> relustat.functional.count_activation(x, y, counters, silu)
        >>> counters.stats.inactive
        2
    """
    _check("count_activation", counters, member)
    if (output is None) != (member.activation.near_zero is None):
        raise ValueError(
            "count_activation: an activation without a knee needs its output, and no other does, "
            f"got {member.activation.described}"
        )
    ops: Any = library
    if is_called_directly(x) and (output is None or is_called_directly(output)):
        ops = library.without_dispatcher
    elif not isinstance(x, Tensor) or is_symbolic(x):
        return
    elif not is_countable(x) or x.dtype not in library.KERNEL_DTYPES:
        raise TypeError(f"count_activation: {_RULE}, got {describe(x)}")
    dim, units = counters.units_of(x, unit_dim)
    if mask is not None:
        check_mask(x, unit_dims_of(x, dim), mask, "count_activation")
    if isinstance(dim, tuple):
        output = None if output is None else _with_units_last(output.detach(), dim)
        x = _with_units_last(x.detach(), dim)
        dim = x.dim() - 1
    arguments = arguments_of_op(x, counters, dim, units, mask, output)
    words, edges, dim, binning, mask, blocks = arguments
    how = member.kind, member.first, member.second
    ops.count_activation(x, output, words, edges, dim, binning, *how, mask, blocks)


def _with_units_last(x: Tensor, unit_dims: tuple[int, ...]) -> Tensor:
    others = [dim for dim in range(x.dim()) if dim not in unit_dims]
    return x.permute(*others, *unit_dims).flatten(len(others))


def _check(op: str, counters: Counters, member: Member) -> None:
    # The compiler's graphs are made of calls that were checked.
    if torch.compiler.is_dynamo_compiling():
        return
    mine, its = counters.activation, member.activation
    if mine is not its and mine != its:
        raise ValueError(
            f"{op}: counters must be of the activation that is counted, got counters of "
            f"{mine.described} for {its.described}"
        )
