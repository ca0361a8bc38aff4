"""What of a batch a model is called with."""

from collections import UserDict, namedtuple

import pytest
import torch
from torch import nn

from relustat.data_pass.model_call import Arguments, ModelCall, samples_in

A, B, C = torch.zeros(4, 2), torch.ones(4, 3), torch.ones(4)


class Model(nn.Module):
    """A model with any forward."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward


ONE = Model(lambda x, mask=None: (x, mask))
TWO = Model(lambda x, y, *, scale=1: (x, y, scale))
NAMED = Model(lambda input_ids=None, attention_mask=None, **more: (input_ids, attention_mask, more))
ANY = Model(lambda *inputs, **more: (inputs, more))
LIST = Model(lambda images: images)


@pytest.mark.parametrize(
    ("model", "batch", "positional", "named"),
    [
        (ONE, A, (A,), {}),
        (ONE, (A, C), (A,), {}),
        (ONE, [A, C], (A,), {}),
        (ONE, [A], (A,), {}),
        (TWO, (A, B, C), (A, B), {}),
        (TWO, [A, B], (A, B), {}),
        (ANY, (A, C), (A,), {}),
        (ANY, A, (A,), {}),
        (ONE, {"x": A, "label": C}, (), {"x": A}),
        (ONE, {"x": A, "mask": B}, (), {"x": A, "mask": B}),
        (ONE, ({"x": A, "label": C}, C), (), {"x": A}),
        (TWO, {"x": A, "y": B, "scale": 2, "z": C}, (), {"x": A, "y": B, "scale": 2}),
        (NAMED, {"input_ids": A, "label": C}, (), {"input_ids": A}),
        (NAMED, UserDict(input_ids=A), (), {"input_ids": A}),
        (ANY, {"x": A}, (), {"x": A}),
        (LIST, ([A, B], C), ([A, B],), {}),
        (LIST, {"pixels": A}, ({"pixels": A},), {}),
        (ONE, "text", ("text",), {}),
    ],
)
def test_arguments(model, batch, positional, named):
    found = ModelCall(model).arguments(batch)
    assert list(found.named) == list(named)
    assert all(found.named[name] is each for name, each in named.items())
    assert len(found.positional) == len(positional)
    for mine, theirs in zip(found.positional, positional, strict=True):
        assert mine is theirs or mine == theirs


def test_wrappers_have_the_signature_of_what_they_wrap():
    for wrapped in (torch.compile(TWO), nn.DataParallel(TWO), nn.DataParallel(torch.compile(TWO))):
        assert ModelCall(wrapped).arguments((A, B, C)) == Arguments((A, B), {})


def test_torchscript():
    script = torch.jit.trace(nn.Linear(2, 3), A)
    assert ModelCall(script).arguments((A, C)).positional[0] is A


def test_a_dict_that_fits_nothing():
    with pytest.raises(ValueError, match="keys, got 'a', 'b'; forward takes x, y, scale"):
        ModelCall(TWO).arguments({"a": A, "b": B})


class Graphs:
    """As of PyTorch Geometric: moved by a method of its own."""

    def to(self, device):
        return f"graphs on {device}"


def test_all_tensors_are_moved():
    point = namedtuple("Point", "x y")
    moved = Arguments((A, [A, (B,)], point(A, 3), Graphs(), "text"), {"mask": {"inner": A}}).on(
        torch.device("meta")
    )
    first, (second, (third,)), fourth, graphs, text = moved.positional
    moved_to = [first, second, third, fourth.x, moved.named["mask"]["inner"]]
    assert all(each.device.type == "meta" for each in moved_to)
    assert type(fourth) is point
    assert (fourth.y, graphs, text) == (3, "graphs on meta", "text")


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (A, 4),
        ((A, torch.zeros(9)), 4),
        ([A], 4),
        ({"name": "x", "ids": A}, 4),
        (({"ids": A}, C), 4),
        (([A, B, A], C), 3),
        (torch.tensor(1.0), 1),
        (torch.zeros(0, 3), 0),
        (Graphs(), 1),
        ({}, 1),
        ([], 0),
    ],
)
def test_samples(batch, samples):
    assert samples_in(batch) == samples
