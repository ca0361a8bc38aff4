"""Dead units that are planted, and those that a watch finds."""

import torch

import relustat


def plant(layer, unit):
    """Makes one unit of a layer dead, and all others alive."""
    with torch.no_grad():
        layer.weight[unit] = 0
        layer.bias.fill_(50.0)
        layer.bias[unit] = -100
    return layer


def found_dead(model, *inputs, compiled=False, **options):
    """By call site: the number of units, and the dead ones.

    Outputs must be those without a watch, bit for bit, and all units must be known.
    """
    model.eval()
    with torch.no_grad():
        expected = [model(*each) for each in inputs]
        with relustat.watch(model, **options) as watch:
            called = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
            outputs = [called(*each) for each in inputs]
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0, equal_nan=True)
    assert watch.report().notes == []
    return {name: (stats.widths, stats.dead_units.tolist()) for name, stats in watch.stats.items()}
