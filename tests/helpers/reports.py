"""Reports for tests of tables, pictures and pages."""

import torch

import relustat
from relustat.functional import relu_stats


def stats_of(x, bins=relustat.LogBins()):
    return relu_stats(torch.as_tensor(x), bins)[1]


def small_model():
    """Two convolutions and a linear layer, of which units can be silenced by their biases."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 4 * 4, 20),
        torch.nn.ReLU(),
    )
    # No unit is dead by chance.
    torch.nn.init.constant_(model[5].bias, 0.3)
    return model


def silence(layer, units):
    with torch.no_grad():
        layer.weight[units] = 0
        layer.bias[units] = -1


def watched(model, *, epochs=1, between=None, **options):
    """The report of two calls an epoch, of the groups "cat" and "dog".

    Args:
        model: a :func:`small_model`.
        epochs: with more than one, snapshots are taken.
        between: called with the model and the number of the next epoch.
        options: of the watch.
    """
    with relustat.watch(model, **options) as watch:
        for epoch in range(epochs):
            if between is not None:
                between(model, epoch)
            for group in ("cat", "dog"):
                with watch.group(group):
                    model(torch.randn(32, 3, 8, 8))
            if epochs > 1:
                watch.snapshot(epoch)
        return watch.report()
