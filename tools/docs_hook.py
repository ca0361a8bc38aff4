"""What MkDocs does with the pages of docs/ beside what it does by itself.

A page may link to a file outside docs/, such as ``../tests/test_files.py``. A repository browser
opens the file. The site has no such file: there the link leads to ``repo_url``, if mkdocs.yml has
one, and else it becomes text that names the file.

The built site is checked: it must load nothing from another host.
"""

from __future__ import annotations

import functools
import html
import logging
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

# With --strict a warning is an error.
logger = logging.getLogger("mkdocs.hooks.docs_hook")

FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r'(?<!!)\[([^\[\]]+)\]\(([^)\s#]+)(#[^)\s]*)?(?: "[^"]*")?\)')
DEFINITION = re.compile(r'^\[([^\]]+)\]: (\S+?)(#\S*)?(?: "([^"]*)")?\n', re.MULTILINE)
LOADED = re.compile(
    r'<(?:script|img|iframe|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//'
)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    outside = functools.partial(path_outside, page.file.src_uri)
    web = f"{config.repo_url.rstrip('/')}/blob/main/" if config.repo_url else ""
    return without_links_outside(markdown, outside, web)


def path_outside(page: str, target: str) -> str | None:
    """The path of a link's target from the top of the repository; None if it is in docs/."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def without_links_outside(
    markdown: str, outside: Callable[[str], str | None], web: str = ""
) -> str:
    """The page with links to ``web``, or without links, for each target that ``outside`` names."""
    labels: dict[str, tuple[str, str]] = {}

    def definition(match: re.Match[str]) -> str:
        label, target, anchor, title = match.groups(default="")
        path = outside(target)
        if path is None:
            return match[0]
        if web:
            return f'[{label}]: {web}{path}{anchor} "{title}"\n'
        labels[label] = path, title
        return ""

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match.groups(default="")
        path = outside(target)
        if path is None:
            return match[0]
        if web:
            return f"[{text}]({web}{path}{anchor})"
        return text if text.strip("`") == path else f"{text} (`{path}`)"

    def labelled(match: re.Match[str]) -> str:
        text, label = match.groups()
        if label not in labels:
            return match[0]
        return f'<span title="{html.escape(": ".join(labels[label]))}">{text}</span>'

    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(link, DEFINITION.sub(definition, part)) for part in parts[::2]]
    parts[::2] = [re.sub(r"\[([^\[\]]+)\]\[([^\[\]]+)\]", labelled, part) for part in parts[::2]]
    return "".join(parts)


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        if found := LOADED.search(path.read_text()):
            logger.warning("%s: must load nothing from another host, got %s", path, found[0])
