"""A model in parts that activation checkpointing computes again."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from relustat import CountingReLU, MaxPool2d, MaxUnpool2d


class Model(nn.Module):
    """Every module of ours, and ReLUs that only ``watch`` sees."""

    def __init__(self, relu=CountingReLU):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = relu()
        self.pool = MaxPool2d(3, 2, 1, return_switches=True)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.relu_in_place = relu(inplace=True)
        self.unpool = MaxUnpool2d(overlap="sum")

    def encode(self, x):
        return self.pool(F.relu(self.relu(self.conv(x)) - 0.1))

    def decode(self, y, switches):
        y = self.relu_in_place(self.conv2(y))
        return self.unpool(F.relu(y - 0.1, inplace=True), switches).clamp(min=0).sin()

    def forward(self, x):
        return self.decode(*self.encode(x))


def whole(model, x, **options):
    return checkpoint(model, x, **options)


def calls(watch):
    return {name: stats.calls for name, stats in watch.stats.items()}


def trained(model, x, run):
    """Output, gradients and counts of one step."""
    x = x.clone().requires_grad_()
    output = run(model, x)
    output.sum().backward()
    stats = [each.stats for each in model.modules() if isinstance(each, CountingReLU)]
    return [output.detach(), x.grad, *(weight.grad for weight in model.parameters())], stats


def assert_same(ours, expected):
    for tensor, other in zip(ours[0], expected[0], strict=True):
        assert torch.equal(tensor, other)
    assert ours[1] == expected[1]
    assert [stats.calls for stats in expected[1]] == [1] * len(expected[1])
