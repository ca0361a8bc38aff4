"""How docstrings are read for the site: a Griffe extension.

Docstrings are written for ``help()``. Two things differ from what mkdocstrings wants: the heading
``Example:``, and references such as ``:func:`relustat.watch```.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

logger = griffe.get_logger("docstrings_for_site")

EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
REFERENCE = re.compile(r":(?:func|class|meth|mod|attr):`([\w.]+)`")


class DocstringsForSite(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        _prepare(pkg, pkg)


def _prepare(thing: griffe.Object, package: griffe.Module) -> None:
    if thing.docstring:
        text = EXAMPLE.sub(r"\1Examples:", thing.docstring.value)
        thing.docstring.value = REFERENCE.sub(
            lambda match: _reference(match[1], thing, package), text
        )
    for member in thing.members.values():
        if not member.is_alias:
            _prepare(member, package)


def _reference(name: str, thing: griffe.Object, package: griffe.Module) -> str:
    """A link to what the name means where it is written, if the site has it, and else code."""
    inside = f"{package.name}."
    try:
        path = name if name.startswith(inside) else _resolved(name, thing)
        target = package[path.removeprefix(inside)].canonical_path
    except (griffe.NameResolutionError, KeyError):
        if not name.startswith("torch."):
            logger.warning("%s: %s must be a name that is known there", thing.path, name)
        return f"`{name}`"
    return f'<autoref optional identifier="{target}"><code>{name}</code></autoref>'


def _resolved(name: str, thing: griffe.Object) -> str:
    first, dot, rest = name.partition(".")
    its_class = thing if thing.is_class else thing.parent
    if its_class is not None and first in its_class.inherited_members:
        return its_class.inherited_members[first].canonical_path
    return f"{thing.resolve(first)}{dot}{rest}"
