"""Hypercolumns: the activations of VGG-16 above each pixel of a photograph.

A pixel's hypercolumn consists of all activations above it, from layers of any size; coarse maps are
interpolated. The mean of early layers (conv1_2 and conv2_2) shows sharp edges. The mean of late
layers (conv4_3 and conv5_3) shows, roughly, where the network recognises something. The last layers
of all five blocks have 1,472 channels together. K-means finds regions of a picture in them, without
labels. A region shares a texture or the distance to edges; it is seldom a whole object.

Hariharan et al., Hypercolumns for Object Segmentation and Fine-grained Localization, CVPR 2015.
The choice of layers and the clusters are Perone's: Convolutional hypercolumns in Python, 2016.

    python examples/hypercolumns.py [--weights vgg16-397923af.pth] [--images DIR] [--out FILE]
"""

import argparse
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from networks import VGG16_RELUS, vgg16
from photographs import Photographs

from relustat.analysis import hypercolumn_clusters, hypercolumns

LAYERS = {
    name: VGG16_RELUS[name] for name in ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
}
EARLY, LATE = ("conv1_2", "conv2_2"), ("conv4_3", "conv5_3")


def pictures_of(photograph, columns, clusters):
    """The pictures of a row, by title."""
    return {
        "photograph": photograph.clamp(0, 1).permute(1, 2, 0),
        f"mean of {' and '.join(EARLY)}": columns.mean([LAYERS[name] for name in EARLY])[0],
        f"mean of {' and '.join(LATE)}": columns.mean([LAYERS[name] for name in LATE])[0],
        f"{clusters} clusters, all five layers": hypercolumn_clusters(columns, clusters)[0],
    }


def draw_clusters(panel, labels, clusters):
    """The clusters in colours, and below them a legend with their shares of the pixels."""
    colours = colormaps["viridis"].resampled(clusters)
    panel.imshow(labels, cmap=colours, vmin=-0.5, vmax=clusters - 0.5, interpolation="nearest")
    shares = labels.flatten().bincount(minlength=clusters) / labels.numel()
    panel.legend(
        handles=[
            Patch(color=colours(cluster), label=f"cluster {cluster}, {share:.0%}")
            for cluster, share in enumerate(shares)
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=2,
        fontsize=8,
        frameon=False,
        borderpad=0.2,
        handlelength=1,
        columnspacing=1,
    )


def draw(rows, clusters, title, path):
    figure = Figure(figsize=(9.2, 2.45 * len(rows) + 0.8), layout="constrained")
    panels = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for title_of_column, panel in zip(rows[0], panels[0], strict=True):
        panel.set_title(title_of_column, fontsize=9)
    for row, pictures in zip(panels, rows, strict=True):
        *others, labels = pictures.values()
        for panel, picture in zip(row, others, strict=False):
            panel.imshow(picture.numpy(), cmap="magma")
        draw_clusters(row[-1], labels, clusters)
        for panel in row:
            panel.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(
        "means: black is a panel's lowest, pale yellow its highest; "
        "clusters: each photograph's own, with their shares of its pixels",
        fontsize=9,
    )
    figure.savefig(path, dpi=140, pil_kwargs={"quality": 90})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="weights of VGG-16, from torchvision or Caffe")
    parser.add_argument(
        "--images", type=Path, help="a folder; without it, scikit-image's photographs"
    )
    parser.add_argument("--limit", type=int, default=3, help="largest number of photographs")
    parser.add_argument("--clusters", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("hypercolumns.png"))
    options = parser.parse_args(arguments)
    if options.limit < 1:
        parser.error(f"--limit must be at least 1, got {options.limit}")
    if options.clusters < 1:
        parser.error(f"--clusters must be at least 1, got {options.clusters}")
    if options.images is not None and not options.images.is_dir():
        parser.error(f"--images must be a folder, got {options.images}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    network = vgg16(options.weights)
    photographs = Photographs(options.images, network.prepare, options.limit)
    print(f"VGG-16, {network.origin}; {len(photographs)} photographs, {photographs.summary()}")
    rows = []
    for name, (x, _) in zip(photographs.names, photographs, strict=True):
        columns = hypercolumns(network.model, x[None], list(LAYERS.values()))
        pictures = pictures_of(network.prepare.undo(x), columns, options.clusters)
        rows.append(pictures)
        *_, labels = pictures.values()
        shares = labels.flatten().bincount() / labels.numel()
        print(
            f"{name}: {list(columns.shape)}, mean {columns.mean().mean():.3g}; "
            f"clusters of {', '.join(f'{share:.1%}' for share in shares)}"
        )
    weights = "" if options.weights else f", {network.origin}"
    draw(rows, options.clusters, f"Hypercolumns of VGG-16{weights}", options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
