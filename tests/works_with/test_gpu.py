"""What only a GPU can show: graphs, streams, devices, sizes. The other tests run there, too."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from devices import DEVICES
from oracle import BINS, DTYPES, assert_counts, same_bits
from torch import nn

import relustat
from relustat import CountingReLU, LinearBins, LogBins
from relustat.functional import max_pool2d, max_unpool2d, relu_stats
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS

pytestmark = pytest.mark.skipif("cuda" not in DEVICES, reason="needs a GPU and CUDA kernels")

SHAPES = [(64, 64, 56, 56), (256, 512, 7, 7), (8192, 1000), (64, 197, 768), (3, 1_000_003)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_the_cpu(dtype, shape):
    x = torch.randn(shape, device="cuda").mul(2).to(dtype)
    x[:, 0] = -1
    for bins, unit_dim in itertools.product(
        (LogBins(), BINS["linear"], BINS["edges"], None), (0, 1)
    ):
        y, stats = relu_stats(x, bins, unit_dim)
        cpu_y, cpu_stats = relu_stats(x.cpu(), bins, unit_dim)
        assert same_bits(y, F.relu(x))
        assert torch.equal(y.cpu(), cpu_y)
        assert stats == cpu_stats


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_negative_zero_is_as_torch_makes_it(dtype):
    x = torch.tensor([-0.0, 0.0, float("nan"), -1.0], device="cuda", dtype=dtype)
    assert same_bits(relu_stats(x)[0], F.relu(x))


def test_more_bins_than_shared_memory_holds():
    x = torch.randn(1 << 20, 4, device="cuda")
    for values in (x, torch.zeros_like(x)):
        for bins in (LinearBins(-4, 4, 65532), LinearBins(-4, 4, 30000)):
            _, stats = relu_stats(values, bins)
            assert_counts(stats, values, bins, unit_dim=1)


@pytest.mark.parametrize("shape", [(64, 32, 28, 28), (4096, 96), (16, 4096)], ids=str)
def test_histograms_per_unit(shape):
    x = torch.randn(shape, device="cuda")
    relu = CountingReLU(bins=LinearBins(-3, 3, 200), unit_histograms=True).cuda()
    on_cpu = CountingReLU(bins=LinearBins(-3, 3, 200), unit_histograms=True)
    relu(x)
    on_cpu(x.cpu())
    assert relu.stats == on_cpu.stats


@pytest.mark.parametrize("every", [1, 3])
def test_graph_replays_count(every):
    relu = CountingReLU(every=every).cuda()
    x = torch.randn(32, 16, 28, 28, device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        relu(x)
    torch.cuda.current_stream().wait_stream(stream)
    relu.reset()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = relu(relu(x) - 0.5)
    assert relu.stats.calls == 0
    expected = CountingReLU(every=every)
    for _ in range(4):
        x.copy_(torch.randn(x.shape))
        graph.replay()
        relu(x)  # beside the graph's own
        host = expected(expected(x.cpu()) - 0.5)
        expected(x.cpu())
        assert torch.equal(y.cpu(), host)
    assert relu.stats == expected.stats


def test_a_first_call_in_a_graph_is_refused():
    relu = CountingReLU().cuda()
    x = torch.randn(4, 4, device="cuda")
    graph = torch.cuda.CUDAGraph()
    refused = pytest.raises(RuntimeError, match="before a CUDA graph is captured")
    with refused, torch.cuda.graph(graph):
        relu(x)


def test_streams_that_share_counters():
    relu = CountingReLU().cuda()
    x = torch.randn(64, 64, 56, 56, device="cuda")
    relu(x)
    relu.reset()
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(4)]
    for _, stream in itertools.product(range(10), streams):
        with torch.cuda.stream(stream):
            relu(x)
    torch.cuda.synchronize()
    assert_counts(relu.stats, x, relu.counters.bins, unit_dim=1, calls=40)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_devices():
    for device in ("cuda:1", "cuda:0"):
        x = torch.randn(8, 5, 9, 9, device=device)
        y, stats = relu_stats(x)
        assert y.device == x.device
        assert_counts(stats, x, LogBins(), unit_dim=1)
        y, switches = max_pool2d(x, 2)
        assert torch.equal(y, F.max_pool2d(x, 2))
        assert max_unpool2d(y, switches).device == x.device


def test_counters_on_another_device():
    counters = relustat.Counters()
    words = counters.words_for(3, torch.device("cpu"))
    edges = counters.edges_on(torch.device("cpu"))
    with pytest.raises(ValueError, match="counters and edges must be on the input's device"):
        library.counting_relu(torch.randn(2, 3, device="cuda"), words, edges, 1, 3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pools_equal_the_cpu(dtype):
    torch.use_deterministic_algorithms(True)
    try:
        for (kernel, stride, padding), size, channels_last in itertools.product(
            [(2, 2, 0), (3, 2, 0), (3, 2, 1), (5, 3, 2)], [(56, 56), (55, 57)], [False, True]
        ):
            x = torch.randint(-9, 9, (4, 24, *size)).to(dtype)
            if channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            on_gpu = x.cuda().requires_grad_()
            x.requires_grad_()
            y, switches = max_pool2d(x, kernel, stride, padding)
            gpu_y, gpu_switches = max_pool2d(on_gpu, kernel, stride, padding)
            assert torch.equal(gpu_y.cpu(), y)
            assert gpu_switches.to("cpu") == switches
            gradient = torch.randn(y.shape).to(dtype)
            y.backward(gradient)
            for _ in range(2):
                on_gpu.grad = None
                gpu_y.backward(gradient.cuda(), retain_graph=True)
                assert same_bits(on_gpu.grad.cpu(), x.grad)
            for overlap in OVERLAPS:
                restored = max_unpool2d(gpu_y.detach(), gpu_switches, overlap=overlap)
                assert same_bits(
                    restored.cpu(), max_unpool2d(y.detach(), switches, overlap=overlap)
                )
    finally:
        torch.use_deterministic_algorithms(False)


def test_unpooling_known_switches_does_not_wait():
    y, switches = max_pool2d(torch.randn(2, 3, 32, 32, device="cuda"), 2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        max_unpool2d(y, switches)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_network_trains_alike():
    def trained(device, relu, pool):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3), relu(), pool(3, 2), nn.Flatten(), nn.Linear(8 * 36, 10)
        ).to(device)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3, 15, 15, device="cpu").to(device)).square().mean().backward()
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    torch.backends.cudnn.deterministic = True
    plain = trained("cuda", nn.ReLU, nn.MaxPool2d)
    ours = trained("cuda", CountingReLU, relustat.MaxPool2d)
    for a, b in zip(plain, ours, strict=True):
        torch.testing.assert_close(a, b)
