"""swap() of the relatives of ReLU."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from family_cases import FUSED, IN_PLACE, SMOOTH, activity_of, assert_activity
from oracle import same_bits, samples
from torch import nn

import relustat


class ReLUSquaredActivation(nn.Module):
    def forward(self, input):
        return torch.square(F.relu(input))


class SquaredReLU(nn.Module):
    """Another function under the same name."""

    def forward(self, x):
        return F.relu(x) ** 2 + 1


@pytest.mark.parametrize("name", FUSED)
def test_a_swapped_module_counts_and_gives_the_same(device, name):
    case = FUSED[name]
    plain = ReLUSquaredActivation() if name == "squared" else copy.deepcopy(case.plain)
    kind = type(plain)
    x = samples(torch.float32, device, (6, 7, 9))
    expected = plain(x)
    assert relustat.swap(plain, activations="relu-like") is plain
    assert type(plain) is kind
    assert same_bits(plain(x), expected)
    assert_activity(plain.counters.stats, *activity_of(case, x, 2))
    again = pickle.loads(pickle.dumps(plain)) if name != "squared" else copy.deepcopy(plain)
    assert again.counters.stats == plain.counters.stats
    assert same_bits(again(x), expected)
    relustat.unswap(plain)
    assert "counters" not in plain.__dict__
    assert same_bits(plain(x), expected)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_modules(device, name):
    for inplace in (False, True):
        module = copy.deepcopy(SMOOTH[name])
        if inplace and not hasattr(module, "inplace"):
            continue
        module.inplace = inplace
        x = samples(torch.float32, device, (6, 7, 9))
        expected = SMOOTH[name](x.clone())
        relustat.swap(module, activations="all", near_zero=0.05)
        y = module(x.clone())
        assert same_bits(y, expected)
        near = (expected.abs() <= 0.05).movedim(2, 0).reshape(9, -1).cpu().numpy()
        assert_activity(module.counters.stats, near, None)


def test_training_and_compiled_code(device):
    def model():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 8, 3), nn.ReLU6(), nn.SiLU()
        return nn.Sequential(*layers, nn.LeakyReLU(0.2)).to(device)

    x = torch.randn(2, 3, 9, 9, device=device)
    plain, swapped = model(), relustat.swap(model(), activations="all")
    for each in (plain, swapped):
        each(x).square().sum().backward()
    for mine, theirs in zip(swapped.parameters(), plain.parameters(), strict=True):
        assert same_bits(mine.grad, theirs.grad)
    eager = [swapped[index].counters.stats for index in (1, 3, 4, 5)]
    for index in (1, 3, 4, 5):
        swapped[index].counters.reset()
    torch.compile(swapped, fullgraph=True, backend="aot_eager")(x)
    assert [swapped[index].counters.stats for index in (1, 3, 4, 5)] == eager


def test_which_are_swapped_and_why_others_are_not():
    class Leaky(nn.LeakyReLU):
        pass

    def model():
        return nn.Sequential(
            nn.ReLU(), nn.ReLU6(), nn.GELU(), Leaky(), nn.Tanh(), SquaredReLU(),
            relustat.CountingReLU6(),
        )  # fmt: skip

    rows = relustat.swapped(relustat.swap(model(), activations="relu-like"))
    assert [(row.was, row.now, row.why_not) for row in rows] == [
        ("ReLU", "counts", ""),
        ("ReLU6", "counts", ""),
        ("GELU", "as before", "activations='all' counts it"),
        ("Leaky", "as before", "a subclass of nn.LeakyReLU"),
        ("CountingReLU6", "counts", "relustat's own class"),
    ]
    rows = relustat.swapped(relustat.swap(model(), activations=["tanh"]))
    assert [row.was for row in rows if row.now == "counts"] == ["Tanh", "CountingReLU6"]
    with pytest.warns(UserWarning, match="has no activation of these to swap"):
        relustat.swap(nn.Sequential(nn.ReLU()), activations=["GELU"], pools=False)


def test_wrong_numbers_leave_the_model_as_it_was():
    model = nn.Sequential(nn.ReLU(), nn.LeakyReLU(float("inf")))
    with pytest.raises(ValueError, match="LeakyReLU: the slope must be finite, got inf"):
        relustat.swap(model, activations="relu-like")
    assert "forward" not in model[0].__dict__


@pytest.mark.filterwarnings("error")
def test_integers_are_computed_and_not_counted():
    module = relustat.swap(nn.Hardtanh(), activations="relu-like")
    with pytest.warns(UserWarning, match="a swapped Hardtanh does not count a Tensor of torch.in"):
        assert module(torch.tensor([-3, 0, 3])).tolist() == [-1, 0, 1]
    assert module.counters.stats.calls == 0


def test_in_place_modules_stay_in_place():
    for name, case in IN_PLACE.items():
        if name == "squared":
            continue
        module = relustat.swap(copy.deepcopy(case.plain), activations="relu-like")
        x = torch.randn(4, 5)
        assert module(x) is x
        assert module.counters.stats.elements == 20


def test_exported_programs_have_plain_activations():
    layers = nn.Linear(4, 6), nn.ReLU6(True), nn.PReLU(6), nn.SiLU(True), nn.LeakyReLU(0.2)
    model = nn.Sequential(*layers)
    x = torch.randn(5, 4)
    plain = torch.export.export(model, (x,))
    swapped = torch.export.export(relustat.swap(model, activations="all"), (x,))
    ops = [[str(node.target) for node in each.graph.nodes] for each in (plain, swapped)]
    assert ops[0] == ops[1]
    assert same_bits(swapped.module()(x), plain.module()(x))
    assert model[1].counters.stats.calls == 0
