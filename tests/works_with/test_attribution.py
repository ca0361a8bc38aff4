"""Attributions of a model that is watched or swapped are those of the plain one.

These tools look modules up by their class or its name, and take an unknown one for linear.
"""

import contextlib
import sys
import types

import pytest
import torch
from optional import needs
from torch import nn

import relustat


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 6, 3), nn.ReLU()),
        )
        self.classifier = nn.Sequential(nn.Linear(54, 10), nn.ReLU(), nn.Linear(10, 3))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def model():
    torch.manual_seed(0)
    return Net().eval()


def images(count, seed):
    return torch.randn(count, 1, 12, 12, generator=torch.Generator().manual_seed(seed))


X, BASE = images(4, 1), images(8, 2)


@contextlib.contextmanager
def watched(model):
    with relustat.watch(model):
        yield model


@contextlib.contextmanager
def swapped(model):
    yield relustat.swap(model)
    assert len(relustat.swapped(model)) == 4


def of_captum(name):
    def attribute(model):
        attr = needs("captum").attr
        if name == "DeepLift":
            return attr.DeepLift(model).attribute(X, torch.zeros_like(X), target=1)
        if name == "DeepLiftShap":
            return attr.DeepLiftShap(model).attribute(X, BASE, target=1)
        if name == "LayerActivation":
            return attr.LayerActivation(model, model.features[4]).attribute(X)
        return getattr(attr, name)(model).attribute(X, target=1)

    return attribute


def of_shap(name):
    def attribute(model):
        explainer = getattr(needs("shap"), name)(model, BASE)
        options = {"check_additivity": True} if name == "DeepExplainer" else {"rseed": 0}
        return torch.from_numpy(explainer.shap_values(X, **options))

    return attribute


def of_zennit(name):
    def attribute(model):
        # It names two classes of torchvision, of which there need not be a build for this PyTorch.
        resnet = types.SimpleNamespace(
            Bottleneck=type("Bottleneck", (), {}), BasicBlock=type("BasicBlock", (), {})
        )
        sys.modules.setdefault("torchvision.models.resnet", resnet)
        needs("zennit")
        from zennit import attribution, composites

        composite = getattr(composites, name)()
        with attribution.Gradient(model, composite) as attributor:
            return attributor(X, torch.eye(3)[[1] * len(X)])[1]

    return attribute


CAPTUM = ["DeepLift", "DeepLiftShap", "LRP", "GuidedBackprop", "Deconvolution", "LayerActivation"]
TOOLS = {
    **{f"captum {name}": (of_captum(name), ()) for name in CAPTUM},
    **{
        f"shap {name}": (of_shap(name), pytest.mark.tools)
        for name in ("DeepExplainer", "GradientExplainer")
    },
    **{
        f"zennit {name}": (of_zennit(name), pytest.mark.tools)
        for name in ("EpsilonPlus", "EpsilonAlpha2Beta1", "GuidedBackprop")
    },
}


@pytest.mark.parametrize("counting", [watched, swapped])
@pytest.mark.parametrize(
    "tool", [pytest.param(name, marks=marks) for name, (_, marks) in TOOLS.items()]
)
@pytest.mark.filterwarnings("ignore")
def test_attributions_are_those_of_the_plain_model(tool, counting):
    attribute, _ = TOOLS[tool]
    expected = attribute(model())
    with counting(model()) as counted:
        found = attribute(counted)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
