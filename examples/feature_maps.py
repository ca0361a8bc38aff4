"""A first look into a network: its first filters, its feature maps, and its pools' switches.

One photograph goes through VGG-16's first two blocks. Filters and maps are scaled by their standard
deviation: grey is the mean, and numbers more than three deviations away are black or white. Then
the maps are pooled with the network's windows (2x2, 2 apart), and with those of AlexNet and of
Zeiler and Fergus (3x3, 2 apart), which overlap. The switches give the position of each maximum in
its window, and the number of windows that share a maximum.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014.

    python examples/feature_maps.py [--weights vgg16-397923af.pth] [--images DIR] [--out FILE]
"""

import argparse
from pathlib import Path

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from networks import vgg16
from photographs import Photographs

import relustat
from relustat.analysis import by_sigma, filter_images, image_grid, inspect_switches, layer_outputs

LAYERS = {"features.2": "conv1_2", "features.3": "its ReLU", "features.4": "its pool"}
SHOWN_MAPS = 16
POSITIONS = 9  # of a 3x3 window


def draw(network, x, maps, path):
    figure = Figure(figsize=(11, 7.3), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    panels[0].imshow(network.prepare.undo(x[0]).permute(1, 2, 0).clamp(0, 1))
    panels[0].set_title("photograph", fontsize=10)
    filters = filter_images(network.model)
    colours = filters.flip(0) if network.prepare.bgr else filters
    panels[1].imshow(colours.permute(1, 2, 0))
    panels[1].set_title("the 64 filters of conv1_1", fontsize=10)
    for panel, (layer, name) in zip(panels[2:], LAYERS.items(), strict=False):
        shown = by_sigma(maps[layer][0, :SHOWN_MAPS])
        gap = shown.size(-1) // 28
        panel.imshow(image_grid(shown[:, None], 4, gap)[0], cmap="gray", vmin=0, vmax=1)
        panel.set_title(f"{name}: the first {SHOWN_MAPS} maps", fontsize=10)
    _, switches = relustat.functional.max_pool2d(maps["features.3"], 3, 2)
    corner = switches.offsets[0, 0, :24, :24]
    colours = colormaps["viridis"].resampled(POSITIONS)
    shown = panels[5].imshow(corner, cmap=colours, vmin=-0.5, vmax=POSITIONS - 0.5)
    panels[5].set_title("switches of 3x3 windows: a corner of map 0", fontsize=10)
    # Beside the panel, not in its place, so that the panel keeps the size of the others.
    bar = figure.colorbar(shown, cax=panels[5].inset_axes([1.03, 0, 0.05, 1]))
    bar.set_ticks(range(POSITIONS), labels=["0: top left", *"123", "4: middle", *"567", "8"])
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])
    figure.supxlabel(
        "filters and maps: grey is the mean, black and white are 3 deviations away; "
        "switches: the maximum's position in its window, row by row",
        fontsize=9,
    )
    figure.savefig(path, dpi=110, pil_kwargs={"quality": 90})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="weights of VGG-16, from torchvision or Caffe")
    parser.add_argument(
        "--images", type=Path, help="a folder; without it, scikit-image's photographs"
    )
    parser.add_argument("--out", type=Path, default=Path("feature-maps.png"))
    options = parser.parse_args(arguments)
    if options.images is not None and not options.images.is_dir():
        parser.error(f"--images must be a folder, got {options.images}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    network = vgg16(options.weights)
    photographs = Photographs(options.images, network.prepare)
    name, x = photographs.names[0], photographs[0][0][None]
    print(f"VGG-16, {network.origin}; {name}")
    with torch.no_grad():
        maps = layer_outputs(network.model, x, list(LAYERS))
    for layer, title in LAYERS.items():
        numbers = maps[layer]
        print(
            f"{title}: {list(numbers.shape)}, {numbers.min():.3g} to {numbers.max():.3g}, "
            f"mean {numbers.mean():.3g}, deviation {numbers.std():.3g}"
        )
    for kernel in (2, 3):
        y, switches = relustat.functional.max_pool2d(maps["features.3"], kernel, 2)
        print(f"\n{switches}\n{inspect_switches(switches)}")
        restored = relustat.functional.max_unpool2d(y, switches)
        again, _ = relustat.functional.max_pool2d(restored, kernel, 2)
        print(f"unpooled and pooled again, it is the same: {torch.equal(again, y)}")
    draw(network, x, maps, options.out)
    print(f"\npicture: {options.out}")


if __name__ == "__main__":
    main()
