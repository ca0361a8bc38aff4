"""Gradients of ReLU and pooling in one pass, of any order, and what is saved for them."""

import pytest
import torch
import torch.nn.functional as F
from oracle import DTYPES, same_bits
from pool_cases import OURS as POOLS
from pool_cases import THEIRS, formats, nasty
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck
from torch.utils.checkpoint import checkpoint

import relustat
from relustat import Counters, LinearBins
from relustat.functional import relu_max_pool1d, relu_max_pool2d, relu_max_pool3d
from relustat.ops import library

OURS = {1: relu_max_pool1d, 2: relu_max_pool2d, 3: relu_max_pool3d}
GEOMETRIES = [(2, 2, 0, 1, False), (3, 2, 1, 1, True), ((3, 2), (1, 3), (1, 0), (2, 1), False)]


def per_axis(geometry, axes):
    numbers = [[each] * axes if isinstance(each, int) else list(each) for each in geometry[:4]]
    return (*numbers, geometry[4])


def op_arguments(x, bins, geometry, unit_histograms=False):
    counters = Counters(bins, unit_histograms=unit_histograms)
    words, edges = counters.tensors_for(x.size(1) if x.dim() == 4 else x.size(-1), x.device)
    return words, edges, 1, counters.binning, None, None, *per_axis(geometry, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_opcheck(device, geometry, dtype):
    for shape in ((2, 3, 7, 9), (0, 3, 7, 9)):
        for x in formats(torch.randn(shape, device=device).to(dtype), 2):
            for needs_gradient in {False, dtype == torch.float32}:
                x = x.detach().requires_grad_(needs_gradient)
                opcheck(
                    library.relu_max_pool, (x, *op_arguments(x, LinearBins(-1, 1, 9), geometry))
                )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradcheck(device, geometry):
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, device=device, requires_grad=True)

    def pooled(x):
        return relu_max_pool2d(x, Counters(), *geometry)[0]

    assert gradcheck(pooled, (x,), check_forward_ad=True)
    assert gradgradcheck(pooled, (x,))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients_are_those_of_the_two_modules(device, axes, dtype):
    # Where many windows share a cell, PyTorch rounds each sum of 16-bit numbers, and we the last.
    is_wide = dtype in (torch.float32, torch.float64)
    pool = THEIRS[axes] if is_wide else lambda *given: POOLS[axes](*given)[0]
    for geometry in [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (2, 3, 0, 1, False)]:
        for x in formats(nasty((2, 3, *(7, 9, 8)[:axes]), dtype, device), axes):
            results = []
            for function in (
                lambda x, geometry=geometry: OURS[axes](x, Counters(), *geometry)[0],
                lambda x, geometry=geometry: pool(torch.relu(x), *geometry),
            ):
                given = x.detach().clone().requires_grad_()
                y = function(given)
                torch.manual_seed(1)
                y.backward(torch.randn_like(y))
                results.append((y.detach(), given.grad))
            (y, gradient), (expected_y, expected) = results
            assert same_bits(y, expected_y)
            assert same_bits(gradient, expected)
            assert gradient.stride() == expected.stride()


def test_no_gradient_reaches_a_window_without_anything_above_zero(device):
    x = torch.tensor([[[-1.0, 0.0, 3.0, 2.0, float("nan"), 7.0]]], device=device)
    x.requires_grad_()
    y, _ = relu_max_pool1d(x, Counters(), 2)
    y.backward(torch.tensor([[[5.0, 6.0, 7.0]]], device=device))
    assert x.grad.tolist() == [[[0, 0, 6, 0, 7, 0]]]


def test_double_backward_is_that_of_the_two_modules(device):
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64, device=device)
    results = []
    for function in (
        lambda x: relu_max_pool2d(x, Counters(), 3, 2)[0],
        lambda x: F.max_pool2d(torch.relu(x), 3, 2),
    ):
        given = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(given).pow(3).sum(), given, create_graph=True)
        gradient.pow(2).sum().backward()
        results.append(given.grad)
    assert torch.equal(*results)


def test_what_is_saved(device):
    """Two bytes for each output: where its maximum is, and whether it is above 0."""
    saved = []

    def pack(tensor):
        saved.append((tensor.dtype, tuple(tensor.shape)))
        return tensor

    x = torch.randn(2, 3, 8, 8, device=device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        relu_max_pool2d(x, Counters(), 2)
    assert sorted(saved, key=str) == [(torch.bool, (2, 3, 4, 4)), (torch.uint8, (2, 3, 4, 4))]


def test_a_layer_behind_may_write_over_the_output(device):
    """As over a pool's: it is not saved."""
    x = torch.randn(2, 3, 8, 8, device=device)
    gradients = []
    for layers in (
        [relustat.ReLUMaxPool2d(2), nn.Hardtanh(0, 1, inplace=True)],
        [nn.ReLU(), nn.MaxPool2d(2), nn.Hardtanh(0, 1, inplace=True)],
    ):
        given = x.clone().requires_grad_()
        nn.Sequential(*layers)(given).sum().backward()
        gradients.append(given.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_recomputation_is_not_counted(device, use_reentrant):
    module = relustat.ReLUMaxPool2d(2).to(device)
    x = torch.randn(2, 3, 8, 8, device=device, requires_grad=True)
    expected = x.detach().clone().requires_grad_()
    torch.max_pool2d(torch.relu(expected), 2).sum().backward()
    checkpoint(module, x, use_reentrant=use_reentrant).sum().backward()
    assert torch.equal(x.grad, expected.grad)
    assert module.stats.calls == 1
