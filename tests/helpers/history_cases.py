"""Trainings, short and long, and their histories."""

import numpy as np
import pytest
import torch

from relustat import LinearBins
from relustat.functional import relu_stats
from relustat.history import History

BINS = LinearBins(-2, 2, 8)


def stats_of(x, bins=BINS):
    return relu_stats(torch.as_tensor(x, dtype=torch.float32), bins)[1]


def units_of(alive, bins=BINS):
    """One call with a zero and, for each unit that is alive, a one."""
    return stats_of(np.stack([np.full(len(alive), -1.0), np.where(alive, 1.0, -1.0)]), bins)


def history_of(epochs, limit=100, site="relu"):
    history = History(limit)
    for epoch, alive in enumerate(epochs):
        if alive is not None:
            history.add(epoch, {site: units_of(alive)})
        else:
            history.add(epoch, {})
    return history


def as_lists(changes):
    return {epoch: units.tolist() for epoch, units in changes.items()}


class Training:
    """Inputs of two call sites in each epoch, of which units die and are revived now and then."""

    def __init__(self, epochs, seed=0):
        random = np.random.default_rng(seed)
        self.inputs = {"conv": [], "linear": []}
        for site, units in (("conv", 5), ("linear", 9)):
            alive = np.ones(units, dtype=bool)
            for _ in range(epochs):
                alive = np.where(random.random(units) < 0.15, ~alive, alive)
                x = random.normal(size=(6, units)).astype(np.float32)
                x[0] = 1  # lest a unit be dead by chance
                x[:, ~alive] = -1
                self.inputs[site].append(x)

    def history(self, limit=100, first=0):
        history = History(limit)
        for epoch in range(len(self.inputs["conv"])):
            history.add(
                first + epoch, {site: stats_of(x[epoch]) for site, x in self.inputs.items()}
            )
        return history

    def dead(self, site):
        """Bool [epochs, units]."""
        return np.array([(x <= 0).all(axis=0) for x in self.inputs[site]])

    def assert_counted(self, history, site):
        """All numbers of all spans, by NumPy alone."""
        dead = self.dead(site)
        died, revived = dead[1:] & ~dead[:-1], ~dead[1:] & dead[:-1]
        nothing = np.zeros((1, dead.shape[1]), dtype=bool)
        died, revived = np.concatenate([nothing, died]), np.concatenate([nothing, revived])
        deaths, revivals = {}, {}
        for index, span in enumerate(history.spans):
            epochs = slice(span.first, span.last + 1)
            x = np.concatenate(self.inputs[site][epochs])
            stats = span.stats[site]
            assert stats.calls == span.last - span.first + 1
            assert stats.unit_zeros.tolist() == (x <= 0).sum(axis=0).tolist()
            assert stats.histogram.counts().tolist() == np.histogram(x, BINS.edges)[0].tolist()
            expected = {
                "zero_fraction": (x <= 0).mean(),
                "activation_rate": (x > 0).mean(),
                "death_rate": dead[epochs].mean(),
                "dead": dead[epochs].sum(axis=1).mean(),
                "deaths": died[epochs].sum(),
                "revivals": revived[epochs].sum(),
            }
            for name, value in expected.items():
                assert history.trend(site, name)[1][index] == pytest.approx(value), name
            for changes, changed in ((deaths, died), (revivals, revived)):
                units = np.flatnonzero(changed[epochs].any(axis=0)).tolist()
                if units:
                    changes[span.first] = units
        assert as_lists(history.deaths(site)) == deaths
        assert as_lists(history.revivals(site)) == revivals
        assert history.dead_units(site).tolist() == np.flatnonzero(dead[-1]).tolist()
        assert history.trend(site, "deaths")[1].sum() == died.sum()
        assert history.trend(site, "revivals")[1].sum() == revived.sum()
        total = history.total(site)
        assert total == sum(map(stats_of, self.inputs[site]))


def two_widths():
    history = History()
    for epoch, alive in enumerate([[1, 1, 1], [1, 0, 1], [1, 1, 1]]):
        both = units_of(np.array(alive) > 0) + units_of(np.array([True, epoch == 0]))
        history.add(epoch, {"relu": both})
    return history
