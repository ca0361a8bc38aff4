"""Tensors of any size, memory layout, dtype and number, of bytes: cheap to make, and to shrink."""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from oracle import DTYPES, neighbours

# Of the family of ReLU.
KNEES = (-1.0, 0.1, 0.2, 0.3, 0.7, 1.0, 2.0, 6.0)
LAYOUTS = ("contiguous", "channels_last", "permuted", "strided", "offset", "expanded", "negative")
# Sizes that fill vectors and spans, and shapes that several threads share.
LONG = (15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257)
LARGE = ((40, 31, 33), (3, 40, 19, 21), (300, 150), (2, 65, 17, 23), (70_001,), (1100, 3, 13))
PALETTE = 256


@functools.lru_cache(maxsize=512)
def palette(dtype, edges):
    """0, what floating point has besides numbers, edges and what lies beside them, and numbers."""
    limits = torch.finfo(dtype)
    tiny = limits.smallest_normal
    special = [0.0, 1.0, -1.0, -0.0, math.nan, math.inf, -math.inf, limits.max, -limits.max]
    special += [tiny, -tiny, tiny / 4, -tiny / 4]
    values = torch.tensor([*special, *edges], dtype=torch.float64).to(dtype)
    # What lies beside a NaN may be another one.
    beside = neighbours(values[~values.isnan()])
    values = torch.cat([values, beside])[: PALETTE - 32]
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(PALETTE - len(values), generator=generator, dtype=torch.float64)
    return torch.cat([values, (2 * normal).to(dtype)])


def filled(shape, dtype, text, edges=KNEES):
    """A tensor of the palette's numbers; a short text repeats itself, or grows at random."""
    number = math.prod(shape)
    index = np.frombuffer(text, np.uint8)
    if number > len(index):
        if len(text) % 2:
            index = np.random.default_rng(index).integers(0, PALETTE, number)
        else:
            index = np.tile(index, -(-number // len(index)))
    chosen = torch.from_numpy(index[:number].astype(np.int64))
    return palette(dtype, edges)[chosen].view(shape)


@functools.cache
def orders(dims):
    return list(itertools.permutations(range(dims)))


def laid_out(values, layout, detail):
    """The same numbers in another memory layout; differentiable."""
    dims = values.dim()
    if layout == "negative":
        return torch._neg_view(-values)
    if layout == "offset":
        begin = 1 + detail % 3
        padded = values.new_zeros(values.numel() + begin)
        padded[begin:] = values.reshape(-1)
        return padded[begin:].view(values.shape)
    if layout == "channels_last" and dims in (4, 5):
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        return values.contiguous(memory_format=formats[dims])
    if dims == 0:
        return values
    if layout == "permuted":
        order = orders(dims)[detail % len(orders(dims))]
        return values.permute(order).contiguous().permute([order.index(dim) for dim in range(dims)])
    dim, step = detail % dims, 2 + detail // dims % 2
    if layout == "strided":
        sizes = [*values.shape]
        sizes[dim] = sizes[dim] * step + 1
        view = values.new_full(sizes, 7).narrow(dim, 1, sizes[dim] - 1)
        view = view[(slice(None),) * dim + (slice(None, None, step),)]
        view.copy_(values)
        return view
    if layout == "expanded" and values.shape[dim]:
        return values.narrow(dim, 0, 1).expand(values.shape)
    return values


@dataclass(frozen=True)
class Input:
    """A tensor as chosen: it is made anew for each op."""

    shape: tuple
    dtype: torch.dtype
    text: bytes
    layout: str
    detail: int
    edges: tuple = KNEES

    @functools.cached_property
    def values(self):
        return filled(self.shape, self.dtype, self.text, self.edges)

    def made(self, values=None):
        return laid_out(self.values.clone() if values is None else values, self.layout, self.detail)


def any_shape(choices, dims=(2, 4, 3, 1, 0, 5)):
    """Shapes of so many dimensions; one in 64 is large."""
    rare = choices.below(64)
    dims = choices.of(dims)
    if rare == 63 and dims not in (0, 5):
        return choices.of(LARGE)
    sizes = [1 + choices.below(5) for _ in range(dims)]
    if dims and rare > 58:
        sizes[rare % dims] = choices.of(LONG)
    elif dims and rare > 55:
        sizes[rare % dims] = 0
    return tuple(sizes)


def any_input(choices, shape=None, edges=KNEES, layouts=LAYOUTS):
    shape = any_shape(choices) if shape is None else shape
    dtype, layout, detail = choices.of(DTYPES), choices.of(layouts), choices.bits(1)
    return Input(shape, dtype, choices.bytes(1 + choices.below(40)), layout, detail, edges)
