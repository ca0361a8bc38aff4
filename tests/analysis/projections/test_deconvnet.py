import pytest
import torch
import torch.nn.functional as F
from models import ResNet
from optional import needs
from torch import nn

import relustat
from relustat.analysis import deconvnet

captum = needs("captum.attr", whole_file=True)

RULES = ("deconvnet", "guided", "gradient")


class Classifier(nn.Module):
    """What captum can handle: each ReLU a module of its own."""

    def __init__(self, inplace=False):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace)),
            *(nn.MaxPool2d(3, 2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace)),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout()),
        )
        self.classifier = nn.Sequential(nn.Linear(108, 16), nn.ReLU(inplace), nn.Linear(16, 5))

    def forward(self, x):
        return self.classifier(self.features(x))


class Functional(Classifier):
    """The same computation in other words, with one ReLU module called twice."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        conv1, bn, _, _, conv2 = self.features[:5]
        x = F.max_pool2d(self.relu(bn(conv1(x))), 3, 2)
        x = torch.clamp(conv2(x), min=0)
        x = F.adaptive_avg_pool2d(x, 3).flatten(1)
        x = self.classifier[0](x)
        self.relu(x)
        return self.classifier[2](x)


def evaluated(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def input_gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


@pytest.fixture
def x():
    return torch.randn(3, 3, 16, 16)


@pytest.mark.parametrize("inplace", [False, True])
def test_gradient_and_sum_are_autograds(x, inplace, device):
    model, x = evaluated(Classifier(inplace)).to(device), x.to(device)
    expected = input_gradient(lambda x: model.features[:6](x)[:, 7, 1, 2].sum(), x)
    got = deconvnet(model, x, "features.5", 7, (1, 2), rule="gradient", overlap="sum")
    assert expected.abs().sum() > 0
    assert torch.equal(got, expected)
    got = deconvnet(model, x, "classifier", 3, rule="gradient", overlap="sum")
    assert torch.equal(got, input_gradient(lambda x: model(x)[:, 3].sum(), x))


def test_gradient_through_reused_relus_and_shortcuts(x):
    model = evaluated(ResNet())
    got = deconvnet(model, x, "layer2", rule="gradient", overlap="sum")
    assert torch.equal(got, input_gradient(lambda x: model(x).sum(), x))


@pytest.mark.parametrize(
    ("rule", "method"),
    [("deconvnet", captum.Deconvolution), ("guided", captum.GuidedBackprop)],
)
@pytest.mark.parametrize("target", [0, 4])
def test_rules_are_captums(x, rule, method, target, device):
    model, x = evaluated(Classifier()).to(device), x.to(device)
    expected = method(model).attribute(x.clone().requires_grad_(), target=target)
    got = deconvnet(model, x, "classifier.2", target, rule=rule, overlap="sum")
    assert expected.abs().sum() > 0
    assert torch.equal(got, expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("overlap", ["last", "sum", "max"])
def test_spelling_makes_no_difference(x, rule, overlap):
    plain, functional = evaluated(Classifier()), Functional()
    functional.load_state_dict(plain.state_dict(), strict=False)
    expected = deconvnet(plain, x, "classifier.2", 2, rule=rule, overlap=overlap)
    got = deconvnet(functional.eval(), x, "classifier.2", 2, rule=rule, overlap=overlap)
    assert torch.equal(got, expected)
    swapped = relustat.swap(evaluated(Classifier()))
    swapped.load_state_dict(plain.state_dict())
    got = deconvnet(swapped, x, "classifier.2", 2, rule=rule, overlap=overlap)
    torch.testing.assert_close(got, expected)
    assert all(not module.stats.calls for module in swapped.modules() if hasattr(module, "stats"))


def by_hand(model, x, unit, position, overlap):
    """Conv, ReLU, MaxPool 3x3/2, Conv, ReLU: a DeconvNet as the paper draws it."""
    conv1, conv2 = model[0], model[3]
    first = conv1(x)
    pooled, indices = F.max_pool2d(first.relu(), 3, 2, return_indices=True)
    signal = torch.zeros_like(conv2(pooled))
    signal[:, unit, position[0], position[1]] = 1
    signal = F.conv_transpose2d(signal.relu(), conv2.weight, padding=1)
    if overlap == "last":
        signal = F.max_unpool2d(signal, indices, 3, 2, output_size=first.shape)
    else:
        flat = torch.zeros_like(first).flatten(2)
        flat.scatter_add_(2, indices.flatten(2), signal.flatten(2))
        signal = flat.view_as(first)
    return F.conv_transpose2d(signal.relu(), conv1.weight)


@pytest.mark.parametrize("overlap", ["last", "sum"])
def test_a_deconvnet_made_by_hand(x, overlap):
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 4, 3, padding=1), nn.ReLU()
    ).eval()
    with torch.no_grad():
        # The signal starts at a ReLU, which hands on what is positive: all of it.
        expected = by_hand(model, x, 2, (3, 1), overlap)
    got = deconvnet(model, x, "4", 2, (3, 1), overlap=overlap)
    torch.testing.assert_close(got, expected)
    other = deconvnet(model, x, "4", 2, (3, 1), overlap="sum" if overlap == "last" else "last")
    assert not torch.allclose(got, other)


def test_positions(x):
    model = evaluated(ResNet())
    with torch.no_grad():
        maps = model.layer1(model.maxpool(model.relu(model.conv1(x))))[:, 5].flatten(1)
    positions = torch.stack(torch.unravel_index(maps.argmax(1), (4, 4)), 1)
    strongest = deconvnet(model, x, "layer1", 5, "max")
    assert torch.equal(strongest, deconvnet(model, x, "layer1", 5, positions))
    for sample, position in enumerate(positions.tolist()):
        alone = deconvnet(model, x[sample : sample + 1], "layer1", 5, position)
        torch.testing.assert_close(alone[0], strongest[sample])
    centre = deconvnet(model, x, "layer1", 5, "center")
    assert torch.equal(centre, deconvnet(model, x, "layer1", 5, (2, 2)))


def test_a_signal_of_activations(x):
    """By the gradient rule: the gradient of half the sum of squares."""
    model = evaluated(Classifier())
    got = deconvnet(model, x, "features.5", 3, rule="gradient", overlap="sum", signal="activation")
    expected = input_gradient(lambda x: (model.features[:6](x)[:, 3] ** 2 / 2).sum(), x)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("rule", RULES)
def test_the_model_is_left_as_it_was(x, rule):
    model = evaluated(ResNet())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = x.clone()
    with torch.inference_mode():
        deconvnet(model, x, "layer2", 1, "max", rule)
    assert torch.equal(x, kept)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_compiled_model_is_taken_apart(x):
    model = evaluated(Classifier())
    expected = deconvnet(model, x, "classifier", 1)
    assert torch.equal(deconvnet(torch.compile(model), x, "classifier", 1), expected)


@pytest.mark.parametrize(
    ("layer", "kind", "where"),
    [
        (nn.GELU(), "Gelu", "1"),
        (nn.LeakyReLU(), "LeakyRelu", "1"),
        (nn.Softmax(1), "Softmax", "1"),
        (nn.BatchNorm2d(4, track_running_stats=False), "NativeBatchNorm", "1"),
    ],
)
def test_layers_without_a_rule_are_named(x, layer, kind, where):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(ValueError, match=rf"have a rule, got {kind} in '{where}'"):
        deconvnet(model, x, "2", 1)
    # What lies behind the layer does not matter, and a gradient has everything.
    deconvnet(model, x, "0", 1)
    deconvnet(model, x, "2", 1, rule="gradient", overlap="sum")


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        return x * x.mean((2, 3), keepdim=True)


def test_a_product_of_two_signals_has_no_rule(x):
    with pytest.raises(ValueError, match="have a rule, got Mul in the model"):
        deconvnet(Gated().eval(), x, "", 1)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "got 'layer1.0.rel'; near names: 'layer1.0.relu'", {"layer": "layer1.0.rel"}),
        (ValueError, "one of the 8 of 'layer1', 0 to 7, got 8", {"unit": 8}),
        (ValueError, "0 to 7, got -1", {"unit": -1}),
        (TypeError, "unit must be an integer, got 1.5", {"unit": 1.5}),
        (ValueError, r"in the 4 x 4 map of 'layer1', got \(4, 0\)", {"position": (4, 0)}),
        (ValueError, r"maps of 4 x 4, got \(1,\)", {"position": (1,)}),
        (ValueError, "'center', 'max' or indices, got 'middle'", {"position": "middle"}),
        (ValueError, r"got \(0.5, 1\)", {"position": (0.5, 1)}),
        (ValueError, "rule must be 'deconvnet', 'guided' or 'gradient'", {"rule": "smooth"}),
        (ValueError, "overlap must be 'last', 'sum' or 'max'", {"overlap": "mean"}),
        (ValueError, "signal must be 'one' or 'activation'", {"signal": "two"}),
        (
            TypeError,
            "floating-point dtype, got torch.int64",
            {"x": torch.ones(1, 3, 9, 9).long()},
        ),
        (TypeError, "x must be a tensor, got list", {"x": [1]}),
        (
            ValueError,
            r"a batch of samples \[N, ...\], got \[0, 3, 16, 16\]",
            {"x": torch.ones(0, 3, 16, 16)},
        ),
        (TypeError, "must be an nn.Module, got int", {"model": 1}),
    ],
)
def test_bad_input(x, error, message, options):
    given = {"model": evaluated(ResNet()), "x": x, "layer": "layer1", "unit": 0} | options
    with pytest.raises(error, match=message):
        deconvnet(**given)


def test_a_model_in_training_mode(x):
    model = evaluated(ResNet())
    model.layer1[0].bn1.train()
    with pytest.raises(
        ValueError, match=r"got 'layer1\.0\.bn1' in training mode; call model\.eval"
    ):
        deconvnet(model, x, "layer2", 0)


def test_pools_that_are_no_plain_max_pools(x):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d(5)).eval()
    with pytest.raises(ValueError, match=r"only overlap='sum' has .* AdaptiveMaxPool2D in '1' and"):
        deconvnet(model, x, "1", 1, rule="gradient")
    deconvnet(model, x, "1", 1, overlap="sum")
    # Windows that do not overlap are undone alike in all ways.
    apart = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d(7)).eval()
    expected = deconvnet(apart, x, "1", 1, overlap="sum")
    assert torch.equal(deconvnet(apart, x, "1", 1), expected)


@pytest.mark.parametrize("overlap", ["last", "sum"])
def test_what_was_asked_under_inference_mode(x, overlap):
    model = evaluated(ResNet())
    expected = deconvnet(model, x, "layer1", 1, overlap=overlap)
    with torch.inference_mode():
        assert torch.equal(deconvnet(model, x.clone(), "layer1", 1, overlap=overlap), expected)


def test_a_layer_that_does_not_depend_on_the_input(x):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 4)

        def forward(self, x):
            return self.linear(x.new_ones(len(x), 3)) + x.mean()

    with pytest.raises(ValueError, match="must depend on the input"):
        deconvnet(Constant().eval(), x, "linear", 0)
