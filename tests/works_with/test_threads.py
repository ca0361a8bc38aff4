"""Threads through one model, one watch and one pool, and the replicas of DataParallel."""

import copy
import threading

import pytest
import torch
from shared_model import BINS, assert_counted, net
from torch import nn

import relustat
from relustat import MaxPool2d, MaxUnpool2d


def in_threads(work, arguments):
    """Runs ``work`` once for each argument, all at once; the results in their order."""
    results, errors = [None] * len(arguments), []
    start = threading.Barrier(len(arguments))

    def run(index, argument):
        start.wait()
        try:
            results[index] = work(argument)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(arguments)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return results


def gradients(model, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).square().sum(), [x, *model.parameters()])


@pytest.mark.parametrize("watched", [False, True])
def test_two_threads_train_one_model(device, watched):
    plain = net().to(device)
    model = copy.deepcopy(plain)
    inputs = [torch.randn(2, 3, 13, 13, device=device) for _ in range(2)]

    def work(x):
        return [gradients(model, x) for _ in range(10)]

    if watched:
        with relustat.watch(model, BINS) as watch:
            results = in_threads(work, inputs)
        stats = list(watch.stats.values())
    else:
        relustat.swap(model, bins=BINS)
        results = in_threads(work, inputs)
        stats = [model[1].counters.stats, model[4].counters.stats]
    for x, repeated in zip(inputs, results, strict=True):
        for each in repeated:
            assert all(map(torch.equal, each, gradients(plain, x)))
    assert_counted(stats[0], plain[0](torch.cat(inputs)), calls=20, times=10)
    assert stats[1].calls == 20


def test_threads_unpool_by_switches_of_their_own(device):
    pool, unpool = MaxPool2d(3, 2, return_switches=True), MaxUnpool2d("sum")
    inputs = [torch.randn(2, 3, 13, 13, device=device) for _ in range(4)]
    results = in_threads(lambda x: [unpool(*pool(x)) for _ in range(50)], inputs)
    for x, restored in zip(inputs, results, strict=True):
        expected = unpool(*pool(x))
        assert all(torch.equal(each, expected) for each in restored)


def test_a_watch_is_read_while_other_threads_count():
    model = net()
    x = torch.randn(2, 3, 13, 13)
    elements = 2 * 4 * 11 * 11
    stop = threading.Event()

    def work(counting):
        if counting:
            for _ in range(100):
                model(x)
            stop.set()
        while not stop.is_set():
            for stats in watch.stats.values():
                assert stats.elements % stats.calls == 0
            assert str(watch.report())

    with relustat.watch(model) as watch:
        in_threads(work, [True, False])
        assert (watch.stats["1"].calls, watch.stats["1"].elements) == (100, 100 * elements)


def replica_of(model):
    """As ``nn.DataParallel`` makes them, for each device one."""
    replicas = {module: module._replicate_for_data_parallel() for module in model.modules()}
    for module, replica in replicas.items():
        for name, child in module.named_children():
            replica._modules[name] = replicas[child]
        for name, parameter in module.named_parameters(recurse=False):
            setattr(replica, name, parameter.detach())
    return replicas[model]


@pytest.mark.parametrize("replicate", [replica_of, copy.copy])
def test_replicas_count_for_their_model(device, replicate):
    model = relustat.swap(net(), bins=BINS).to(device)
    x = torch.randn(4, 3, 13, 13, device=device)
    parts = [(replicate(model), part) for part in x.split(2)]
    results = in_threads(lambda part: part[0](part[1]), parts)
    assert torch.equal(torch.cat(results), relustat.unswap(copy.deepcopy(model))(x))
    assert_counted(model[1].counters.stats, model[0](x), calls=2)


def test_replicas_of_a_watched_model_are_watched(device):
    model = net().to(device)
    x = torch.randn(4, 3, 13, 13, device=device)
    with relustat.watch(model, BINS) as watch:
        parts = [(replica_of(model), part) for part in x.split(2)]
        results = in_threads(lambda part: part[0](part[1]), parts)
        stats = watch.stats
    assert torch.equal(torch.cat(results), model(x))
    assert list(stats) == ["1", "4"]
    assert_counted(stats["1"], model[0](x), calls=2)


def test_data_parallel(device):
    model = relustat.swap(net()).to(device)
    x = torch.randn(4, 3, 13, 13, device=device)
    parallel = nn.DataParallel(model, device_ids=None if device == "cpu" else [0])
    with relustat.watch(parallel) as watch:
        parallel(x)
    assert model[1].counters.stats.calls == 1
    assert watch.stats["module.1"] == model[1].counters.stats
