"""Fuzzers of ``watch`` and ``swap``: random models, against what PyTorch's dispatcher sees."""

import contextlib
import copy

import torch
from count_model import CountModel, unit_dims_of
from counting_calls import check_bits, threads_of
from hypothesis import note
from models import snapshot
from oracle import numpy_of
from programs import any_model_input, any_program
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from watched_programs import BINS, Truth, any_asked

import relustat

OPS = {
    *("relu", "clamp", "clamp_min", "threshold", "hardtanh", "leaky_relu"),
    *("gelu", "silu", "tanh", "sigmoid"),
}


class SeenActivations(TorchDispatchMode):
    """The inputs and outputs of all activations, in order."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name.removeprefix("aten::")
        is_seen = name.removesuffix("_") in OPS
        x = args[0].detach().clone() if is_seen else None
        y = function(*args, **(kwargs or {}))
        if is_seen:
            self.calls.append((x, y.detach().clone()))
        return y


class Run:
    """A run of a model: its output, gradients and error, if any."""

    def __init__(self, model, x, with_gradient, seen=None):
        self.error, self.y, self.gradients = None, None, []
        try:
            # These are too small to be shared by threads, but for waiting.
            with (
                threads_of(1),
                torch.set_grad_enabled(with_gradient),
                seen or contextlib.nullcontext(),
            ):
                self.y = model(x.clone())
                if with_gradient and self.y.requires_grad:
                    self.y.backward(torch.ones_like(self.y))
        except (RuntimeError, ValueError) as error:
            self.error = type(error)
        self.gradients = [each.grad for each in model.parameters()]

    def check(self, other):
        assert self.error == other.error
        if self.y is not None:
            assert self.y.stride() == other.y.stride()
            check_bits(self.y.detach(), other.y.detach())
        for mine, its in zip(self.gradients, other.gradients, strict=True):
            assert (mine is None) == (its is None)
            if mine is not None:
                check_bits(mine, its)


def tensors_of(model):
    return {name: each.clone() for name, each in model.state_dict().items()}


def plain_run(model, x, with_gradient):
    """A run of a copy, and the inputs and outputs of all its activations."""
    seen = SeenActivations()
    run = Run(copy.deepcopy(model), x, with_gradient, seen)
    return run, seen.calls


def fuzz_watch(choices):
    """Names, units and counts of activations; outputs and gradients; the model afterwards."""
    program = any_program(choices)
    is_training, with_gradient = choices.below(2) == 1, choices.below(2) == 1
    dtype = choices.of((torch.float32, torch.float32, torch.float64, torch.bfloat16))
    x = any_model_input(choices, program, dtype)
    torch.manual_seed(choices.bits(1))
    model = program.make().to(dtype).train(is_training)
    asked = any_asked(choices, program, model)
    note(f"{program.source}\n{program.shape} {is_training=} {with_gradient=} {dtype=} {asked}")
    before, tensors = snapshot(model), tensors_of(model)
    truth = Truth(program, model, asked)
    with asked.watch(model, truth.mask) as watch:
        for _ in range(2):
            plain, calls = plain_run(model, x, with_gradient)
            model.zero_grad()
            copied = copy.deepcopy(model) if choices.one_in(4) else None
            Run(model, x, with_gradient).check(plain)
            truth.count(calls)
            if copied is not None:
                Run(copied, x, with_gradient).check(plain)
            if plain.error is None:
                truth.check(watch.stats)
            else:
                break
    assert snapshot(model) == before
    assert tensors.keys() == model.state_dict().keys()
    assert not any(module._forward_hooks for module in model.modules())
    if plain.error is None:
        again, _ = plain_run(model, x, with_gradient)
        model.zero_grad()
        Run(model, x, with_gradient).check(again)


def fuzz_swap(choices):
    """Outputs and gradients, the counts of modules, and the model afterwards."""
    program = any_program(choices)
    is_training, fuse = choices.below(2) == 1, choices.below(2) == 1
    x = any_model_input(choices, program)
    note(f"{program.source}\n{program.shape} {is_training=} {fuse=}")
    torch.manual_seed(choices.bits(1))
    model = program.make().train(is_training)
    before = snapshot(model)
    plain, _ = plain_run(model, x, True)
    truth = module_counts(model, x)
    if not any(type(each) in (nn.ReLU, nn.MaxPool2d) for each in model.modules()):
        return
    original, model = model, copy.deepcopy(model)
    relustat.swap(model, fuse=fuse, bins=BINS)
    Run(model, x, True).check(plain)
    if plain.error is None:
        for name, module in model.named_modules():
            if type(module) is nn.ReLU:
                truth.get(name, CountModel(BINS.edges)).check(module.counters.stats)
    relustat.unswap(model)
    assert [each[:3] for each in snapshot(model)] == [each[:3] for each in before]
    original.zero_grad()
    model.zero_grad()
    again, _ = plain_run(original, x, True)
    if not is_training:
        Run(model, x, True).check(again)


def module_counts(model, x):
    """By PyTorch's hooks: the counts of each ``nn.ReLU``."""
    model = copy.deepcopy(model)
    truth = {}

    def hook(name):
        def see(_, args):
            (x,) = args
            counts = truth.setdefault(name, CountModel(BINS.edges))
            counts.count(x.detach(), numpy_of(x) <= 0, None, unit_dims_of(x.shape, "auto"))

        return see

    for name, module in model.named_modules():
        if type(module) is nn.ReLU:
            module.register_forward_pre_hook(hook(name))
    Run(model, x, True)
    return truth
