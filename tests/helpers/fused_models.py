"""What swap(fuse=True) did to a model, and whether anybody can tell."""

import copy

import torch

from relustat import Report, swap, swapped


def fused(model):
    """The pairs that run in one pass."""
    return {each.path: each.one_pass_with for each in swapped(model) if each.one_pass_with}


def why_two_passes(model):
    return {each.path: each.why_two_passes for each in swapped(model) if each.why_two_passes}


def in_one_pass(y):
    """How many nodes of an autograd graph are the one pass."""
    seen, left = set(), [y.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [parent for parent, _ in node.next_functions]
    return sum("ReluMaxPool" in node.name() for node in seen)


def tensors(result):
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(plain, model, x, run=lambda model, x: model(x)):
    """Outputs, gradients and counts are those of the plain model and of one that is not fused."""
    counted = swap(copy.deepcopy(plain))
    results = []
    for each in (plain, counted, model):
        each.zero_grad()
        given = x.clone().requires_grad_()
        outputs = tensors(run(each, given))
        sum(output.square().sum() for output in outputs).backward()
        results.append([*outputs, given.grad, *(p.grad for p in each.parameters())])
    for other in results[1:]:
        assert len(other) == len(results[0])
        assert all(map(torch.equal, results[0], other))
    assert Report.of(model).to_dict() == Report.of(counted).to_dict()
