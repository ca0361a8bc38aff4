"""The analyses, against what they cannot be faster than, or what one would do instead."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from harness.allocations import peak
from harness.networks import photographs, vgg16
from torch import nn

from relustat import analysis

pytestmark = pytest.mark.analysis

ROUNDS = 5
# The ReLUs before VGG-16's pools.
BLOCKS = ["3", "8", "15", "22", "29"]


@pytest.fixture(scope="module")
def weights(request):
    return request.config.getoption("--weights")


@pytest.fixture
def model(weights):
    return vgg16(weights).eval()


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_deconvnet(paired, model, rule):
    """One unit of the last layer, in 8 photographs."""
    x = photographs(8)
    plain = copy.deepcopy(model)

    def forward_and_backward():
        start = x.clone().requires_grad_()
        return torch.autograd.grad(plain(start).sum(), start)[0]

    def project():
        return analysis.deconvnet(model, x, "29", 100, "max", rule)

    assert project().shape == forward_and_backward().shape
    paired(
        project,
        forward_and_backward,
        rounds=ROUNDS,
        warmup_rounds=0,
        grad=True,
        what=f"deconvnet, rule {rule!r}",
        rival="forward and backward to the input",
        shape="VGG-16, 8x3x224x224",
    )


def test_receptive_field(paired, model):
    """All five blocks, 16 random inputs of 224x224 each: over 16 forwards and backwards."""
    x = torch.randn(16, 3, 224, 224)
    plain = copy.deepcopy(model)

    def forward_and_backward():
        start = x.clone().requires_grad_()
        return torch.autograd.grad(plain(start).sum(), start)

    def measure():
        return [analysis.receptive_field(model, block, data=x) for block in BLOCKS]

    assert [field.size[0] for field in measure()] == [5, 14, 40, 92, 196]
    paired(
        measure,
        forward_and_backward,
        rounds=3,
        warmup_rounds=0,
        grad=True,
        what="receptive fields of five blocks",
        rival="one forward and backward",
        shape="VGG-16, 16x3x224x224",
    )


@pytest.mark.parametrize(
    "shape", [(10_000, 750), (8, 64, 224, 224)], ids=["10000x750", "8x64x224x224"]
)
def test_activation_hash(paired, shape):
    """Against the matrix of bits, packed, which has to be kept and sorted after that."""
    x = torch.randn(shape)

    def bits():
        return np.packbits((x > 0).numpy().reshape(shape[0], -1), axis=1)

    paired(
        lambda: torch.ops.relustat.activation_hash(x, 0),
        bits,
        rounds=20,
        what="activation_hash",
        rival="(x > 0), np.packbits",
        shape="x".join(map(str, shape)),
    )


def test_activation_patterns(paired):
    """The write-up's count: 10,000 images through its MLP, 11.3 million ReLU outputs."""
    sizes = (784, 750, 320, 50, 10)
    layers = [nn.Linear(*pair) for pair in itertools.pairwise(sizes)]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU()))).eval()
    images = torch.randn(10_000, 784).split(1000)

    def plain():
        for batch in images:
            model(batch)

    patterns = analysis.activation_patterns(model, images)
    with torch.no_grad():
        active = model[0](torch.cat(images)) > 0
    assert patterns.layers["1"] == len(np.unique(np.packbits(active.numpy(), axis=1), axis=0))
    paired(
        lambda: analysis.activation_patterns(model, images),
        plain,
        rounds=10,
        what="activation_patterns of an MLP",
        rival="its forward",
        shape="10000x784",
    )


def test_hypercolumns(paired, model):
    """Five layers of a photograph, all pixels."""
    x = photographs(1)
    whole = {}

    def interpolated():
        maps = analysis.layer_outputs(model, x, BLOCKS).values()
        columns = [F.interpolate(each, (224, 224), mode="bilinear") for each in maps]
        whole["theirs"] = torch.cat(columns, 1)
        return whole["theirs"]

    def taken():
        whole["ours"] = analysis.hypercolumns(model, x, BLOCKS).tensor()
        return whole["ours"]

    with torch.no_grad():
        interpolated()
        taken()
        assert torch.equal(whole["ours"], whole["theirs"])
        peaks = [peak(each) / whole["ours"].nbytes for each in (taken, interpolated)]
    paired(
        taken,
        interpolated,
        rounds=ROUNDS,
        what="hypercolumns of five layers",
        rival="F.interpolate, torch.cat",
        shape="VGG-16, 1x1472x224x224",
        note=f"peak {peaks[0]:.2f} of the result, against {peaks[1]:.2f}",
    )
