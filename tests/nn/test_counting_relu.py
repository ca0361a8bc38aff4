"""CountingReLU in place of nn.ReLU: state, copies, moves, several places, several threads."""

import copy
import gc
import io
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import relustat
from relustat import CountingReLU, LinearBins, LogBins


def net(relu):
    return nn.Sequential(nn.Linear(4, 6), relu(), nn.BatchNorm1d(6), relu())


def test_is_a_relu():
    relu = CountingReLU(inplace=True)
    assert isinstance(relu, nn.ReLU)
    assert relu.inplace
    assert list(relu.parameters()) == list(relu.buffers()) == []
    assert "inplace=True" in repr(relu)
    assert "every=2" in repr(CountingReLU(every=2, unit_dim=1, unit_histograms=True))


def test_state_dict_loads_both_ways(device):
    ours, theirs = net(CountingReLU).to(device), net(nn.ReLU).to(device)
    ours(torch.randn(3, 4, device=device))
    assert CountingReLU().state_dict() == {}
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    assert ours[1].stats.calls == 1


def test_copies_keep_their_own_counts(device):
    relu = CountingReLU(bins=LinearBins(-1, 1, 3), unit_histograms=True, every=2).to(device)
    x = torch.randn(3, 4, device=device)
    relu(x)
    file = io.BytesIO()
    torch.save(relu, file)
    file.seek(0)
    copies = [
        copy.deepcopy(relu),
        copy.copy(relu),
        pickle.loads(pickle.dumps(relu)),
        torch.load(file, weights_only=False),
    ]
    for twin in (copies[0], *copies[2:]):
        assert twin.stats == relu.stats
        twin(x)
        twin(x)
        assert twin.stats.calls == 2
        assert relu.stats.calls == 1
    # copy.copy shares, as it does parameters.
    assert copies[1].counters is relu.counters


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.half(),
        lambda m: m.double(),
        lambda m: m.bfloat16(),
        lambda m: m.type(torch.float16),
        lambda m: m.to(torch.float64),
        lambda m: m.to("cpu", torch.float16),
        lambda m: m.share_memory(),
        lambda m: m.to_empty(device="cpu"),
        lambda m: m.to("meta"),
        lambda m: m.train(),
        lambda m: m.requires_grad_(),
    ],
)
def test_conversions_keep_exact_counts(change):
    relu = CountingReLU()
    x = torch.randn(3, 4)
    relu(x)
    before = relu.stats
    assert change(relu) is relu
    assert relu.stats == before
    relu(x)
    assert relu.stats == before + before


def test_moving_adds_to_counts_already_there():
    relu = CountingReLU()
    x = torch.randn(3, 4)
    relu(x)
    # As if there had been calls on another device, which has no kernel here.
    (words,) = relu.counters._words.values()
    relu.counters._words[4, torch.device("meta")] = words.clone()
    relu(x)
    before = relu.stats
    assert before.calls == 3
    relu.to("cpu")
    assert list(relu.counters._words) == [(4, torch.device("cpu"))]
    assert relu.stats == before
    relu(x)
    assert relu.stats.calls == 4


@pytest.mark.parametrize(
    "change", [lambda m: m.to_empty(device="cpu"), copy.deepcopy, lambda m: m.half()]
)
def test_what_inference_mode_copies_can_be_reset(change):
    relu = CountingReLU()
    relu(torch.randn(3, 4))
    with torch.inference_mode():
        copied = change(relu)
    assert copied.stats.calls == 1
    copied.reset()
    copied(torch.randn(3, 4))
    assert copied.stats.calls == 1


def test_map_location_moves_the_counts():
    relu = CountingReLU()
    relu(torch.randn(3, 4))
    relu.counters._words = {(4, torch.device("cuda", 0)): next(iter(relu.counters._words.values()))}
    loaded = pickle.loads(pickle.dumps(relu))
    assert list(loaded.counters._words) == [(4, torch.device("cpu"))]
    loaded(torch.randn(3, 4))
    assert loaded.stats.calls == 2


def test_loading_to_the_meta_device_leaves_a_usable_module():
    file = io.BytesIO()
    model = net(CountingReLU)
    model(torch.randn(3, 4))
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False, map_location="meta").to_empty(device="cpu")
    assert loaded[1].stats.calls == 0
    loaded[1](torch.randn(3, 4))
    assert loaded[1].stats.calls == 1


def test_default_devices_do_not_leak_in():
    relu = CountingReLU()
    x = torch.randn(3, 4)
    with torch.device("meta"):
        relu(x)
    assert relu.stats.calls == 1


def test_every_cannot_be_changed_unnoticed():
    with pytest.raises(AttributeError):
        CountingReLU().counters.every = 100
    assert CountingReLU(every=np.int64(3), unit_dim=np.int64(1)).counters.every == 3


def test_processes_that_share_memory_count_for_themselves():
    relu = CountingReLU().share_memory()
    relu(torch.randn(3, 4))
    relu.share_memory()
    process = torch.multiprocessing.get_context("spawn").Process(target=_call, args=(relu,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert relu.stats.calls == 1


def _call(relu):
    relu(torch.randn(3, 4))


def test_functional_call(device):
    model = net(CountingReLU).to(device)
    x = torch.randn(3, 4, device=device)
    weights = {name: torch.randn_like(weight) for name, weight in model.named_parameters()}
    out = torch.func.functional_call(model, weights, (x,))
    plain = net(nn.ReLU).to(device)
    assert torch.equal(out, torch.func.functional_call(plain, weights, (x,)))
    assert model[1].stats.calls == 1


class S3(nn.Module):
    """The write-up's MLP: one module for four layers of different widths."""

    WIDTHS = (750, 320, 50, 10)

    def __init__(self):
        super().__init__()
        self.relu_count = CountingReLU()
        sizes = (784, *self.WIDTHS)
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))

    def forward(self, x):
        outputs = []
        for layer in self.layers:
            x = self.relu_count(layer(x))
            outputs.append(x)
        return outputs


def test_one_module_at_several_places(device):
    model = S3().to(device)
    outputs = model(torch.randn(64, 784, device=device))
    stats = model.relu_count.stats
    assert stats.widths == S3.WIDTHS
    assert stats.calls == 4
    assert stats.elements == 64 * sum(S3.WIDTHS)
    assert stats.zeros == model.relu_count.zero_count == sum(int((y == 0).sum()) for y in outputs)
    for width, y in zip(S3.WIDTHS, outputs, strict=True):
        part = stats.of_width(width)
        assert part.unit_zeros.tolist() == (y == 0).sum(0).tolist()
        assert part.dead_units.tolist() == torch.nonzero((y == 0).all(0)).flatten().tolist()
    with pytest.raises(ValueError, match=r"widths 750, 320, 50, 10; ask of_width\(750\)"):
        _ = stats.unit_zeros
    with pytest.raises(KeyError, match="must be one of"):
        stats.of_width(3)
    rates = [(y == 0).all(0).double() for y in outputs]
    assert stats.death_rate == pytest.approx(torch.cat(rates).mean().item())


def test_reset_and_enabled(device):
    relu = CountingReLU()
    x = torch.randn(3, 4, device=device)
    relu.enabled = False
    assert torch.equal(relu(x), F.relu(x))
    assert relu.stats.calls == 0
    assert not relu.enabled
    relu.enabled = True
    relu(x)
    words = next(iter(relu.counters._words.values()))
    relu.enabled = False
    relu(x)
    relu.enabled = True
    assert relu.stats.calls == 1
    relu.reset()
    assert relu.stats.calls == relu.stats.elements == relu.zero_count == 0
    assert relu.stats.widths == ()
    relu(x)
    assert relu.stats.calls == 1
    assert next(iter(relu.counters._words.values())) is words


def test_counters_made_in_inference_mode_can_be_reset(device):
    relu = CountingReLU()
    with torch.inference_mode():
        relu(torch.randn(3, 4, device=device))
    relu.reset()
    x = torch.randn(3, 4, device=device, requires_grad=True)
    relu(x).sum().backward()
    assert relu.stats.calls == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32], ids=str)
def test_two_threads_through_one_module(dtype):
    relu = CountingReLU(bins=LinearBins(-3, 3, 50), unit_histograms=True)
    inputs = [torch.randn(50, 20).to(dtype) for _ in range(200)]

    def work():
        for x in inputs:
            relu(x)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = relu.stats
    assert stats.calls == 400
    assert stats.elements == 400 * 1000
    expected, _ = np.histogram(torch.cat(inputs).numpy(), bins=stats.histogram.edges)
    assert stats.histogram.counts().tolist() == (2 * expected).tolist()


def test_the_gil_is_released():
    relu = CountingReLU(bins=LogBins())
    x = torch.randn(400, 100_000)
    ticks = 0
    done = threading.Event()

    def work():
        relu(x)
        done.set()

    torch.set_num_threads(1)
    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.001):
        ticks += 1
    thread.join()
    # The call takes tens of milliseconds; held back, this thread would have had one turn.
    assert ticks >= 3


BAD = [
    ({"bins": 200}, "Counters: bins must be LogBins, LinearBins, EdgeBins or None, got 200"),
    ({"bins": None, "unit_histograms": True}, "unit_histograms needs bins"),
    ({"unit_dim": "last"}, 'unit_dim must be an integer, a tuple of integers or "auto"'),
    ({"unit_dim": 1.0}, "unit_dim must be an integer"),
    ({"every": 0}, "every must be an integer of at least 1, got 0"),
    ({"every": 1.5}, "every must be an integer"),
    ({"zero_blocks": 0}, "zero_blocks must be an integer of at least 1, got 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        CountingReLU(**options)
    with pytest.raises((TypeError, ValueError), match=message):
        relustat.watch(nn.ReLU(), **options)


def test_counters_are_not_made_while_a_graph_is_captured(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    counters = relustat.Counters()
    for make in (lambda device: counters.words_for(3, device), counters.edges_on):
        with pytest.raises(RuntimeError, match="must be allocated before a CUDA graph is captured"):
            make(torch.device("cuda", 0))
    counters.words_for(3, torch.device("cpu"))


def test_snapshots_and_resets_while_another_thread_counts():
    # So many counts that they are made in place, by one long call.
    x = torch.randn(100, 4096)
    relu = CountingReLU(unit_histograms=True)
    relu(x)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            relu(x)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(30):
            stats = relu.stats
            assert stats.elements == stats.calls * x.numel()
            if stats.calls:
                assert stats.unit_histograms.sum() == stats.elements
            relu.reset()
    finally:
        stop.set()
        thread.join()
    assert relu.stats.elements == relu.stats.calls * x.numel()


def test_counters_go_with_the_last_who_holds_them():
    gc.disable()
    try:
        relu = CountingReLU()
        relu(torch.randn(2, 3))
        torch.compile(relu, backend="aot_eager")(torch.randn(2, 3))
        words = weakref.ref(relu.counters.words_for(3, torch.device("cpu")))
        del relu
        torch._dynamo.reset()
        assert words() is None
    finally:
        gc.enable()
