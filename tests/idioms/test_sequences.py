"""Transformers, speech and text networks."""

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


class DecoderLayer(nn.Module):
    """OPT: tokens and batch are one dimension in the feed-forward part."""

    def __init__(self, activation):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.fc1, self.fc2 = plant(nn.Linear(6, 8), 5), nn.Linear(8, 6)
        self.activation_fn = activation

    def forward(self, x):
        shape = x.shape
        h = self.norm(x).reshape(-1, shape[-1])
        return x + self.fc2(self.activation_fn(self.fc1(h))).view(shape)


@both
def test_feed_forward_layers_that_share_an_activation(compiled):
    model = nn.Sequential(*(DecoderLayer(activation) for activation in [nn.ReLU()] * 2))
    x = torch.randn(2, 8, 6)
    assert found_dead(model, [x], compiled=compiled) == {
        "0.activation_fn": ((8,), [5]),
        "1.activation_fn": ((8,), [5]),
    }


class SquaredReLU(nn.Module):
    """Primer, RWKV: squares of a ReLU of a product with a parameter."""

    def __init__(self):
        super().__init__()
        self.up = nn.Parameter(torch.rand(6, 8))
        with torch.no_grad():
            self.up[:, 3] = -1

    def forward(self, x):
        return F.relu(x @ self.up).square()


@both
def test_products_with_a_parameter(compiled):
    x = torch.rand(2, 8, 6)
    assert found_dead(SquaredReLU(), [x], compiled=compiled) == {"relu": ((8,), [3])}


class ReLUAttention(nn.Module):
    """Linear attention: heads, of which queries and keys pass a ReLU."""

    def __init__(self):
        super().__init__()
        self.qk = plant(nn.Linear(6, 8), 6)

    def forward(self, x):
        q, k = self.qk(x).view(*x.shape[:2], 2, 2, 2).unbind(2)
        return F.relu(q.transpose(1, 2)) @ F.relu(k.transpose(1, 2)).mT


@both
def test_heads(compiled):
    x = torch.randn(2, 5, 6)
    # Two heads of two features each: row 6 is the first feature of the keys' second head.
    assert found_dead(ReLUAttention(), [x], compiled=compiled) == {
        "relu": ((4,), []),
        "relu_1": ((4,), [2]),
    }


class DurationPredictor(nn.Module):
    """FastSpeech, VITS: convolutions over time, norms over channels, masks."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(plant(nn.Conv1d(4, 4, 3, padding=1), n) for n in range(2))
        self.norm = nn.LayerNorm(4, elementwise_affine=False)

    def forward(self, x, mask):
        for conv in self.convs:
            x = F.relu(conv(x * mask))
            x = self.norm(x.transpose(1, -1)).transpose(1, -1)
        return x * mask


@both
def test_masked_convolutions_over_time(compiled):
    inputs = [(torch.randn(2, 4, n), torch.ones(2, 1, n)) for n in (4, 7)]
    assert found_dead(DurationPredictor(), *inputs, compiled=compiled) == {
        "relu": ((4,), [0]),
        "relu_1": ((4,), [1]),
    }


class Demucs(nn.Module):
    """An encoder of waves, a bridge of an LSTM, and a decoder that crops its skips."""

    def __init__(self):
        super().__init__()
        self.encoder, self.lstm = plant(nn.Conv1d(1, 6, 8, 4), 2), nn.LSTM(6, 6)
        self.decoder = plant(nn.ConvTranspose1d(6, 6, 8, 4), 0)
        with torch.no_grad():
            self.decoder.weight.zero_()

    def forward(self, wave):
        skip = F.relu(self.encoder(wave))
        x = self.lstm(skip.permute(2, 0, 1))[0].permute(1, 2, 0)
        x = self.decoder(x + skip)
        return F.relu(x[..., 1 : 1 + wave.shape[-1] // 2])


def test_waves():
    inputs = [(torch.randn(2, 1, n),) for n in (32, 40)]
    assert found_dead(Demucs(), *inputs) == {"relu": ((6,), [2]), "relu_1": ((6,), [0])}


class TextCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 10)
        self.convs = nn.ModuleList(plant(nn.Conv2d(1, 7, (k, 10)), k) for k in (2, 3))
        self.out = nn.Linear(14, 2)

    def forward(self, tokens):
        x = self.embed(tokens).unsqueeze(1)
        maps = [F.relu(conv(x).squeeze(3)) for conv in self.convs]
        return self.out(torch.cat([F.max_pool1d(m, m.size(2)).squeeze(2) for m in maps], 1))


@both
def test_text(compiled):
    inputs = [(torch.randint(0, 50, (4, n)),) for n in (9, 12)]
    assert found_dead(TextCNN(), *inputs, compiled=compiled) == {
        "relu": ((7,), [2]),
        "relu_1": ((7,), [3]),
    }


class Decoder(nn.Module):
    """A cell in a loop over time, with attention to the encoder's outputs."""

    def __init__(self):
        super().__init__()
        self.embed, self.combine = nn.Embedding(9, 4), plant(nn.Linear(8, 5), 3)
        self.gru = nn.GRUCell(5, 4)

    def forward(self, tokens, memory):
        h = memory.mean(1)
        for token in self.embed(tokens).unbind(1):
            scores = torch.bmm(memory, h.unsqueeze(2)).softmax(1)
            context = (scores * memory).sum(1)
            h = self.gru(F.relu(self.combine(torch.cat([token, context], 1))), h)
        return h


def test_steps_of_a_decoder():
    inputs = [(torch.randint(0, 9, (2, n)), torch.randn(2, 6, 4)) for n in (3, 5)]
    names = ["relu after combine", *(f"relu_{n} after combine" for n in range(1, 5))]
    assert found_dead(Decoder(), *inputs) == dict.fromkeys(names, ((5,), [3]))
    assert found_dead(Decoder(), *inputs, repeats="together") == {names[0]: ((5,), [3])}
