"""The names of calls: a module's path, the kind of call, and its number within one forward."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from relustat._dynamo import inline_in_graph

Kind = Literal["module", "module's ReLU", "functional ReLU"]


class SiteKey(NamedTuple):
    """A call site: call number ``call``, within one forward, of the module at ``path`` or in it."""

    path: str
    is_module: bool
    call: int


def site_name(key: SiteKey, taken: Collection[str]) -> str:
    """The site's name. No other site and no other module of the model has it.

    It is the module's path, or ``<path>.relu`` for a functional call. From the second call on,
    ``_<call>`` is added. If a module has that name already, there is one underscore more before
    the number, or ``functional_`` before ``relu``.

    Args:
        key: the site.
        taken: the paths of the model's modules.
    """
    if key.is_module:
        base = key.path or "relu"
    else:
        prefix = f"{key.path}." if key.path else ""
        base = f"{prefix}relu"
        if base in taken:
            base = f"{prefix}functional_relu"
    if not key.call:
        return base
    separator = "_"
    while f"{base}{separator}{key.call}" in taken:
        separator += "_"
    return f"{base}{separator}{key.call}"


@inline_in_graph
class CallNumbers:
    """Numbers the calls of one forward from 0, for each module and each kind of call.

    A module's own ReLU has the name of the module, but a number of its own.
    """

    def __init__(self) -> None:
        self._calls: dict[tuple[str, Kind], int] = {}

    def next(self, path: str, kind: Kind) -> SiteKey:
        """The key of a call that is made now.

        Args:
            path: the path of the module that is called, or that calls a function.
            kind: the kind of call.
        """
        call = self._calls.get((path, kind), 0)
        self._calls[path, kind] = call + 1
        return SiteKey(path, kind != "functional ReLU", call)
