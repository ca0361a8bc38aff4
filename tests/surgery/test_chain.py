"""Where units are made and read, and why that is not known of others."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import relustat
from relustat.surgery.chain import Chain, NoChainError, Reader, chain_of


class Written(nn.Module):
    """Layers by name, and a forward that is a function of them."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.written = forward

    def forward(self, x):
        return self.written(self, x)


def conv(a=3, b=8, **options):
    return nn.Conv2d(a, b, 3, padding=1, **options)


def two_readers(model, x):
    y = F.dropout(model.a(x).relu())
    return model.b(y) + model.c(y)


CHAINS = {
    "layers in a row": (
        nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)),
        "0",
        Chain("0", (), (Reader("2", 1),)),
    ),
    "a batch norm, which made the input": (
        nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU(True), nn.MaxPool2d(2), conv(8, 4)),
        "1",
        Chain("0", ("1",), (Reader("4", 1),)),
    ),
    "flattened maps": (
        nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 5)),
        "0",
        Chain("0", (), (Reader("4", 16),)),
    ),
    "functions and methods": (
        Written(
            lambda m, x: m.fc(F.max_pool2d(m.a(x).clamp(min=0), 2).view(x.size(0), -1)),
            a=conv(),
            fc=nn.Linear(8 * 16, 3),
        ),
        "a",
        Chain("a", (), (Reader("fc", 16),)),
    ),
    "a shape that is asked": (
        Written(
            lambda m, x: m.fc(torch.flatten(torch.relu(m.a(x)), 1).reshape(x.shape[0], -1)),
            a=conv(),
            fc=nn.Linear(8 * 64, 3),
        ),
        "a",
        Chain("a", (), (Reader("fc", 64),)),
    ),
    "two readers": (
        Written(
            two_readers,
            a=nn.Linear(2, 4),
            b=nn.Linear(4, 2),
            c=nn.Linear(4, 2),
        ),
        "a",
        Chain("a", (), (Reader("b", 1), Reader("c", 1))),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name):
    model, made_by, expected = CHAINS[name]
    assert chain_of(model, made_by) == expected


class Taps(nn.Module):
    """Goes over the layers of a container whose own forward it does not call."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def forward(self, x):
        found = []
        for layer in self.features:
            x = layer(x)
            found.append(x)
        return tuple(found)


class Sliced(Taps):
    def forward(self, x):
        x = self.features[:2](x)
        return self.features[2:](x) + x


class Optional(Taps):
    def forward(self, x, residual=None):
        x = self.features[1](self.features[0](x))
        residual = x if residual is None else residual
        return self.features[2](x) + residual


class OtherReader(Taps):
    """In training another layer reads the units, too."""

    def forward(self, x):
        x = self.features[1](self.features[0](x))
        return (self.features[2](x), self.other(x)) if self.training else self.features[2](x)

    def __init__(self):
        super().__init__()
        self.other = nn.Linear(4, 4)


class InTraining(Taps):
    def forward(self, x):
        x = self.features[1](self.features[0](x))
        y = self.features[2](x)
        return (y, x) if self.training else y


def hooked():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[1].register_forward_hook(lambda *given: given[-1].roll(1, -1))
    return model


def of_frames(model, x):
    batch = x.shape[0]
    return model.fc(F.relu(model.a(x.flatten(0, 1))).view(batch, -1))


REFUSED = {
    "taps": (Taps(), "features.0", "2 calls read a Linear"),
    "slices": (
        Sliced(),
        "features.0",
        "the code of the model cannot be traced: NameError: module is not installed as a submodule",
    ),
    "an optional argument": (
        Optional(),
        "features.0",
        "add reads them",
    ),
    "another reader in training": (
        OtherReader(),
        "features.0",
        "they are read in another way in training, or with other arguments",
    ),
    "another way in training": (InTraining(), "features.0", "the end of the code reads them"),
    "a hook": (hooked(), "0", "1 has a forward hook, which may change or read them"),
    "a spectral norm": (
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.utils.spectral_norm(nn.Linear(4, 4))),
        "0",
        "2 has a forward hook, which may change or read them",
    ),
    "frames that are joined": (
        Written(of_frames, a=conv(), fc=nn.Linear(5 * 8 * 64, 2)),
        "a",
        "view reads them",
    ),
    "a batch that is joined": (
        Written(lambda m, x: m.b(F.relu(m.a(x)).flatten(end_dim=1)), a=conv(), b=nn.Linear(8, 2)),
        "a",
        "flatten reads them",
    ),
    "a pool over units": (
        nn.Sequential(conv(), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(64, 2)),
        "0",
        "a MaxPool3d reads them",
    ),
    "a pool over features": (
        nn.Sequential(nn.Linear(3, 4), relustat.ReLUMaxPool1d(3, 1, 1), nn.Linear(4, 2)),
        "0",
        "a ReLUMaxPool1d comes before a ReLU",
    ),
    "a pool of flattened maps": (
        nn.Sequential(conv(), nn.ReLU(), nn.Flatten(), nn.AdaptiveAvgPool1d(8), nn.Linear(8, 2)),
        "0",
        "a AdaptiveAvgPool1d reads them",
    ),
    "a norm of other units": (
        nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(8, 2)),
        "0",
        "a BatchNorm1d comes before a ReLU",
    ),
    "a skip connection": (
        Written(lambda m, x: m.b(m.a(x).relu() + x), a=nn.Linear(4, 4), b=nn.Linear(4, 4)),
        "a",
        "add reads them",
    ),
    "a norm behind the ReLU": (
        nn.Sequential(conv(), nn.ReLU(), nn.BatchNorm2d(8), conv(8, 4)),
        "0",
        "a BatchNorm2d reads them",
    ),
    "a norm that is not of units": (
        nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1)),
        "0",
        "a LayerNorm comes before a ReLU",
    ),
    "no ReLU": (nn.Sequential(nn.Linear(2, 4)), "0", "the end of the code comes before a ReLU"),
    "a weight that is read": (
        Written(
            lambda m, x: F.linear(m.b(F.relu(m.a(x))), m.a.weight),
            a=nn.Linear(4, 4),
            b=nn.Linear(4, 4),
        ),
        "a",
        "a.weight is read by other code, too",
    ),
    "outputs of the model": (
        nn.Sequential(nn.Linear(2, 4), nn.ReLU()),
        "0",
        "the end of the code reads them",
    ),
    "a call in a loop": (
        Written(lambda m, x: m.b(m.a(F.relu(m.a(x)))), a=nn.Linear(4, 4), b=nn.Linear(4, 4)),
        "a",
        "a is called 2 times",
    ),
    "a reader that is called again": (
        Written(lambda m, x: m.b(m.b(F.relu(m.a(x)))), a=nn.Linear(4, 4), b=nn.Linear(4, 4)),
        "a",
        "b is called 2 times",
    ),
    "a grouped reader": (
        nn.Sequential(conv(), nn.ReLU(), conv(8, 8, groups=2)),
        "0",
        "a Conv2d at 2 reads them in another way",
    ),
    "rows of maps": (
        nn.Sequential(conv(), nn.ReLU(), nn.Linear(8, 8)),
        "0",
        "a Linear at 2 reads them in another way",
    ),
    "a transposed layer": (
        nn.Sequential(nn.ConvTranspose2d(3, 8, 2), nn.ReLU(), conv(8, 4)),
        "0",
        "their layer must be one of Linear, Conv1d, Conv2d, Conv3d, got a ConvTranspose2d",
    ),
    "code that asks for numbers": (
        Written(lambda m, x: m.a(F.relu(x)) if x.sum() else x, a=nn.Linear(4, 4)),
        "a",
        "the code of the model cannot be traced: TraceError: symbolically traced variables cannot "
        "be used as inputs to control flow",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_units_without_a_chain(name):
    model, made_by, reason = REFUSED[name]
    with pytest.raises(NoChainError) as error:
        chain_of(model, made_by)
    assert str(error.value) == reason
