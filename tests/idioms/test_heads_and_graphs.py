"""Detection, reinforcement learning, diffusion, graphs, sparse autoencoders, experts."""

import sys

import pytest
import torch
import torch.nn.functional as F
from planted import found_dead, plant
from torch import nn

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 does not say where in a line a call is"
)

both = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


class RetinaHead(nn.Module):
    """One head for all levels of a pyramid: the same layers see maps of several sizes."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(plant(nn.Conv2d(4, 4, 3, padding=1), 1), nn.ReLU())

    def forward(self, levels):
        return [self.tower(level) for level in levels]


class PyramidNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.lateral = nn.ModuleList(plant(nn.Conv2d(n, 4, 1), n) for n in (2, 3))
        self.head = RetinaHead()

    def forward(self, fine, coarse):
        top = self.lateral[1](coarse)
        below = self.lateral[0](fine) + F.interpolate(top, size=fine.shape[-2:])
        return self.head([F.relu(below), F.relu(top)])


@both
def test_levels_of_a_pyramid(compiled):
    inputs = torch.randn(2, 2, 8, 8), torch.randn(2, 3, 4, 4)
    assert found_dead(PyramidNetwork(), inputs, compiled=compiled) == {
        "relu": ((4,), [2, 3]),
        "relu_1": ((4,), [3]),
        "head.tower.1": ((4,), [1]),
        "head.tower.1_1": ((4,), [1]),
    }


class Dueling(nn.Module):
    """A value and advantages, of which the scalar one loses its dimension."""

    def __init__(self):
        super().__init__()
        self.body = plant(nn.Linear(4, 6), 4)
        self.value, self.advantage = nn.Linear(6, 1), plant(nn.Linear(6, 3), 0)

    def forward(self, x):
        h = F.relu(self.body(x))
        value = F.relu(self.value(h).squeeze(-1) + 1000)
        return value.unsqueeze(1) + F.relu(self.advantage(h))


@both
def test_scalar_heads(compiled):
    inputs = [(torch.randn(n, 4),) for n in (5, 8)]
    assert found_dead(Dueling(), *inputs, compiled=compiled) == {
        "relu": ((6,), [4]),
        "relu_1": ((1,), []),
        "relu_2": ((3,), [0]),
    }


class Critics(nn.Module):
    """Two critics, whose scalar outputs are stacked."""

    def __init__(self):
        super().__init__()
        self.first, self.second = plant(nn.Linear(4, 1), 0), nn.Linear(4, 1)

    def forward(self, x):
        first, second = self.first(x).squeeze(-1), self.second(x).squeeze(-1) + 1000
        return F.relu(torch.stack([first, second], 1))


@both
def test_stacked_scalars(compiled):
    x = torch.randn(6, 4)
    assert found_dead(Critics(), [x], compiled=compiled) == {"relu": ((2,), [0])}


class ResBlock(nn.Module):
    """A diffusion network's block: the time's embedding scales and shifts the maps."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = plant(nn.Conv2d(4, 4, 3, padding=1), 3), nn.GroupNorm(2, 4)
        self.time = nn.Linear(5, 8)

    def forward(self, x, time):
        h = F.relu(self.conv(x))
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        return F.relu(self.norm(h) * scale + shift)


@both
def test_blocks_of_diffusion(compiled):
    inputs = torch.randn(2, 4, 4, 4), torch.randn(2, 5)
    found = found_dead(ResBlock(), inputs, compiled=compiled)
    assert found["relu"] == ((4,), [3])
    assert found["relu_1"][0] == (4,)


class MessagePassing(nn.Module):
    """Messages along edges, added up at nodes; then a product with a dense adjacency."""

    def __init__(self):
        super().__init__()
        self.message, self.update = plant(nn.Linear(6, 5), 2), plant(nn.Linear(5, 5), 1)

    def forward(self, x, edges, adjacency):
        source, target = edges
        messages = F.relu(self.message(torch.cat([x[source], x[target]], -1)))
        received = torch.zeros(len(x), 5).index_add(0, target, messages)
        return F.relu(adjacency @ self.update(received))


@both
def test_graphs(compiled):
    edges = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
    inputs = torch.randn(5, 3), edges, torch.rand(5, 5)
    assert found_dead(MessagePassing(), inputs, compiled=compiled) == {
        "relu": ((5,), [2]),
        "relu_1": ((5,), [1]),
    }


class SparseAutoencoder(nn.Module):
    """Parameters instead of layers; dead latents are what people look for."""

    def __init__(self):
        super().__init__()
        self.w_enc = nn.Parameter(torch.rand(4, 8))
        self.b_enc, self.b_dec = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(4))
        with torch.no_grad():
            self.b_enc[6] = -100

    def forward(self, x):
        latents = F.relu((x - self.b_dec) @ self.w_enc + self.b_enc)
        return latents @ self.w_enc.t() + self.b_dec


@both
def test_sparse_autoencoders(compiled):
    for shape in ((5, 4), (2, 8, 4)):
        x = torch.rand(shape)
        assert found_dead(SparseAutoencoder(), [x], compiled=compiled) == {"relu": ((8,), [6])}


class Experts(nn.Module):
    """Each token goes to an expert. All experts' weights are one parameter, or a list."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(plant(nn.Linear(4, 5), unit) for unit in range(3))

    def forward(self, x, chosen):
        y = torch.zeros(len(x), 5)
        for index, expert in enumerate(self.experts):
            rows = (chosen == index).nonzero().squeeze(1)
            if len(rows):
                y = y.index_add(0, rows, F.relu(expert(x[rows])))
        return y


def test_experts_are_told_apart_whichever_are_chosen():
    inputs = [(torch.randn(4, 4), torch.tensor(chosen)) for chosen in ([2, 2, 1, 1], [0, 0, 2, 2])]
    assert found_dead(Experts(), *inputs) == {
        "relu": ((5,), [0]),
        "relu_1": ((5,), [1]),
        "relu_2": ((5,), [2]),
    }


class EarlyExits(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList(plant(nn.Linear(4, 4), unit) for unit in range(3))
        self.exits = nn.ModuleList(plant(nn.Linear(4, 2), unit % 2) for unit in range(3))

    def forward(self, x, last):
        for stage, leave in zip(self.stages, self.exits, strict=True):
            x = torch.relu(stage(x))
            if stage is self.stages[last]:
                return F.relu(leave(x))
        return x


def test_early_exits():
    x = torch.randn(3, 4)
    stages = {f"relu{suffix}": ((4,), [n]) for n, suffix in enumerate(("", "_2", "_4"))}
    exits = {
        "relu_1 after exits.0": ((2,), [0]),
        "relu_1 after exits.1": ((2,), [1]),
        "relu_1 after exits.2": ((2,), [0]),
    }
    for order in ((0, 1, 2), (2, 0, 1)):
        found = found_dead(EarlyExits(), *((x, last) for last in order))
        assert found == stages | exits


class TwoWays(nn.Module):
    """A layer that is called by two modules with heads of their own."""

    def __init__(self):
        super().__init__()
        self.shared = plant(nn.Linear(4, 4), 1)
        self.actor, self.critic = (nn.Sequential(self.shared, nn.ReLU()) for _ in range(2))

    def forward(self, x):
        return self.actor(x) + self.critic(x)


@both
def test_weights_that_are_shared(compiled):
    x = torch.randn(3, 4)
    assert found_dead(TwoWays(), [x], compiled=compiled) == {
        "actor.1": ((4,), [1]),
        "critic.1": ((4,), [1]),
    }
