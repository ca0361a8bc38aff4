"""Photographs of a folder: what is read, what is skipped, and which labels they have."""

import importlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from optional import needs
from PIL import Image
from repository import EXAMPLES


@pytest.fixture
def photographs(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("photographs")


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def unchanged(rgb):
    return rgb


def test_the_middle_of_photographs(photographs, tmp_path):
    small, large = noise(256, 301), noise(640, 512)
    Image.fromarray(small).save(tmp_path / "a.png")
    Image.fromarray(large).save(tmp_path / "b.PNG")
    Image.fromarray(large).convert("L").save(tmp_path / "c.bmp")
    a, b, c = (x for x, _ in photographs.Photographs(tmp_path, unchanged))
    assert a.dtype == torch.float32
    expected = torch.from_numpy(small[16:240, 38:262]).permute(2, 0, 1) / 255
    assert torch.equal(a, expected)
    pixels = torch.from_numpy(large).permute(2, 0, 1)[None] / 255
    resized = F.interpolate(pixels, (320, 256), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(b, resized[:, 48:272, 16:240], atol=1.6 / 255, rtol=0)
    assert torch.equal(c[0], c[2])
    assert c.shape == (3, 224, 224)
    negative = photographs.Photographs(tmp_path, torch.neg)
    assert torch.equal(negative[0][0], -a)


def test_unreadable_images_are_named(photographs, tmp_path):
    (tmp_path / "below").mkdir()
    Image.fromarray(noise(30, 40)).save(tmp_path / "below" / "b.jpg")
    Image.fromarray(noise(300, 300)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "below" / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "notes.txt").write_text("not taken for one")
    data = photographs.Photographs(tmp_path, unchanged)
    assert data.names == ["below/b.jpg", "whole.png"]
    assert data.unreadable == ["below/half.png", "text.jpg"]
    assert data.summary() == "2 of 4 could not be read: below/half.png, text.jpg"
    assert [(x.shape, label) for x, label in data] == [((3, 224, 224), -1)] * 2
    (tmp_path / "text.jpg").unlink()
    (tmp_path / "below" / "half.png").unlink()
    assert photographs.Photographs(tmp_path, unchanged).summary() == "0 of 2 could not be read"


def test_labels_take_a_thousand_folders(photographs, tmp_path):
    for index in range(1000):
        (tmp_path / f"n{7 * index:08}").mkdir()
    for index in (999, 0, 41):
        Image.fromarray(noise(8, 8)).save(tmp_path / f"n{7 * index:08}" / "image.png")
    Image.fromarray(noise(8, 8)).save(tmp_path / "of no class.png")
    data = photographs.Photographs(tmp_path, unchanged)
    assert [label for _, label in data] == [0, 41, 999, -1]
    (tmp_path / "n").mkdir()
    assert {label for _, label in photographs.Photographs(tmp_path, unchanged)} == {-1}


def test_a_limit_spreads_evenly(photographs, tmp_path):
    for index in range(10):
        Image.fromarray(noise(8, 8)).save(tmp_path / f"{index}.png")
    for limit, names in [
        (1, "0"),
        (3, "036"),
        (5, "02468"),
        (20, "0123456789"),
        (None, "0123456789"),
    ]:
        data = photographs.Photographs(tmp_path, unchanged, limit)
        assert data.names == [f"{name}.png" for name in names]


def test_no_photograph_is_an_error(photographs, tmp_path):
    with pytest.raises(ValueError, match=r"must hold an image that can be read, .* 0 image files"):
        photographs.Photographs(tmp_path, unchanged)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"must hold an image that can be read, .* 1 image files"):
        photographs.Photographs(tmp_path, unchanged)
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        photographs.Photographs(None, unchanged, 0)


def test_shipped_photographs(photographs):
    needs("skimage")
    data = photographs.Photographs(None, unchanged)
    assert data.names == list(photographs.SHIPPED)
    assert all(x.shape == (3, 224, 224) and label == -1 for x, label in data)
    assert all(x.min() >= 0 and 0.5 < x.max() <= 1 for x, _ in data)
