"""The time that counting all ReLUs adds to whole networks."""

from . import style

INSTRUMENTS = {
    "fuse": "swap(fuse=True): ReLU and pool in one pass",
    "swap": "swap: ReLUs counted, pools swapped",
    "watch": "watch: ReLUs counted",
    "numpy_hooks": "np.histogram in hooks",
    "monitorch": "monitorch (rates only)",
}
NETWORKS = {"vgg16": "VGG-16's trunk", "resnet18": "ResNet-18"}


def draw(rows):
    rows = style.found(rows, part="network")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows, "Time added to the plain network: below 0 is faster", 4.4, 1, 2, sharey=True
    )
    for axis, direction in zip(axes[0], ("forward", "forward and backward"), strict=True):
        shown = style.found(rows, direction=direction)
        style.bars(axis, _groups(shown), INSTRUMENTS, _added(shown), lambda added: f"{added:+.0f}")
        axis.set_title(direction)
        axis.axhline(0, color="black", linewidth=1)
        axis.margins(y=0.1)
    axes[0, 0].set_ylabel("% of the plain network's time")
    axes[0, 1].legend(loc="upper right")
    return drawn


def _groups(rows):
    """The networks, and what they were shown."""
    return {
        network: f"{NETWORKS[network]}\n{shown[0]['batch']}x3x224x224,\n{shown[0]['images']}"
        for network in NETWORKS
        if (shown := style.found(rows, network=network))
    }


def _added(rows):
    def percent(network, instrument):
        ratio = style.ratio(rows, network=network, what=instrument)
        return None if ratio is None else 100 * (ratio - 1)

    return percent
