"""Clusters of pixels against scikit-learn's KMeans."""

import importlib
import itertools
import math
import sys

import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from relustat.analysis.hypercolumn.clusters import hypercolumn_clusters
from relustat.analysis.hypercolumn.hypercolumns import Hypercolumns, hypercolumns
from relustat.analysis.hypercolumn.plot import hypercolumn_clusters_grid

# The package may give the function of that name.
clusters_module = importlib.import_module("relustat.analysis.hypercolumn.clusters")


def pixels_of(values):
    """Hypercolumns that are ``values``, [N, C, H, W], themselves."""
    return hypercolumns(nn.Sequential(nn.Identity()).eval(), values, ["0"])


@pytest.fixture
def columns():
    """[2, 10, 40, 50]: 4,000 pixels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 20, 25, generator=generator)
    model = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)).eval()
    return hypercolumns(model, x, ["0", "1"], (40, 50))


def blobs(images, height, width, sizes):
    """Pixels around a centre for each size: values [N, 9, H, W], and whose they are [N, H, W].

    The first ones lie above the others, in all images.
    """
    generator = torch.Generator().manual_seed(7)
    centres = 100 * torch.randn(len(sizes), 9, generator=generator)
    whose = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    whose = whose.reshape(height, width, images).permute(2, 0, 1)
    values = centres[whose] + torch.randn(*whose.shape, 9, generator=generator)
    return values.permute(0, 3, 1, 2), whose


@pytest.mark.parametrize("pixels", [900, 1500])
@pytest.mark.parametrize("sizes", [[1500], [900, 600], [1092, 400, 8]])
def test_clusters_of_blobs(pixels, sizes, monkeypatch):
    """Found as made, and numbered by size; also one of 8 pixels."""
    monkeypatch.setattr(clusters_module, "_BLOCK_PIXELS", pixels)
    clusters = len(sizes)
    values, whose = blobs(3, 20, 25, sizes)
    labels = hypercolumn_clusters(pixels_of(values), clusters)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, whose)
    matrix = values.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    theirs = KMeans(clusters, n_init=10, random_state=0).fit_predict(matrix)
    # As many pairs of labels as labels: they differ in their numbers only.
    pairs = set(zip(labels.flatten().tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == clusters


@pytest.mark.parametrize("pixels", [500, 4000])
def test_clusters_are_those_of_the_nearest_mean(columns, pixels, monkeypatch):
    """Of data without gaps: Lloyd's condition holds but for pixels between two clusters."""
    monkeypatch.setattr(clusters_module, "_BLOCK_PIXELS", pixels)
    labels = hypercolumn_clusters(columns, 3).flatten()
    matrix = columns.tensor().permute(0, 2, 3, 1).flatten(0, 2)
    means = torch.stack([matrix[labels == each].mean(0) for each in range(3)])
    assert (torch.cdist(matrix, means).argmin(1) == labels).double().mean() > 0.97
    sizes = labels.bincount().tolist()
    assert sizes == sorted(sizes, reverse=True)
    inertia = KMeans(3, n_init=10, random_state=0).fit(matrix.numpy()).inertia_
    ours = (matrix - means[labels]).square().sum().item()
    assert ours < 1.03 * inertia


def test_clusters_depend_on_the_seed_alone(columns):
    state = torch.get_rng_state()
    first = hypercolumn_clusters(columns, 4, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(hypercolumn_clusters(columns, 4, seed=3), first)


def test_pixels_are_taken_in_blocks(columns, monkeypatch):
    monkeypatch.setattr(clusters_module, "_BLOCK_PIXELS", 600)
    blocks = []
    at = Hypercolumns.at

    def counted(self, rows, columns):
        blocks.append((50 * rows + columns).tolist())
        return at(self, rows, columns)

    monkeypatch.setattr(Hypercolumns, "at", counted)
    monkeypatch.setattr(Hypercolumns, "tensor", None)
    hypercolumn_clusters(columns, 2)
    # Of both images; the first block for the starts, then all to fit, and all to label.
    assert [len(block) for block in blocks] == [300, *[300] * 6, 200, *[300] * 6, 200]
    for seen in (blocks[1:8], blocks[8:]):
        assert sorted(itertools.chain(*seen)) == list(range(2000))


@pytest.mark.parametrize("clusters", [0, 13, -1])
def test_wrong_numbers_of_clusters(clusters, monkeypatch):
    monkeypatch.setattr(clusters_module, "_BLOCK_PIXELS", 3)
    columns = pixels_of(torch.randn(2, 4, 2, 3))
    with pytest.raises(ValueError, match=rf"within 1 and the 12 pixels, got {clusters}$"):
        hypercolumn_clusters(columns, clusters)
    assert hypercolumn_clusters(columns, 12).flatten().sort().values.tolist() == list(range(12))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_hypercolumns_must_be_finite(value):
    values = torch.randn(1, 3, 4, 5)
    values[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="must be finite as float32, got NaN or infinity"):
        hypercolumn_clusters(pixels_of(values))


def test_wrong_arguments(columns):
    with pytest.raises(TypeError, match="columns must be Hypercolumns, got Tensor"):
        hypercolumn_clusters(columns.tensor())
    with pytest.raises(ValueError, match=r"clusters must be an integer, got 2\.0"):
        hypercolumn_clusters(columns, 2.0)
    with pytest.raises(ValueError, match="seed must be an integer, got None"):
        hypercolumn_clusters(columns, seed=None)


def test_plot_of_clusters(tmp_path):
    photographs = torch.rand(2, 3, 6, 8)
    labels = torch.randint(3, (2, 3, 4))
    labels[0, 0, 0] = 2
    figure = hypercolumn_clusters_grid(photographs, labels)
    assert [axes.get_title() for axes in figure.axes] == ["photograph", "3 clusters", "", ""]
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    for image in range(2):
        assert (shown[2 * image] == photographs[image].permute(1, 2, 0).numpy()).all()
        assert (shown[2 * image + 1] == labels[image].numpy()).all()
    figure.savefig(tmp_path / "figure.png", dpi=30)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"cluster {n}" for n in range(3)]
    colours = [tuple(patch.get_facecolor()) for patch in legend.get_patches()]
    assert colours == [figure.axes[1].get_images()[0].to_rgba(n) for n in range(3)]
    assert len(set(colours)) == 3
    with pytest.raises(ValueError, match=r"photographs must be \[N, 3, H, W\], got \[3, 6, 8\]"):
        hypercolumn_clusters_grid(photographs[0], labels)
    with pytest.raises(ValueError, match=r"labels must be .* N=2, got \[1, 3, 4\]"):
        hypercolumn_clusters_grid(photographs, labels[:1])


def test_clustering_says_what_to_install(columns, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(ImportError, match=r"pip install 'relustat\[analysis\]'"):
        hypercolumn_clusters(columns)
