"""The names of calls: a module's path, the kind of call, and its number within one forward."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from relustat._dynamo import inline_in_graph

Kind = Literal["module", "module's ReLU", "functional ReLU"]


class SiteKey(NamedTuple):
    """A call site: the ``call``-th call, within one forward, of or in the module at ``path``."""

    path: str
    is_module: bool
    call: int


def site_name(key: SiteKey, taken: Collection[str]) -> str:
    """The site's name: no other site and no module of the model has it.

    The module's path, or ``<path>.relu`` for a functional call; ``_<call>`` from the second call
    on. Where a module bears that name already, an underscore is put before the number, or
    ``functional_`` before ``relu``.

    Args:
        key: the site.
        taken: paths of the model's modules.
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
    """Numbers the calls of one forward: for each module, and each kind of call, from 0 on.

    A module's own ReLU has the name of the module, but a number of its own.
    """

    def __init__(self) -> None:
        self._calls: dict[tuple[str, Kind], int] = {}

    def next(self, path: str, kind: Kind) -> SiteKey:
        """The key of a call that is made now.

        Args:
            path: of the module that is called, or that calls a function.
            kind: of call.
        """
        call = self._calls.get((path, kind), 0)
        self._calls[path, kind] = call + 1
        return SiteKey(path, kind != "functional ReLU", call)
