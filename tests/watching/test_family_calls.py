"""The relatives of ReLU in a watched model: however they are spelt, chosen, masked and saved."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import same_bits
from torch import nn

import relustat
from relustat.nn.activations import RELU_LIKE, SMOOTH

SLOPES = torch.linspace(-0.3, 1.2, 5)
SPELLINGS = {
    "ReLU6": [F.relu6, lambda x: F.hardtanh(x, 0, 6), lambda x: x.clamp(0, 6), nn.ReLU6()],
    "Hardtanh": [F.hardtanh, lambda x: F.hardtanh_(x, -2, 0.5), nn.Hardtanh(-0.1, 0.1)],
    "LeakyReLU": [F.leaky_relu, lambda x: F.leaky_relu(x, 0.3, True), nn.LeakyReLU(0.2)],
    "PReLU": [lambda x: F.prelu(x, torch.ones(1)), lambda x: x.prelu(SLOPES), nn.PReLU(5)],
    "RReLU": [F.rrelu, lambda x: torch.rrelu_(x, 0.1, 0.2), nn.RReLU()],
    "Threshold": [lambda x: F.threshold(x, 0.5, 0), nn.Threshold(0.1, 7.0)],
    "GELU": [F.gelu, lambda x: F.gelu(x, approximate="tanh"), nn.GELU("tanh")],
    "SiLU": [F.silu, lambda x: F.silu(x, inplace=True), nn.SiLU(), nn.SiLU(inplace=True)],
    "Mish": [F.mish, nn.Mish(inplace=True)],
    "Hardswish": [F.hardswish, nn.Hardswish(inplace=True)],
    "Hardsigmoid": [F.hardsigmoid, nn.Hardsigmoid(inplace=True)],
    "ELU": [F.elu, lambda x: F.elu(x, 0.3), lambda x: F.elu(x, 0.3, True), nn.ELU(0.5, True)],
    "CELU": [F.celu, torch.celu_, nn.CELU(0.5, inplace=True)],
    "SELU": [F.selu, torch.selu_, nn.SELU(inplace=True)],
    "Softplus": [F.softplus, lambda x: F.softplus(x, 2.0), nn.Softplus(3.0)],
    "Sigmoid": [
        torch.sigmoid,
        F.sigmoid,
        lambda x: x.sigmoid(),
        lambda x: x.sigmoid_(),
        nn.Sigmoid(),
    ],
    "Tanh": [torch.tanh, F.tanh, lambda x: x.tanh(), lambda x: x.tanh_(), nn.Tanh()],
}
CASES = [(name, index) for name in SPELLINGS for index in range(len(SPELLINGS[name]))]


class Model(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.act = activation

    def forward(self, x):
        return self.act(self.conv(x)) * 2


def truth(name, x, y, stats):
    """What must be counted of one call, by NumPy alone."""
    inputs, outputs = (
        each.detach().double().movedim(1, 0).reshape(5, -1).numpy() for each in (x, y)
    )
    activation = stats.activation
    if name in SMOOTH:
        return np.abs(outputs) <= float(np.float32(activation.near_zero))
    return inputs <= float(np.float32(activation.lower))


@pytest.mark.parametrize(("name", "index"), CASES)
def test_every_spelling(device, name, index):
    model = Model(SPELLINGS[name][index]).to(device).eval()
    x = 3 * torch.randn(2, 3, 6, 6, device=device)
    before = model.conv(x).detach()
    expected = model(x)
    with relustat.watch(model, activations=[name], near_zero=0.1) as watch:
        assert same_bits(model(x), expected)
    ((site, stats),) = watch.stats.items()
    assert site == "act"
    assert stats.activation.name == name
    assert stats.unit_inactive.tolist() == truth(name, before, expected / 2, stats).sum(1).tolist()
    assert (stats.nans, stats.widths, stats.elements) == (0, (5,), before.numel())
    assert (stats.saturated is None) == (name not in ("ReLU6", "Hardtanh"))

    with relustat.watch(model) as others:
        model(x)
    assert others.stats == {}
    # A gate is expected nowhere, and clamp and hardtanh may be anything.
    if name not in ("Sigmoid", "Tanh", "Hardsigmoid") and (name, index) not in [
        ("ReLU6", 1),
        ("ReLU6", 2),
    ]:
        choice = "relu-like" if name in RELU_LIKE else "all"
        expected = f"no ReLU was called: 1 {name}; try activations='{choice}'"
        assert expected in others.report().warnings


@pytest.mark.parametrize(("name", "index"), [case for case in CASES if case[0] != "RReLU"])
def test_compiled_code_counts_the_same(device, name, index):
    model = Model(SPELLINGS[name][index]).to(device).eval()
    x = 3 * torch.randn(2, 3, 6, 6, device=device)
    with relustat.watch(model, activations="all") as eager:
        expected = model(x)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with relustat.watch(model, activations="all") as watch:
        assert same_bits(compiled(x), expected)
    assert watch.stats == eager.stats
    # Another choice is another graph.
    with relustat.watch(model, activations="relu") as watch:
        compiled(x)
    assert watch.stats == {}
    with relustat.watch(model, activations="all") as watch:
        compiled(x)
    assert watch.stats == eager.stats


def test_names_and_numbers_of_calls():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.up = nn.Linear(4, 6), nn.Linear(4, 6)
            self.silu = nn.SiLU()

        def forward(self, x):
            y = F.silu(self.gate(x)) * self.up(x)
            y = y + F.silu(self.up(x))
            return self.silu(y) * torch.sigmoid(y)

    model = nn.Sequential(Gated())
    with relustat.watch(model, activations="all") as watch:
        model(torch.randn(3, 4))
    assert list(watch.stats) == ["0.functional_silu", "0.functional_silu_1", "0.silu", "0.sigmoid"]
    assert [site.after for site in watch.report().call_sites.values()][:2] == [
        ("0.gate",),
        ("0.up",),
    ]


def test_one_line_that_calls_several_activations():
    class Switching(nn.Module):
        def forward(self, x, activation):
            return activation(x)

    model = Switching()
    with relustat.watch(model, activations="all") as watch:
        for activation in (F.relu, F.gelu, F.relu, F.relu6, F.hardtanh):
            model(torch.randn(3, 4), activation)
    found = {name: (each.activation.name, each.calls) for name, each in watch.stats.items()}
    assert sorted(found.values()) == [("GELU", 1), ("Hardtanh", 1), ("ReLU", 2), ("ReLU6", 1)]


def test_choices():
    model = nn.Sequential(nn.ReLU(), nn.LeakyReLU(), nn.GELU(), nn.Tanh())
    x = torch.randn(3, 4)

    def sites(choice):
        with relustat.watch(model, activations=choice) as watch:
            model(x)
        return list(watch.stats), watch.report().warnings

    assert sites("relu")[0] == ["0"]
    assert sites("relu-like")[0] == ["0", "1"]
    assert sites("all")[0] == ["0", "1", "2", "3"]
    assert sites(["tanh", nn.GELU])[0] == ["2", "3"]
    assert "1 ReLU, not counted: try activations='relu'" in sites(["tanh"])[1]
    assert "1 GELU, not counted: try activations='all'" in sites("relu-like")[1]
    # One name alone is a list of one.
    assert sites("GELU")[0] == ["2"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activations": "rely"}, ValueError, "watch: activations must be 'relu', 'relu-like'"),
        ({"activations": ["SiLU", "swish"]}, ValueError, "Sigmoid, Tanh, got 'swish'"),
        ({"activations": []}, ValueError, "activations must be"),
        ({"activations": [3]}, ValueError, "got 3"),
        ({"near_zero": -1e-3}, ValueError, "watch: near_zero must be at least 0 and finite"),
        ({"near_zero": float("nan")}, ValueError, "got nan"),
        ({"near_zero": 10**400}, ValueError, "near_zero must be at least 0 and finite"),
        ({"activations": None}, ValueError, "got None"),
        ({"activations": 5}, ValueError, "got 5"),
        ({"near_zero": "1e-3"}, TypeError, "near_zero must be a number, got '1e-3'"),
    ],
)
def test_bad_choices_are_told_before_anything_is_watched(options, error, message):
    model = nn.Sequential(nn.SiLU())
    with pytest.raises(error, match=message):
        relustat.watch(model, **options)
    with pytest.raises(error, match=message.replace("watch:", "swap:")):
        relustat.swap(model, **options)
    relustat.watch(model).close()


def test_masks_and_labels(device):
    model = nn.Sequential(nn.Linear(4, 6), nn.SiLU(inplace=True), nn.Linear(6, 6), nn.ReLU6(True))
    model = model.to(device)
    x = torch.randn(8, 4, device=device)
    is_kept = torch.arange(8, device=device) % 3 > 0
    labels = torch.arange(8, device=device) % 2
    options = {"activations": "all", "near_zero": 0.1}
    with torch.no_grad():
        inputs = model[0](x), model[2](F.silu(model[0](x)))
        outputs = F.silu(inputs[0]), F.relu6(inputs[1])
    inactive = outputs[0].abs() <= 0.1, inputs[1] <= 0
    for run in (model, torch.compile(model, fullgraph=True, backend="aot_eager")):
        with relustat.watch(
            model, mask=lambda *_: is_kept, groups=lambda *_: labels, **options
        ) as watch:
            run(x)
        groups = watch.report().groups
        for index, site in enumerate(("1", "3")):
            kept = inactive[index][is_kept].sum(0)
            assert watch.stats[site].unit_inactive.tolist() == kept.tolist()
            for label in (0, 1):
                of_label = inactive[index][is_kept & (labels == label)].sum(0)
                part = groups[str(label)].stats[site]
                assert part.unit_inactive.tolist() == of_label.tolist()
                assert part.activation == watch.stats[site].activation


def test_states_are_saved_with_their_activations(tmp_path):
    def model():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.LeakyReLU(), nn.Hardtanh(), nn.ReLU())

    x = torch.randn(3, 4)
    first = model()
    with relustat.watch(first, activations="all") as watch:
        first(x)
        torch.save(watch.state_dict(), tmp_path / "state.pt")
        first(x)
        expected = watch.stats
    second = model()
    with relustat.watch(second, activations="all") as watch:
        watch.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        second(x)
        assert watch.stats == expected
        assert list(watch.stats) == ["1", "2", "3", "4"]
    with (
        relustat.watch(second, activations="relu-like") as watch,
        pytest.raises(ValueError, match="load_state_dict: "),
    ):
        watch.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def test_own_modules_are_seen_too():
    model = nn.Sequential(
        nn.Linear(4, 6), relustat.CountingReLU6(), relustat.CountingSquaredReLU(),
        relustat.CountingPReLU(6),
    )  # fmt: skip
    with relustat.watch(model, activations="relu-like") as watch:
        model(torch.randn(3, 4))
    assert list(watch.stats) == ["1", "2", "3"]
    for index in (1, 2, 3):
        assert watch.stats[str(index)] == model[index].stats
        assert model[index].stats.calls == 1


def test_never_called_and_training(device):
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU()).to(device)
    model.register_module("other", nn.LeakyReLU())
    with relustat.watch(model, activations="all", during="eval") as watch:
        model[1](model[0](torch.randn(3, 4, device=device)))
    assert "other: never called" in watch.report().warnings
    assert watch.stats == {}


def test_gradients_are_those_of_the_plain_model(device):
    def gradients(run, model):
        model.zero_grad()
        run(torch.ones(5, 3, 6, 6, device=device)).square().sum().backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    for name, index in CASES:
        model = Model(SPELLINGS[name][index]).to(device).eval()
        expected = gradients(model, model)
        with relustat.watch(model, activations="all"):
            found = gradients(model, model)
        assert all(same_bits(*pair) for pair in zip(found, expected, strict=True)), (name, index)


def test_inputs_that_cannot_be_counted():
    model = nn.Sequential(nn.SiLU())
    with relustat.watch(model, activations="all") as watch:
        model(torch.randn(2, 3, dtype=torch.complex64))
    assert any("0: not counted, its input was" in each for each in watch.report().warnings)
    assert watch.stats == {}


def test_an_output_that_is_written_over_the_input(device):
    x = torch.tensor([[-30.0, -1.0, 0.0, 2.0]], device=device)
    for function in (torch.sigmoid, torch.tanh):
        model = Model(lambda q, f=function: f(q, out=q)).eval()
        model.conv = nn.Identity()
        with torch.no_grad(), relustat.watch(model, activations="all") as watch:
            model(x.clone())
        (stats,) = watch.stats.values()
        expected, _ = np.histogram(x.cpu().numpy(), bins=stats.bins.edges)
        assert stats.histogram.counts().tolist() == expected.tolist()


def test_what_is_chosen_and_cannot_be_counted_is_named():
    model = nn.Sequential(nn.Hardtanh(torch.tensor(-1.0), torch.tensor(1.0)))
    with relustat.watch(model, activations="all") as watch:
        model(torch.randn(2, 3))
    expected = "0: not counted, the arguments of its Hardtanh are none that can be counted"
    assert expected in watch.report().warnings


def test_names_are_those_of_what_is_computed():
    def names(module, choice):
        model = nn.Sequential(module)
        with relustat.watch(model, activations=choice) as watch:
            model(torch.randn(2, 3))
        relustat.swap(model, activations=choice, pools=False)
        counters = model[0].__dict__.get("counters")
        swapped = [] if counters is None else [counters.activation.name]
        return [each.activation.name for each in watch.stats.values()], swapped

    assert names(nn.Hardtanh(0, 6), ["ReLU6"]) == (["ReLU6"], ["ReLU6"])
    assert names(nn.Hardtanh(0, 1), "relu-like") == (["Hardtanh"], ["Hardtanh"])
    assert names(nn.LeakyReLU(0.1), nn.LeakyReLU) == (["LeakyReLU"], ["LeakyReLU"])


@pytest.mark.filterwarnings("ignore:swap. the Sequential has no")
def test_relus_by_their_arguments_are_relus():
    for module in (nn.LeakyReLU(0.0), nn.Threshold(0, 0), nn.Hardtanh(0, float("inf"))):
        model = nn.Sequential(module)
        with relustat.watch(model, activations="relu-like") as watch:
            model(torch.randn(2, 3))
        assert watch.stats["0"].activation.name == "ReLU"
        relustat.swap(model, activations="relu-like", pools=False)
        assert relustat.swapped(model)[0].why_not == "a ReLU by its arguments only"


def test_states_of_other_choices_are_refused():
    model = nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.ReLU())
    states = {}
    for choice in ("relu", "relu-like", "all"):
        with relustat.watch(model, activations=choice) as watch:
            model(torch.randn(3, 4))
            states[choice] = watch.state_dict()
    for choice, others in (("relu", ("relu-like", "all")), ("all", ("relu", "relu-like"))):
        for other in others:
            with (
                relustat.watch(model, activations=choice) as watch,
                pytest.raises(ValueError, match="load_state_dict: activations must be that of"),
            ):
                watch.load_state_dict(states[other])


def test_wrong_arguments_raise_pytorchs_errors():
    for function in (F.silu, F.relu6, F.leaky_relu, torch.tanh, F.gelu):
        with pytest.raises(TypeError) as plain:
            function([1.0])
        model = Model(lambda _, f=function: f([1.0]))
        with (
            relustat.watch(model, activations="all"),
            pytest.raises(type(plain.value)) as watched,
        ):
            model(torch.randn(1, 3, 4, 4))
        assert str(watched.value) == str(plain.value)
