"""Parts of photographs that excite the units of VGG-16: figure 2 of Zeiler and Fergus.

The example finds the photographs in which a unit is most active. It projects the strongest
activation back to pixels, by the pools' switches and the transposed filters. Next to each
projection is the part of the photograph that the unit sees. In early layers the projections show
edges and colours, in later layers textures and parts of objects.

There are three rules for a signal that goes back through a ReLU; the second picture shows one
activation by each. "deconvnet" lets positive signals pass. "gradient" lets signals pass where the
ReLU's input was positive. "guided" asks for both, which leaves the fewest and sharpest lines.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014.
Springenberg et al., Striving for Simplicity: The All Convolutional Net, ICLR 2015 workshop.

    python examples/deconvnet.py [--weights vgg16-397923af.pth] [--images DIR] [--layer conv4_2]
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from networks import VGG16_RELUS, vgg16
from photographs import Photographs
from torch.utils.data import DataLoader

from relustat.analysis import by_sigma, deconvnet_grid, deconvnet_patches, layer_outputs

RULES = ("deconvnet", "guided", "gradient")
DPI, COMPRESSION = 160, {"quality": 92}  # the quality of WebP and JPEG; PNG has none


def width_of(model, layer):
    """The number of units of a layer, from a forward of a small image."""
    with torch.no_grad():
        return layer_outputs(model, torch.zeros(1, 3, 32, 32), [layer])[layer].shape[1]


def most_active_units(model, loader, layer, count):
    """The units that are most active in most of the photographs."""
    peaks = []
    for x, _ in loader:
        with torch.no_grad():
            maps = layer_outputs(model, x, [layer])[layer]
        peaks.append(maps.flatten(2).amax(2))
    return torch.cat(peaks).mean(0).topk(count).indices.tolist()


def rules_picture(network, loader, name, unit, to_image):
    """The unit's strongest activation, projected back by each rule."""
    figure = Figure(figsize=(9, 2.75), layout="constrained")
    panels = figure.subplots(1, 1 + len(RULES))
    for panel, rule in zip(panels[1:], RULES, strict=True):
        patches = deconvnet_patches(network.model, loader, VGG16_RELUS[name], [unit], 1, rule)
        (patch,) = patches[unit]
        colours = to_image(patch.projection) - to_image(torch.zeros_like(patch.projection))
        panel.imshow(by_sigma(colours, 4), interpolation="bicubic")
        panel.set_title(f'rule "{rule}"', fontsize=10)
    panels[0].imshow(to_image(patch.input).clamp(0, 1), interpolation="bicubic")
    panels[0].set_title("what it saw", fontsize=10)
    for panel in panels:
        panel.set_axis_off()
    figure.suptitle(f"VGG-16, {name}, unit {unit}: one activation by each rule", fontsize=11)
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="weights of VGG-16, from torchvision or Caffe")
    parser.add_argument(
        "--images", type=Path, help="a folder; without it, scikit-image's photographs"
    )
    parser.add_argument("--layer", choices=VGG16_RELUS, default="conv4_2")
    parser.add_argument(
        "--units", type=int, nargs="+", help="indices of units; without them, the most active ones"
    )
    parser.add_argument(
        "--strongest", type=int, default=4, help="number of photographs for each unit"
    )
    parser.add_argument("--rule", choices=RULES, default=RULES[0], help="rule of the first picture")
    parser.add_argument("--out", type=Path, default=Path("deconvnet.png"))
    options = parser.parse_args(arguments)
    if options.images is not None and not options.images.is_dir():
        parser.error(f"--images must be a folder, got {options.images}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    network = vgg16(options.weights)
    layer = VGG16_RELUS[options.layer]
    width = width_of(network.model, layer)
    if not all(0 <= unit < width for unit in options.units or []):
        parser.error(f"--units must be within 0 and {width - 1}, got {options.units}")
    photographs = Photographs(options.images, network.prepare)
    loader = DataLoader(photographs, batch_size=8)
    print(f"VGG-16, {network.origin}; {len(photographs)} photographs, {photographs.summary()}")
    units = options.units or most_active_units(network.model, loader, layer, 8)

    def to_image(x):
        return network.prepare.undo(x).permute(1, 2, 0)

    figure = deconvnet_grid(
        network.model,
        loader,
        layer,
        units,
        options.strongest,
        options.rule,
        to_image=to_image,
    )
    figure.suptitle(
        f"VGG-16, {options.layer}: what excites a unit most, and its projection to pixels "
        f'(rule "{options.rule}")',
        fontsize=11,
    )
    figure.savefig(options.out, dpi=DPI, pil_kwargs=COMPRESSION)
    print(f"{options.layer}, units {units}: {options.out}")

    rules = options.out.with_stem(f"{options.out.stem}-rules")
    rules_picture(network, loader, options.layer, units[0], to_image).savefig(
        rules, dpi=DPI, pil_kwargs=COMPRESSION
    )
    print(f"unit {units[0]} by each rule: {rules}")


if __name__ == "__main__":
    main()
