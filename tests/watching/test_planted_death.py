"""One channel is made dead in random programs: exactly it is reported, at exactly its position."""

import random
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from unit_cases import CASES, CHANNELS, layers, other_dim

import relustat

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 does not say where in a line a call is"
)

# What leaves the sign of a unit whose numbers all have the same one.
SIGN_KEEPING = (
    *("y[...,", "y.narrow", "y[:,", "y.index_select", "y.gather", "y.select(o", "y.chunk"),
    *("y.split", "y.tensor_split", "y.unbind", "y.topk", "y.sort", "y.repeat", "y.expand"),
    *("y.mean(o", "y.sum", "y.amax", "y.max", "y.cumsum", "y.transpose", "y.swapaxes"),
    *("y.permute", "y.movedim", "y.mT", "y.flip", "y.roll", "y.unsqueeze", "y[None]"),
    *("lerp", "where", "tensordot"),
)
MOVES = [
    case
    for case in CASES
    if any(name in case.name for name in SIGN_KEEPING) and "squeeze(c)" not in case.name
]


class Block(nn.Module):
    """A layer, and some moves of its dimensions."""

    def __init__(self, chosen, name):
        super().__init__()
        self.layer, shape, dim = layers()[name]
        y = self.layer(torch.zeros(shape))
        self.moves = []
        for move in chosen:
            try:
                moved, after = move_by(move, y, dim)
            except (RuntimeError, IndexError):
                continue  # the dimension has become too short for it
            if moved.dim() > 1 and moved.numel():
                self.moves.append((move, dim))
                y, dim = moved, after
            if y.dim() < 3:
                break
        self.dim_at_relu = dim

    def input_of_relu(self, x):
        y = self.layer(x)
        for move, dim in self.moves:
            y = move.call(y, dim, other_dim(y.dim(), dim))
        return y


class Functional(Block):
    def forward(self, x):
        return F.relu(self.input_of_relu(x))


class InPlace(Block):
    def forward(self, x):
        return torch.relu_(self.input_of_relu(x).clone())


class Helped(Block):
    def helped(self, y):
        return y.relu()

    def forward(self, x):
        return self.helped(self.input_of_relu(x))


class OfModule(Block):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.input_of_relu(x))


class OfSharedModule(OfModule):
    shared = nn.ReLU()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.relu = self.shared


KINDS = [Functional, InPlace, Helped, OfModule, OfSharedModule]


def move_by(move, y, dim):
    other = other_dim(y.dim(), dim)
    moved = move.call(y, dim, other)
    (after,) = move.dims(dim, other, y.dim())
    return moved, after


class Program(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        chosen = random.Random(seed)
        self.name = chosen.choice(list(layers()))
        self.blocks = nn.ModuleList(
            chosen.choice(KINDS)(chosen.choices(MOVES, k=chosen.randint(0, 4)), self.name)
            for _ in range(3)
        )
        for block in self.blocks:
            nn.init.constant_(block.layer.bias, 50.0)
        self.dead_block, self.dead_channel = chosen.randrange(3), chosen.randrange(CHANNELS)
        with torch.no_grad():
            self.blocks[self.dead_block].layer.weight[self.dead_channel] = 0
            self.blocks[self.dead_block].layer.bias[self.dead_channel] = -100

    def forward(self, x, skipped=()):
        return [block(x) for index, block in enumerate(self.blocks) if index not in skipped]


class Looped(Program):
    """The same, but the ReLUs are one call in a loop."""

    def forward(self, x, skipped=()):
        outputs = []
        for index, block in enumerate(self.blocks):
            if index not in skipped:
                outputs.append(F.relu(block.input_of_relu(x)))
        return outputs


def dead_indices(block, x):
    """The units that get only -100, by torch alone. A part of the units may be cut off."""
    y = block.input_of_relu(x).movedim(block.dim_at_relu, 0).flatten(1)
    assert torch.equal((y < 0).any(1), (y < 0).all(1))
    return (y < 0).all(1).nonzero().flatten().tolist()


def check(seed, compiled=False):
    kind = Looped if seed % 3 == 0 else Program
    model = kind(seed).eval()
    _, shape, _ = layers()[model.name]
    x = torch.randn(shape)
    skips = [(), (0,), (1, 2), (seed % 3,)]
    random.Random(seed).shuffle(skips)
    called = torch.compile(model, backend="eager", dynamic=False) if compiled else model
    with torch.no_grad(), relustat.watch(model) as watch:
        for skipped in skips:
            called(x, skipped)
    names = [
        f"relu after blocks.{index}.layer" if kind is Looped else f"blocks.{index}.relu"
        for index in range(3)
    ]
    stats = watch.stats
    assert {name: each.dead_units.tolist() for name, each in stats.items()} == {
        name: dead_indices(block, x) for name, block in zip(names, model.blocks, strict=True)
    }, seed
    assert {name: each.calls for name, each in stats.items()} == {
        name: sum(index not in skipped for skipped in skips) for index, name in enumerate(names)
    }, seed
    assert watch.report().notes == [], seed


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_exactly_the_planted_unit_is_dead(first):
    for seed in range(first, first + 50):
        check(seed)


@pytest.mark.parametrize("seed", range(500, 506))
def test_so_it_is_in_compiled_code(seed):
    check(seed, compiled=True)
