"""A copy of a network of which the gradient shows the whole receptive field."""

import copy

import torch
from torch import nn


def positive_copy(model):
    """In float64, with positive weights; ReLUs are gone, and average pools stand for max-pools.

    No gradient vanishes or cancels in it: an input whose gradient is not 0 is one that the output
    depends on. Weights are 1 / fan-in, so that values stay near 1 through any depth.
    """
    twin = copy.deepcopy(model).double()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.fill_(1 / max(parameter[0].numel(), 1) if parameter.ndim > 1 else 1.0)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                windows = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, nn.AvgPool2d(*windows))
    return twin.eval()


def field_of(model, x, units, position):
    """The box of the inputs whose gradient is not 0, for some units of the output at a position.

    Args:
        model: a positive copy.
        x: one input, [1, C, H, W].
        units: a slice of the output's channels.
        position: in the output's map.
    """
    x = x.double().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[(0, units, *position)].sum(), x)
    found = gradient.nonzero()
    if not len(found):
        return ((0, -1),) * x.ndim
    return tuple(zip(found.amin(0).tolist(), found.amax(0).tolist(), strict=True))
