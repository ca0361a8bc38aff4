"""Where units are made and read, and why that is not known of others."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

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


class Unit(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.act = layer, nn.ReLU()

    def forward(self, x):
        return self.act(self.layer(x))


class OfData(nn.Module):
    """Code that cannot be traced, around a part that can."""

    def __init__(self):
        super().__init__()
        self.ff = nn.Sequential(Unit(nn.Linear(4, 8)), nn.Linear(8, 4))

    def forward(self, x):
        return self.ff(x) if x.sum() > 0 else x


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name):
    model, made_by, expected = CHAINS[name]
    assert chain_of(model, made_by) == expected


def test_only_the_smallest_module_with_all_of_it_is_traced():
    assert chain_of(OfData(), "ff.0.layer") == Chain("ff.0.layer", (), (Reader("ff.1", 1),))


REFUSED = {
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
        "a LayerNorm comes before the ReLU",
    ),
    "no ReLU": (nn.Sequential(nn.Linear(2, 4)), "0", "a Linear is followed by no ReLU"),
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
        "they leave the Sequential",
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
        "no code that calls a could be traced",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_units_without_a_chain(name):
    model, made_by, reason = REFUSED[name]
    with pytest.raises(NoChainError) as error:
        chain_of(model, made_by)
    assert str(error.value) == reason
