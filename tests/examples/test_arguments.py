"""Examples refuse what cannot work before they compute."""

import importlib
import re
import runpy

import pytest
from repository import EXAMPLES

NAMES = ["activation_rates", "deconvnet", "deconvnet_switches", "feature_maps"]
NAMES += ["gradient_norms", "hypercolumns", "receptive_fields", "reviving", "pruning", "hot_units"]


@pytest.fixture
def refusal(monkeypatch, capsys):
    """What an example says to wrong arguments."""
    monkeypatch.syspath_prepend(EXAMPLES)
    networks = importlib.import_module("networks")
    untrained = networks.Network(networks.VGG16(False).eval(), networks.CAFFE, False, "untrained")

    def refusal(name, *arguments):
        main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
        if "vgg16" in main.__globals__:
            monkeypatch.setitem(main.__globals__, "vgg16", lambda *_: untrained)
        with pytest.raises(SystemExit):
            main(arguments)
        told = capsys.readouterr()
        assert told.out == ""
        return told.err.splitlines()[-1].partition("error: ")[2]

    return refusal


@pytest.mark.parametrize("name", NAMES)
def test_pictures_need_a_folder(name, refusal, tmp_path):
    path = tmp_path / "none" / "picture.png"
    rule = r".* must be in (a folder that exists|folders that exist), got "
    assert re.fullmatch(rule + re.escape(str(path)), refusal(name, f"--out={path}"))


@pytest.mark.parametrize("name", ["deconvnet", "feature_maps", "hypercolumns"])
def test_images_need_a_folder(name, refusal, tmp_path):
    path = tmp_path / "none"
    assert refusal(name, f"--images={path}") == f"--images must be a folder, got {path}"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("activation_rates", "samples"),
        ("activation_rates", "epochs"),
        ("hypercolumns", "clusters"),
        ("hypercolumns", "limit"),
        ("reviving", "seeds"),
        ("pruning", "epochs"),
        ("pruning", "seeds"),
        ("hot_units", "epochs"),
        ("hot_units", "seeds"),
    ],
)
def test_numbers_are_positive(name, option, refusal):
    assert refusal(name, f"--{option}=0") == f"--{option} must be at least 1, got 0"


@pytest.mark.parametrize("layer", ["conv1_1", "conv3_3"])
def test_units_are_those_of_the_layer(layer, refusal):
    width = {"conv1_1": 64, "conv3_3": 256}[layer]
    told = refusal("deconvnet", f"--layer={layer}", "--units", "0", str(width))
    assert told == f"--units must be within 0 and {width - 1}, got [0, {width}]"
