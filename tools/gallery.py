"""Makes the pictures of docs/gallery, each by the example that explains it.

Those of VGG-16 need trained weights; without weights they stay as they are.

    python tools/gallery.py [--weights vgg16-397923af.pth] [PICTURE ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GALLERY = ROOT / "docs" / "gallery"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture's file in the gallery, and what makes it.

    Attributes:
        name: of the file.
        example: its script.
        arguments: for the script.
        takes_weights: whether it is of a trained VGG-16.
        made: how the script calls it, if not by the name it is given; beside that one.
    """

    name: str
    example: str
    arguments: tuple[str, ...] = ()
    takes_weights: bool = False
    made: str = ""


# Units of conv4_2 whose strongest photographs have something in common that one can see: something
# round, something like a face, a left edge that bends outwards, an arch.
UNITS = ("238", "137", "349", "356")
PICTURES = (
    Picture("relus-vgg16.png", "relu_analysis", ("--model=vgg16",), True),
    Picture("relus-resnet18.png", "relu_analysis", ("--model=resnet18",)),
    Picture("activation-rates.png", "activation_rates"),
    Picture("deconvnet.webp", "deconvnet", ("--rule=guided", "--units", *UNITS), True),
    Picture("deconvnet-rules.webp", "deconvnet", ("--units", UNITS[0]), True, "{stem}-rules.webp"),
    Picture("feature-maps.webp", "feature_maps", (), True),
    Picture("initialisation-study.png", "initialisation_study"),
    Picture("gradient-norms.png", "gradient_norms"),
    Picture("receptive-fields.png", "receptive_fields"),
    Picture("hypercolumns.webp", "hypercolumns", (), True),
    Picture("reviving.png", "reviving"),
    Picture("pruning.png", "pruning"),
    Picture("hot-units.png", "hot_units"),
)


def make(picture: Picture, weights: Path | None) -> None:
    """Runs the example in a folder of its own, and takes the picture from there."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"picture{Path(picture.name).suffix}"
        command = [sys.executable, str(ROOT / "examples" / f"{picture.example}.py")]
        command += [*picture.arguments, f"--out={out}"]
        if picture.takes_weights:
            command.append(f"--weights={weights}")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made = out.with_name(picture.made.format(stem=out.stem)) if picture.made else out
        GALLERY.mkdir(exist_ok=True)
        (GALLERY / picture.name).write_bytes(made.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="VGG-16's, see examples/networks.py")
    parser.add_argument("pictures", nargs="*", help="names of files; none: all")
    options = parser.parse_args()
    names = [picture.name for picture in PICTURES]
    unknown = set(options.pictures) - set(names)
    if unknown:
        parser.error(f"pictures are {', '.join(names)}; got {', '.join(sorted(unknown))}")
    for picture in PICTURES:
        if options.pictures and picture.name not in options.pictures:
            continue
        if picture.takes_weights and options.weights is None:
            print(f"{picture.name}: left as it is; it takes VGG-16's weights (--weights)")
            continue
        start = time.perf_counter()
        make(picture, options.weights)
        kilobytes = (GALLERY / picture.name).stat().st_size / 1000
        print(
            f"{picture.name}: {time.perf_counter() - start:.0f} s, {kilobytes:.0f} kB", flush=True
        )


if __name__ == "__main__":
    main()
