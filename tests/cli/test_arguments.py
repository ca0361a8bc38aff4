"""Texts of the command line as values."""

import argparse

import pytest
import torch

from relustat import EdgeBins, LinearBins, LogBins
from relustat.cli import arguments
from relustat.cli.data.share import Share


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bins", "log", LogBins()),
        ("bins", "log:16", LogBins(16)),
        ("bins", "linear:-4:4:200", LinearBins(-4, 4, 200)),
        ("bins", "edges:-1:0:2.5", EdgeBins([-1, 0, 2.5])),
        ("bins", "none", None),
        ("setting", "width=3", ("width", 3)),
        ("setting", "sizes=[1, 2]", ("sizes", [1, 2])),
        ("setting", "name=vgg=16", ("name", "vgg=16")),
        ("setting", "name='3'", ("name", "3")),
        ("setting", "pretrained=false", ("pretrained", False)),
        ("setting", "act=None", ("act", None)),
        ("setting", "path=", ("path", "")),
        ("share", "1/4", Share(0, 4)),
        ("share", "4/4", Share(3, 4)),
        ("seconds", "90", 90.0),
        ("seconds", "60s", 60.0),
        ("seconds", "1.5m", 90.0),
        ("seconds", "2h", 7200.0),
        ("shape", "3x224x224", (3, 224, 224)),
        ("shape", "512", (512,)),
        ("dtype", "bfloat16", torch.bfloat16),
        ("device", "cuda:1", torch.device("cuda", 1)),
        ("not_negative", "0", 0),
    ],
)
def test_values(kind, text, value):
    found = getattr(arguments, kind)(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        ("bins", "linear:4:-4:10", "from linear:4:-4:10"),
        ("bins", "linear:1:2", "must be log, log:PER_OCTAVE, linear:LOW:HIGH:NUMBER"),
        ("bins", "linear:a:b:c", "must be log, log:PER_OCTAVE, linear:LOW:HIGH:NUMBER"),
        ("bins", "linear:0:1:2.5", "from linear:0:1:2.5"),
        ("bins", "edges:1", "from edges:1"),
        ("bins", "log:x", "must be log, log:PER_OCTAVE"),
        ("bins", "square", "must be log, log:PER_OCTAVE"),
        ("setting", "width", "must be name=value, got width"),
        ("setting", "=3", "must be name=value, got =3"),
        ("setting", "a-b=3", "must be name=value, got a-b=3"),
        ("share", "0/4", "must be I/N with I from 1 to N, got 0/4"),
        ("share", "5/4", "must be I/N with I from 1 to N, got 5/4"),
        ("share", "2", "must be I/N with I from 1 to N, got 2"),
        ("seconds", "0s", "must be a time such as 60s, 5m or 1h, got 0s"),
        ("seconds", "soon", "must be a time such as 60s, 5m or 1h, got soon"),
        ("shape", "3x0", "must be sizes such as 3x224x224 or 512, got 3x0"),
        ("shape", "3,4", "must be sizes such as 3x224x224 or 512, got 3,4"),
        ("dtype", "int8", "must be bfloat16 or float16, got int8"),
        ("device", "toaster", "must be a device such as cpu or cuda:0, got toaster"),
        ("not_negative", "-1", "must be an integer of at least 0, got -1"),
        ("positive", "0", "must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_texts(kind, text, rule):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        getattr(arguments, kind)(text)
    assert rule in str(raised.value)
