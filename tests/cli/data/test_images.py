"""Images, arrays and random inputs as data sets."""

import pickle

import numpy as np
import pytest
import torch
from analyzed_models import make_images
from optional import needs
from torch import nn

from relustat.cli.data.arrays import ArrayRows
from relustat.cli.data.batches import Unreadable
from relustat.cli.data.images import ImageFolder, Normalisation
from relustat.cli.data.random_inputs import Kind, RandomInputs, taken_by

needs("PIL", whole_file=True)
from PIL import Image

PLAIN = Normalisation((0.0,), (1.0,), 3)


def folder_of(path, resize=16, crop=12, channels=3, normalise=PLAIN):
    return ImageFolder(path, resize=resize, crop=crop, channels=channels, normalise=normalise)


def test_all_images_below_a_folder(tmp_path):
    make_images(tmp_path, ["b/2.png", "a.jpg", "b/1.png", "c/d/e.webp", "f.BMP"])
    (tmp_path / "b" / "notes.txt").write_text("no image")
    (tmp_path / "b" / "._1.png").write_bytes(b"what macOS leaves behind")
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    found = folder_of(tmp_path)
    assert len(found) == 5
    # Colours of the images in the order of their names: f.BMP lies beside a.jpg.
    reds = [round(float(found[index][0].mean()) * 255 / 9) for index in range(5)]
    assert reds == [1, 4, 2, 0, 3]


def test_labelled_folders_may_be_links(tmp_path):
    make_images(tmp_path / "elsewhere", ["1.png", "2.png"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cats").symlink_to(tmp_path / "elsewhere")
    assert len(folder_of(tmp_path / "set")) == 2


def test_pixels_are_scaled_cropped_and_normalised(tmp_path):
    """Bilinear with antialiasing; the middle of 21x16 is from column round(4.5) = 4, row 2."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    normalise = Normalisation((0.5, 0.25, 0.0), (0.5,), 3)
    # As a worker gets it.
    found = pickle.loads(pickle.dumps(folder_of(tmp_path, normalise=normalise)))[0]
    scaled = Image.fromarray(noise).resize((21, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled)[2:14, 4:16].transpose(2, 0, 1) / 255
    expected = (expected - np.array([0.5, 0.25, 0.0])[:, None, None]) / 0.5
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_any_mode(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    image = Image.new("L", (20, 20), 255)
    (Image.new(mode, (20, 20)) if mode == "I;16" else image.convert(mode)).save(
        tmp_path / f"image.{suffix}"
    )
    assert folder_of(tmp_path)[0].shape == (3, 12, 12)
    grey = folder_of(tmp_path, channels=1, normalise=Normalisation((0.5,), (2.0,), 1))[0]
    assert grey.shape == (1, 12, 12)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    values = np.full((20, 20), 30069, np.uint16)  # 117 * 257
    Image.fromarray(values).save(tmp_path / "16.png")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "32.tif")
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.zeros((1, 5000), np.uint8)).save(tmp_path / "long.png")
    png, tif, floats, long = folder_of(tmp_path)
    assert png.unique().tolist() == tif.unique().tolist() == [torch.tensor(117 / 255).item()]
    assert floats.name == "float.tif (ValueError: its pixels are floats of no known range)"
    assert long.name == "long.png (ValueError: 5000x1 pixels are too long)"


def test_an_unreadable_image_is_named(tmp_path):
    make_images(tmp_path, ["a/1.png"])
    (tmp_path / "a" / "2.png").write_bytes((tmp_path / "a" / "1.png").read_bytes()[:60])
    (tmp_path / "a" / "3.png").write_bytes(b"hello")
    found = folder_of(tmp_path)
    assert found[0].shape == (3, 12, 12)
    for index in (1, 2):
        assert isinstance(found[index], Unreadable)
        assert found[index].name.startswith(f"a/{index + 1}.png (")


def test_folders_without_images(tmp_path):
    with pytest.raises(ValueError, match=r"--images must be a folder of images, got .*none$"):
        folder_of(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="with 1 file and no image"):
        folder_of(tmp_path)


def test_sizes_that_do_not_fit(tmp_path):
    make_images(tmp_path, ["1.png"])
    with pytest.raises(ValueError, match="--resize must be at least --crop, got 8 and 12"):
        folder_of(tmp_path, resize=8)
    with pytest.raises(ValueError, match="must take 1 or 3 channels, got 4"):
        folder_of(tmp_path, channels=4)
    with pytest.raises(ValueError, match=r"--std must be above 0, got 0\.0"):
        Normalisation((0.0,), (0.0,), 3)
    with pytest.raises(ValueError, match="--std must be 1 number or one for each of 3 channels, g"):
        Normalisation((0.0,), (1.0, 2.0), 3)


@pytest.mark.parametrize(
    ("array", "row", "dtype"),
    [
        (np.arange(6.0).reshape(3, 2), [2.0, 3.0], torch.float32),
        (np.arange(6, dtype=np.float16).reshape(3, 2), [2.0, 3.0], torch.float32),
        (np.array([[0, 0], [51, 255], [0, 0]], np.uint8), [51 / 255, 1.0], torch.float32),
        (np.arange(6).reshape(3, 2), [2, 3], torch.int64),
        (np.arange(6, dtype=np.uint16).reshape(3, 2), [2, 3], torch.int64),
    ],
)
def test_rows(tmp_path, array, row, dtype):
    np.save(tmp_path / "rows.npy", array)
    rows = pickle.loads(pickle.dumps(ArrayRows(tmp_path / "rows.npy", None)))
    assert len(rows) == 3
    assert rows[1].dtype == dtype
    assert rows[1].tolist() == torch.tensor(row, dtype=dtype).tolist()


def test_rows_are_normalised_by_channels(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((2, 3, 4)))
    by_channel = Normalisation((0.0, 1.0, 3.0), (2.0,), 3)
    row = ArrayRows(tmp_path / "rows.npy", by_channel)[1]
    assert row.tolist() == [[0.5] * 4, [0.0] * 4, [-1.0] * 4]
    np.save(tmp_path / "rows.npy", np.ones((2, 3)))
    assert ArrayRows(tmp_path / "rows.npy", by_channel)[1].tolist() == [0.5, 0.0, -1.0]
    one = Normalisation((2.0,), (1.0,), 3)
    assert ArrayRows(tmp_path / "rows.npy", one)[1].tolist() == [-1.0] * 3


def test_files_of_something_else(tmp_path):
    contents = {
        "text": b"hello",
        "empty": b"",
        "objects": np.array([{}, 3], dtype=object),
        "words": np.array(["a", "b"]),
        "number": np.array(3.0),
        "nothing": np.zeros((0, 3)),
        "complex": np.zeros(3, complex),
        "large": np.zeros(3, np.uint64),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.npy"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content)
    np.savez(tmp_path / "several.npy.npz", np.zeros(3))
    for path in (*tmp_path.iterdir(), tmp_path / "missing.npy", tmp_path):
        with pytest.raises(ValueError, match="--npy must be a file that numpy") as raised:
            ArrayRows(path, None)
        assert "pickle" not in str(raised.value)


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ([nn.Conv2d(1, 4, 3), nn.Linear(3, 2)], Kind((1, 224, 224), None, "0")),
        ([nn.Conv1d(2, 4, 3)], Kind((2, 1024), None, "0")),
        ([nn.Conv3d(3, 4, 3)], Kind((3, 16, 112, 112), None, "0")),
        ([nn.ReLU(), nn.Linear(7, 2)], Kind((7,), None, "1")),
        ([nn.Sequential(nn.Embedding(50, 6)), nn.Linear(6, 2)], Kind((128,), 50, "0.0")),
        ([nn.LazyLinear(3)], Kind((3, 224, 224), None, "")),
        ([nn.ReLU()], Kind((3, 224, 224), None, "")),
    ],
)
def test_what_the_first_layer_takes(layers, kind):
    assert taken_by(nn.Sequential(*layers)) == kind


def test_random_inputs_have_seeds_of_their_own():
    inputs = RandomInputs(3, Kind((2, 50), None, ""), 5)
    assert len(inputs) == 3
    assert torch.equal(inputs[1], inputs[1])
    assert not torch.equal(inputs[1], inputs[2])
    assert inputs[0].shape == (2, 50)
    others = RandomInputs(3, Kind((2, 50), None, ""), 6)
    pairs = ((inputs[mine], others[theirs]) for mine in range(3) for theirs in range(3))
    assert not any(torch.equal(*pair) for pair in pairs)
    tokens = RandomInputs(2, Kind((100,), 7, ""), 2**63 - 1)[1]
    assert tokens.dtype == torch.int64
    assert set(tokens.tolist()) == set(range(7))
