"""Figures that a notebook shows by itself."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

from ._optional import import_optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend


def new_figure(**options: Any) -> Figure:
    """A figure of matplotlib.

    It is not pyplot's: it needs no screen, and nobody has to close it. A notebook shows it, also if
    pyplot was never imported.

    Raises:
        ImportError: if matplotlib is missing.
    """
    figure: Figure = import_optional("matplotlib.figure", "plot", "plotting").Figure(**options)
    # Of the instance, because a subclass of ours would need matplotlib when it is unpickled.
    figure._repr_png_ = functools.partial(_as_png, figure)  # type: ignore[attr-defined]
    return figure


def as_plain_text(legend: Legend) -> None:
    """A name with dollar signs is no formula."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def _as_png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
