"""The examples' VGG-16 and ResNet-18 take the known files of weights, and no others."""

import importlib
import re

import pytest
import torch
from repository import EXAMPLES

VGG16_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG16_LINEAR = (0, 3, 6)


@pytest.fixture
def networks(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("networks")


def constants(shapes):
    """A state dict of tensors of one value each, which take no room in files either."""
    return {
        name: torch.tensor(float(value)).expand(shape)
        for value, (name, shape) in enumerate(shapes.items())
    }


def shapes_of(make):
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in make().state_dict().items()}


def test_names_and_shapes_are_those_of_torchvision(networks):
    vgg = shapes_of(networks.VGG16)
    assert list(vgg) == [
        f"{part}.{index}.{kind}"
        for part, indices in (("features", VGG16_CONVOLUTIONS), ("classifier", VGG16_LINEAR))
        for index in indices
        for kind in ("weight", "bias")
    ]
    assert len(vgg) == 32
    assert sum(shape.numel() for shape in vgg.values()) == 138_357_544
    assert vgg["features.28.weight"] == (512, 512, 3, 3)
    assert vgg["classifier.0.weight"] == (4096, 25088)

    resnet = shapes_of(networks.ResNet18)
    assert len(resnet) == 122
    learned = re.compile(r"weight$|bias$")
    assert sum(s.numel() for name, s in resnet.items() if learned.search(name)) == 11_689_512
    assert resnet["conv1.weight"] == (64, 3, 7, 7)
    assert resnet["bn1.running_mean"] == (64,)
    assert resnet["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert resnet["layer2.0.downsample.1.num_batches_tracked"] == ()
    assert resnet["layer4.1.conv2.weight"] == (512, 512, 3, 3)
    assert resnet["fc.weight"] == (1000, 512)
    for without in ("layer1.0", "layer2.1"):
        assert f"{without}.downsample.0.weight" not in resnet


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_of_resnet18_load(networks, tmp_path, zipped):
    """Also without the counts of batches, which older files lack, in the older format."""
    path = tmp_path / "resnet18.pth"
    state = constants(shapes_of(networks.ResNet18))
    if not zipped:
        state = {name: x for name, x in state.items() if "num_batches" not in name}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    network = networks.resnet18(path)
    loaded = network.model.state_dict()
    assert all(bool((loaded[name] == x).all()) for name, x in state.items())
    assert (network.classifies, network.origin) == (True, "resnet18.pth")
    assert network.prepare is networks.TORCHVISION
    assert not network.model.training


@pytest.mark.parametrize("trunk", [True, False])
def test_weights_of_vgg16_load(networks, tmp_path, trunk):
    path = tmp_path / "vgg16.pth"
    state = constants(shapes_of(networks.VGG16))
    prefix = "features." if trunk else ""
    state = {name: x for name, x in state.items() if name.startswith(prefix)}
    torch.save({name.removeprefix(prefix): x for name, x in state.items()}, path)
    network = networks.vgg16(path)
    loaded = network.model.state_dict()
    assert list(loaded) == list(state)
    assert all(bool((loaded[name] == x).all()) for name, x in state.items())
    assert (network.classifies, network.origin) == (not trunk, "vgg16.pth")
    assert network.prepare is (networks.CAFFE if trunk else networks.TORCHVISION)
    assert not network.model.training


def test_limits_of_pixels(networks):
    assert networks.CAFFE.limits == pytest.approx((-123.68, 255 - 103.939))
    assert networks.TORCHVISION.limits == pytest.approx((-0.485 / 0.229, 0.594 / 0.225))


def test_other_files_are_refused(networks, tmp_path):
    files = {name: tmp_path / name for name in ("text", "empty", "list", "other", "shape", "trunk")}
    files["text"].write_text("no weights")
    files["empty"].touch()
    torch.save([torch.zeros(1)], files["list"])
    torch.save({"weight": torch.zeros(1)}, files["other"])
    torch.save(
        {**constants(shapes_of(networks.ResNet18)), "fc.bias": torch.ones(9)}, files["shape"]
    )
    for name, found in [
        ("text", "no file of tensors alone"),
        ("empty", "no file of tensors alone"),
        ("list", "a list"),
        ("other", 'Missing key(s) in state_dict: "conv1.weight"'),
        ("shape", "size mismatch for fc.bias"),
    ]:
        expected = re.escape(f"weights must be a state dict of ResNet-18, got {files[name]}: ")
        with pytest.raises(ValueError, match=f"^{expected}.*{re.escape(found)}"):
            networks.resnet18(files[name])
    torch.save({"0.weight": torch.zeros(64, 3, 3, 3)}, files["trunk"])
    with pytest.raises(ValueError, match="must be a state dict of VGG-16 or of its features, got"):
        networks.vgg16(files["trunk"])
    with pytest.raises(FileNotFoundError):
        networks.vgg16(tmp_path / "none")


def test_preparation(networks):
    rgb = torch.rand(2, 3, 4, 5)
    red, green, blue = (255 * rgb).double().unbind(1)
    caffe = torch.stack([blue - 103.939, green - 116.779, red - 123.68], 1)
    torch.testing.assert_close(networks.CAFFE(rgb).double(), caffe, atol=1e-4, rtol=0)
    torchvision = torch.stack(
        [
            (red / 255 - 0.485) / 0.229,
            (green / 255 - 0.456) / 0.224,
            (blue / 255 - 0.406) / 0.225,
        ],
        1,
    )
    torch.testing.assert_close(networks.TORCHVISION(rgb).double(), torchvision, atol=1e-5, rtol=0)
    for prepare in (networks.CAFFE, networks.TORCHVISION):
        torch.testing.assert_close(prepare.undo(prepare(rgb[0])), rgb[0], atol=1e-6, rtol=0)
