"""Norms against torch.linalg.vector_norm of all gradients of a layer, as one vector."""

import copy
import math
import os
from collections import Counter

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils._python_dispatch import TorchDispatchMode

from relustat.analysis.gradients.gradient_norms import GradientNorms


class Tangled(nn.Module):
    """Parameters of the root, shared, frozen and unused ones; modules without their own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0]))
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.BatchNorm2d(3))
        self.frozen = nn.Linear(12, 12).requires_grad_(False)
        self.partly = nn.Linear(12, 5)
        self.partly.bias.requires_grad_(False)
        self.same = nn.Linear(12, 5, bias=False)
        self.same.weight = self.partly.weight
        self.tied = nn.Linear(12, 5)
        self.tied.weight = self.partly.weight
        self.unused = nn.Linear(7, 7)

    def forward(self, x):
        x = self.frozen(self.body(x).flatten(1)) * self.scale
        return self.partly(x) + self.same(x) + self.tied(x)


def own_parameters(model):
    """By hand: the layers, and what each of them owns."""
    conv, _, norm = model.body
    return {
        "Tangled": [model.scale],
        "body.0": [conv.weight, conv.bias],
        "body.2": [norm.weight, norm.bias],
        "partly": [model.partly.weight],
        "tied": [model.tied.bias],
        "unused": [model.unused.weight, model.unused.bias],
    }


def norm(parameters):
    parts = [each.grad.flatten() for each in parameters if each.grad is not None]
    return torch.linalg.vector_norm(torch.cat(parts)).item() if parts else 0.0


def with_gradients(*gradients):
    """A layer for each row of gradients, which are given."""
    model = nn.ModuleList(nn.Module() for _ in gradients)
    for layer, gradient in zip(model, gradients, strict=True):
        layer.weight = nn.Parameter(torch.zeros_like(gradient))
        layer.weight.grad = gradient
    return model


def test_norms_are_those_of_all_own_gradients(device):
    model = Tangled().to(device)
    norms = GradientNorms(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = []
    for step in range(6):
        model(torch.randn(8, 1, 4, 4, device=device)).square().mean().backward()
        norms.record()
        expected.append([norm(own) for own in own_parameters(model).values()])
        if step % 2:  # else gradients accumulate
            optimizer.step()
            optimizer.zero_grad()
    assert norms.layers == tuple(own_parameters(model))
    assert norms.steps == 6
    assert norms.values.dtype == np.float64
    np.testing.assert_allclose(norms.values, expected, rtol=1e-5)
    assert (norms.values[:, :5] > 0).all()
    assert (norms.values[:, 5] == 0).all()
    assert norms.not_finite == []


def test_a_parameter_that_loses_its_gradient_counts_as_zero():
    model = with_gradients(torch.tensor([3.0, 4.0]), torch.tensor([2.0]))
    norms = GradientNorms(model)
    norms.record()
    model[0].weight.grad = None
    norms.record()
    assert norms.values.tolist() == [[5, 2], [0, 2]]


@pytest.mark.parametrize("read_at", [(), (0, 1, 1023, 1024, 2047)])
def test_steps_stay_in_order_over_blocks(read_at):
    layer = nn.Linear(2, 1, bias=False)
    norms = GradientNorms(layer)
    for step in range(2100):
        layer.weight.grad = torch.tensor([[3.0 * step, 4.0 * step]])
        norms.record()
        if step in read_at:
            assert norms.values[-1].tolist() == [5 * step]
    assert norms.steps == 2100
    assert norms.values.tolist() == [[5 * step] for step in range(2100)]
    with pytest.raises(ValueError, match="read-only"):
        norms.values[0] = 1


def test_half_precision_is_summed_in_float32():
    norms = GradientNorms(
        with_gradients(
            torch.full((100,), 60_000.0, dtype=torch.float16),
            torch.ones(2**16, dtype=torch.bfloat16),
            torch.full((4,), 1e30, dtype=torch.float64),
            torch.full((4,), 3 + 4j, dtype=torch.complex64),
            torch.full((4,), 0.5),
        )
    )
    norms.record()
    np.testing.assert_allclose(norms.values, [[600_000, 256, 2e30, 10, 1]], rtol=1e-6)


def test_large_gradients():
    layer = nn.Linear(2, 1)
    norms = GradientNorms(layer)
    for weight in (0.9e19, 2e19):
        layer.weight.grad, layer.bias.grad = torch.full((1, 2), weight), torch.full((1,), 1.8e19)
        norms.record()
    # Sums over parameters are float64's; a parameter's squares are of its gradient's dtype.
    np.testing.assert_allclose(norms.values[:, 0], [math.sqrt(4.86) * 1e19, math.inf], rtol=1e-6)


def test_sparse_gradients():
    weight = torch.randn(9, 4)
    sparse, dense = (nn.Embedding(9, 4, sparse=each, _weight=weight) for each in (True, False))
    model = nn.ModuleList([sparse, dense])
    norms = GradientNorms(model)
    for embedding in model:
        embedding(torch.tensor([1, 1, 5])).square().sum().backward()
    norms.record()
    assert sparse.weight.grad.is_sparse
    np.testing.assert_allclose(*norms.values[0], rtol=1e-6)
    assert norms.values[0, 1] > 0


class Calls(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen[function._schema.name.removeprefix("aten::")] += 1
        return function(*args, **(kwargs or {}))


def test_record_reads_nothing():
    model = Tangled()
    norms = GradientNorms(model)
    model(torch.randn(8, 1, 4, 4)).sum().backward()
    with Calls() as calls:
        for _ in range(1023):
            norms.record()
    assert calls.seen.keys() == {"detach", "_foreach_norm", "stack"}
    assert calls.seen["_foreach_norm"] == calls.seen["stack"] == 1023
    with Calls() as calls:
        norms.record()
    assert calls.seen["cat"] == 1  # a block is full, and leaves the device
    with calls:
        assert norms.values.shape == (1024, 6)
    assert calls.seen["cat"] == 1
    assert "_local_scalar_dense" not in calls.seen


def test_record_works_where_nothing_can_be_read():
    model = nn.Sequential(nn.Linear(3, 4, device="meta"), nn.Linear(3, 4))
    norms = GradientNorms(model)
    for layer in model:
        layer(torch.ones(2, 3, device=layer.weight.device)).sum().backward()
    for _ in range(3):
        norms.record()
    assert norms.steps == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_record_waits_for_no_gpu_and_devices_may_differ():
    model = nn.Sequential(nn.Linear(3, 4, device="cuda"), nn.Linear(3, 4))
    for layer in model:
        layer(torch.randn(2, 3, device=layer.weight.device)).square().sum().backward()
    norms = GradientNorms(model)
    torch.cuda.set_sync_debug_mode("error")
    try:
        norms.record()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_allclose(norms.values[0], [norm(each.parameters()) for each in model], 1e-6)


def test_gradients_that_have_a_graph():
    layer = nn.Linear(3, 1)
    norms = GradientNorms(layer)
    layer(torch.ones(1, 3)).square().sum().backward(create_graph=True)
    before = layer.weight.grad.clone()
    norms.record()
    assert layer.weight.grad.requires_grad
    assert torch.equal(layer.weight.grad, before)
    with torch.no_grad():
        assert norms.values[0, 0] == pytest.approx(norm(layer.parameters()), rel=1e-6)


def record_sharded(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    sharded = fully_shard(copy.deepcopy(whole), mesh=init_device_mesh("cpu", (2,)))
    norms, x = GradientNorms(sharded), torch.randn(4, 3)
    for _ in range(2):
        whole(x).square().mean().backward()
        sharded(x[2 * rank :][:2]).square().mean().backward()
        norms.record()
        expected = [norm(layer.parameters()) for layer in whole]
        np.testing.assert_allclose(norms.values[-1], expected, rtol=1e-5)
    dist.destroy_process_group()
    # Gloo's threads may still hold tensors, and abort a Python that ends:
    # https://github.com/pytorch/pytorch/issues/56297.
    os._exit(0)


def test_sharded_gradients_have_the_norms_of_whole_ones(tmp_path):
    torch.multiprocessing.spawn(record_sharded, (tmp_path,), nprocs=2)


def test_paths_are_those_of_the_model_that_was_compiled():
    assert GradientNorms(torch.compile(nn.Sequential(nn.Linear(2, 2)))).layers == ("0",)


def test_errors():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got list"):
        GradientNorms([])
    with pytest.raises(ValueError, match=r"must have a parameter that requires .* got a ReLU"):
        GradientNorms(nn.ReLU())
    norms = GradientNorms(nn.Linear(1, 1))
    with pytest.raises(RuntimeError, match=r"after backward\(\) and before zero_grad\(\), got no"):
        norms.record()
    assert norms.steps == 0
    assert norms.values.shape == (0, 1)
