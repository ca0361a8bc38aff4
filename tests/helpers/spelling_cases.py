"""Every way to write a ReLU, every way to run it, and what a watch says of each."""

import math

import torch
import torch.nn.functional as F
from torch import nn

RUNS = ("eager", "compiled", "exported", "TorchScript", "quantised")
COUNTED, NAMED, NOT_SEEN, REFUSED = "counted", "named", "not seen", ""
INPUT = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))

# What a watch says in each run.
ALWAYS = (COUNTED, COUNTED, COUNTED, NAMED, NAMED)
NOT_QUANTISED = (COUNTED, COUNTED, COUNTED, NAMED, REFUSED)
IN_A_LARGER_OP = (NAMED, NAMED, NAMED, NAMED, REFUSED)
BY_ITS_NUMBERS = (NAMED, NOT_SEEN, NAMED, NAMED, REFUSED)


class First(nn.Module):
    def forward(self, outputs):
        return outputs[0]


@torch.jit.script
def scripted(x):
    return torch.relu(x)


def assigned(x):
    x = x.clone()
    x[x < 0] = 0
    return x


ZERO = torch.zeros(())
CASES = {
    "`nn.ReLU()`": (nn.ReLU, ALWAYS),
    "`F.relu(x)`, `torch.relu(x)`, `x.relu()`": (lambda: F.relu, ALWAYS),
    "the same in place": (lambda: F.relu_, ALWAYS),
    "`x.clamp(min=0)`, `x.clip(0)`, `x.clamp_min(0)`": (lambda: lambda x: x.clamp(min=0), ALWAYS),
    "`x.clamp(0, inf)`": (lambda: lambda x: x.clamp(0, math.inf), ALWAYS),
    "`x.clamp(min=torch.zeros(()))`": (
        lambda: lambda x: x.clamp(min=ZERO),
        (COUNTED, NAMED, COUNTED, NAMED, REFUSED),
    ),
    "`F.threshold(x, 0, 0)`, `nn.Threshold(0, 0)`": (lambda: nn.Threshold(0, 0), ALWAYS),
    "`F.hardtanh(x, 0, inf)`, `nn.Hardtanh(0, inf)`": (lambda: nn.Hardtanh(0, math.inf), ALWAYS),
    "`F.leaky_relu(x, 0)`, `nn.LeakyReLU(0)`": (lambda: nn.LeakyReLU(0.0), ALWAYS),
    "`torch.ops.aten.relu(x)`": (lambda: torch.ops.aten.relu, ALWAYS),
    "`nn.TransformerEncoderLayer`": (
        lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
        NOT_QUANTISED,
    ),
    '`nn.RNN(nonlinearity="relu")`': (
        lambda: nn.Sequential(nn.RNN(6, 6, nonlinearity="relu"), First()),
        IN_A_LARGER_OP,
    ),
    '`nn.RNNCell(nonlinearity="relu")`': (
        lambda: nn.RNNCell(6, 6, nonlinearity="relu"),
        IN_A_LARGER_OP,
    ),
    "a function of TorchScript": (lambda: scripted, (NAMED, COUNTED, COUNTED, NAMED, NAMED)),
    "`torch.maximum(x, zeros)`": (
        lambda: lambda x: torch.maximum(x, torch.zeros_like(x)),
        BY_ITS_NUMBERS,
    ),
    "`torch.where(x > 0, x, 0)`": (lambda: lambda x: torch.where(x > 0, x, 0), BY_ITS_NUMBERS),
    "`x * (x > 0)`, `x.masked_fill(x < 0, 0)`": (lambda: lambda x: x * (x > 0), BY_ITS_NUMBERS),
    "`x[x < 0] = 0`": (lambda: assigned, (*BY_ITS_NUMBERS[:-1], NOT_SEEN)),
    "another activation: `F.relu6(x)`, `nn.GELU()`": (lambda: F.relu6, (NAMED,) * 5),
}


class Model(nn.Module):
    """What a case makes, behind a layer, whose output may be quantised."""

    def __init__(self, name, run):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 6)
        self.function = CASES[name][0]()
        self.is_quantised = run == "quantised"

    def forward(self, x):
        x = self.layer(x)
        if not self.is_quantised:
            return self.function(x)
        return self.function(torch.quantize_per_tensor(x, 0.01, 128, torch.quint8)).dequantize()


def table():
    """The lines of the table in docs/compatibility.md."""
    lines = [f"| | {' | '.join(RUNS)} |", "|---|" + "---|" * len(RUNS)]
    return [*lines, *(f"| {name} | {' | '.join(said)} |" for name, (_, said) in CASES.items())]
