"""The Switches object: conversions, validation, moving and keeping it."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch.utils import _pytree as pytree

from relustat import Switches
from relustat.functional import max_pool1d, max_pool2d, max_unpool2d


@pytest.fixture
def switches(device):
    return max_pool2d(torch.randn(2, 3, 9, 10, device=device), 3, 2, 1)[1]


def test_what_it_holds(device):
    x = torch.randn(2, 3, 9, 10, device=device)
    y, switches = max_pool2d(x, (3, 2), (2, 1), (1, 0), (1, 2), True)
    assert switches.offsets.dtype == torch.uint8
    assert switches.offsets.shape == y.shape
    assert switches.input_size == (9, 10)
    assert switches.kernel_size == (3, 2)
    assert switches.stride == (2, 1)
    assert switches.padding == (1, 0)
    assert switches.dilation == (1, 2)
    assert switches.ceil_mode is True
    assert repr(switches) == (
        f"Switches(uint8 {list(y.shape)} into [9, 10]: kernel_size=(3, 2), stride=(2, 1), "
        "padding=(1, 0), dilation=(1, 2), ceil_mode=True)"
    )


def test_an_eighth_of_the_indices(device):
    x = torch.randn(2, 3, 8, 8, device=device)
    _, switches = max_pool2d(x, 2)
    assert 8 * switches.offsets.nbytes == switches.indices().nbytes


def test_equality(device, switches):
    same = Switches(switches.offsets.clone(), switches.pooling, switches.input_size)
    assert same == switches
    other = switches.offsets.clone()
    other[1, 2, 3, 4] ^= 1
    assert Switches(other, switches.pooling, switches.input_size) != switches
    assert Switches(switches.offsets, switches.pooling, (9, 11)) != switches
    assert (
        max_pool2d(torch.randn(2, 3, 9, 10, device=device), 3, 2, 1, ceil_mode=True)[1] != switches
    )
    assert switches != switches.offsets.shape
    with pytest.raises(TypeError, match="unhashable"):
        hash(switches)


def test_copies_and_files(switches):
    file = io.BytesIO()
    torch.save(switches, file)
    file.seek(0)
    for kept in (
        copy.copy(switches),
        copy.deepcopy(switches),
        pickle.loads(pickle.dumps(switches)),
        torch.load(file),
    ):
        assert kept == switches
        assert type(kept) is Switches


def test_to_device(device, switches):
    assert switches.to("cpu").offsets.device.type == "cpu"
    assert switches.to("cpu").to(device) == switches
    assert switches.to("meta").offsets.is_meta


def test_other_device_than_y(device, switches):
    with pytest.raises(ValueError, match="switches must be on the input's device, got input=meta"):
        max_unpool2d(torch.empty(2, 3, 5, 5, device="meta"), switches)


def test_pytree(switches):
    leaves, spec = pytree.tree_flatten({"switches": switches})
    assert leaves[0] is switches.offsets
    assert leaves[1:] == [9, 10]
    assert pytree.tree_unflatten(leaves, spec)["switches"] == switches
    assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec


def test_indices_round_trip_of_every_geometry(device):
    x = torch.randn(2, 3, 9, 10, device=device)
    for geometry in [(2,), (3, 1), (3, 2, 1), (2, 2, 0, 3), (5, 3, 2, 1, True), ((2, 3), (1, 2))]:
        _, indices = F.max_pool2d(x, *geometry, return_indices=True)
        switches = Switches.from_indices(indices, (9, 10), *geometry)
        assert switches == max_pool2d(x, *geometry)[1]
        assert torch.equal(switches.indices(), indices)


def test_indices_serve_torchs_unpool(device):
    y, switches = max_pool2d(torch.randn(2, 3, 8, 8, device=device), 2)
    assert torch.equal(F.max_unpool2d(y, switches.indices(), 2), max_unpool2d(y, switches))


def test_bad_kinds(switches):
    for indices in (None, switches.indices().cpu().numpy()):
        with pytest.raises(TypeError, match=r"indices must be an int64 tensor, got (None|nda)"):
            Switches.from_indices(indices, (9, 10), 3, 2, 1)
    with pytest.raises(ValueError, match="input_size must be 1 to 3 sizes, got 9"):
        Switches.from_indices(switches.indices(), 9, 3, 2, 1)
    with pytest.raises((TypeError, RuntimeError)):
        switches.to(torch.float16)


def test_unbatched_indices(device):
    x = torch.randn(3, 9, device=device)
    _, indices = F.max_pool1d(x, 3, 2, return_indices=True)
    assert Switches.from_indices(indices, [9], 3, 2) == max_pool1d(x, 3, 2)[1]


@pytest.mark.parametrize("value", [-1, 0, 4, 90, 89, 2**40])
def test_an_index_outside_its_window(device, value):
    _, indices = F.max_pool2d(torch.randn(2, 3, 9, 10, device=device), 3, 2, return_indices=True)
    indices[1, 2, 1, 1] = value
    message = rf"an index must lie in its window, got {value} at \[1, 2, 1, 1\] with input_size="
    with pytest.raises(ValueError, match=message):
        Switches.from_indices(indices, (9, 10), 3, 2)


def test_an_index_between_the_taps(device):
    _, indices = F.max_pool1d(torch.randn(1, 9, device=device), 2, 1, 0, 3, return_indices=True)
    indices[0, 2] = 4
    with pytest.raises(ValueError, match=r"got 4 at \[0, 2\] with .* dilation=3"):
        Switches.from_indices(indices, (9,), 2, 1, 0, 3)


def test_an_index_wrapped_into_the_next_row(device):
    indices = torch.tensor([[[0, 4]]], device=device)
    # Windows over columns 0, 1 and 2, 3 of a 2 x 4 plane: 4 begins the second row.
    with pytest.raises(ValueError, match=r"got 4 at \[0, 0, 1\]"):
        Switches.from_indices(indices, (2, 4), (2, 2))


@pytest.mark.parametrize(
    ("shape", "dtype", "input_size", "error", "message"),
    [
        (
            (2, 3, 4, 4),
            torch.int32,
            (8, 8),
            TypeError,
            "indices must be an int64 tensor, got torch.int32",
        ),
        ((2, 3, 4, 4), torch.int64, (9, 12), ValueError, r"an output of \[4, 6\] in 3 or 4 dim"),
        ((4, 4), torch.int64, (8, 8), ValueError, r"got indices of \[4, 4\]"),
        ((2, 3, 4, 4), torch.int64, (2, 3, 8, 8), ValueError, "input_size must be 1 to 3 sizes"),
        ((2, 3, 4, 4), torch.int64, (1, 1), ValueError, "the output would be empty"),
    ],
)
def test_bad_indices(device, shape, dtype, input_size, error, message):
    with pytest.raises(error, match=f"Switches.from_indices: .*{message}"):
        Switches.from_indices(torch.zeros(shape, dtype=dtype, device=device), input_size, 2)


def test_switches_are_known_until_they_change(device):
    _, switches = max_pool2d(torch.randn(1, 2, 6, 6, device=device), 2)
    assert switches.are_known()
    assert not copy.deepcopy(switches).are_known()
    assert not pickle.loads(pickle.dumps(switches)).are_known()
    assert not Switches(switches.offsets, switches.pooling, switches.input_size).are_known()
    switches.offsets[0, 0, 0, 0] = 200
    assert not switches.are_known()
    with pytest.raises(ValueError, match="must stand for a cell of the input, got 200"):
        max_unpool2d(torch.ones(1, 2, 3, 3, device=device), switches)
    _, switches = max_pool2d(torch.randn(1, 2, 6, 6, device=device), 2)
    switches.offsets = switches.offsets.clone()
    assert not switches.are_known()


def test_switches_made_in_inference_mode_are_known(device):
    with torch.inference_mode():
        y, switches = max_pool2d(torch.randn(1, 2, 6, 6, device=device), 2)
    assert switches.are_known()
    assert max_unpool2d(y, switches).shape == (1, 2, 6, 6)


def test_switches_of_a_batch_are_indexed_and_joined():
    x = torch.randn(4, 3, 8, 8)
    y, switches = max_pool2d(x, 2)
    assert (len(switches), switches.shape) == (4, y.shape)
    for index in (1, slice(1, 3), [2, 0], torch.tensor([3, 3])):
        _, expected = max_pool2d(x[index], 2)
        assert switches[index] == expected
        assert switches[index].are_known()
    assert [each.shape for each in switches] == [(3, 4, 4)] * 4
    assert Switches.cat([switches[:1], switches[1:]]) == switches
    copied = Switches(switches.offsets, switches.pooling, switches.input_size)
    assert not Switches.cat([switches, copied]).are_known()


def test_what_cannot_be_indexed_or_joined():
    _, switches = max_pool2d(torch.randn(4, 3, 8, 8), 2)
    _, of_one = max_pool2d(torch.randn(3, 8, 8), 2)
    _, others = max_pool2d(torch.randn(4, 3, 8, 8), 2, 1)
    for index in ((0, 1), "a", None, True):
        with pytest.raises(IndexError, match="only samples can be indexed"):
            switches[index]
    assert of_one
    with pytest.raises(IndexError):
        switches[4]
    for call in (lambda: len(of_one), lambda: of_one[0], lambda: Switches.cat([of_one])):
        with pytest.raises(IndexError, match="switches must be of a batch"):
            call()
    with pytest.raises(ValueError, match="all parts must be of one pooling"):
        Switches.cat([switches, others])
    with pytest.raises(ValueError, match="parts must not be empty"):
        Switches.cat([])
    with pytest.raises(TypeError, match="parts must be Switches, got Tensor"):
        Switches.cat([switches, switches.offsets])
