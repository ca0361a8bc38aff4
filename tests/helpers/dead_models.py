"""Models with dead units, for operations on them."""

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

import relustat


class Chain(nn.Module):
    """Convolutions with and without norms, pools and linear layers."""

    def __init__(self, widths=(6, 5, 8, 7), norm=True, bias=True):
        super().__init__()
        a, b, c, d = widths
        self.conv1 = nn.Conv2d(3, a, 3, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(a) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(a, b, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(b * 4 * 4, c)
        self.fc2 = nn.Linear(c, d)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(d, 4)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.head(self.relu(self.fc2(x)))


X = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))


deaths = st.fixed_dictionaries(
    {
        "conv1": st.sets(st.integers(0, 5)),
        "conv2": st.sets(st.integers(0, 4)),
        "fc1": st.sets(st.integers(0, 7)),
        "fc2": st.sets(st.integers(0, 6)),
    }
).map(lambda dead: {path: sorted(units) for path, units in dead.items()})


def kill(model, dead):
    """Makes units dead: their weights are 0 and their bias is negative."""
    with torch.no_grad():
        for path, units in dead.items():
            layer = model.get_submodule(path)
            norm = model.bn1 if path == "conv1" else None
            last = norm if isinstance(norm, nn.BatchNorm2d) else layer
            last.weight[units] = 0
            last.bias[units] = -0.5
    return model


def counted(model, x=X, **options):
    with relustat.watch(model, **options) as watch:
        model(x)
    return watch


def tensors(model):
    return {name: each.clone() for name, each in model.state_dict().items()}


def dead_model():
    """A model, an input, and a watch that has counted: two of three units are dead."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, 100.0, -100.0]))
    return model, torch.rand(4, 2)
