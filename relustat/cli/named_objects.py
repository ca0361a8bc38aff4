"""Objects that are named by a module or a file, and their name there."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from relustat._messages import some

from .messages import first_line
from .seeds import set_seeds


def named_object(option: str, text: str) -> Any:
    """What ``package.module:name`` or ``file.py:name`` names.

    Args:
        option: the option that gave the text, for messages.
        text: the text.

    Raises:
        ValueError: if there is no such thing, or its module cannot be imported.
    """
    where, _, name = text.rpartition(":")
    if not where or not name:
        hint = f"; {text} has {_public(_imported(option, text))}" if Path(text).is_file() else ""
        raise ValueError(
            f"{option} must be package.module:name or file.py:name, got {text or 'an empty text'}"
            f"{hint}"
        )
    module = _imported(option, where)
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            public = [each for each in vars(module) if not each.startswith("_")]
            has = some(difflib.get_close_matches(name, public)) or _public(module)
            raise ValueError(
                f"{option}: {where} must have {name}, got a file with {has}"
            ) from error
    return found


def called(
    option: str, text: str, function: Any, seed: int, arguments: Mapping[str, Any] | None = None
) -> Any:
    """What a function of the user returns.

    The seed is set before, because importing its file may have drawn random numbers.

    Raises:
        ValueError: if it raises anything.
    """
    given = dict(arguments or {})
    shown = ", ".join(f"{name}={each!r}" for name, each in given.items())
    call = f"{text.rpartition(':')[2]}({shown})"
    _check_arguments(f"{option}: {call}", function, given)
    set_seeds(seed)
    try:
        return function(**given)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{option}: {call} raised {first_line(error)}; --debug shows where"
        ) from error


def _check_arguments(call: str, function: Any, given: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some that are not written in Python
        return
    try:
        signature.bind(**given)
    except TypeError as error:
        raise ValueError(f"{call} must have the arguments of {signature} ({error})") from error


def _public(module: ModuleType) -> str:
    """What a module defines that can be called."""
    names = [
        name
        for name, each in vars(module).items()
        if callable(each) and getattr(each, "__module__", "") == module.__name__
    ]
    return some(names) or "no function and no class"


def _imported(option: str, where: str) -> ModuleType:
    is_file = where.endswith(".py") or "/" in where
    if is_file and not Path(where).is_file():
        raise ValueError(f"{option}: the file must exist, got {where}")
    try:
        return _file(Path(where).resolve()) if is_file else _module(where)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{option}: {where} cannot be imported: {first_line(error)}; --debug shows where"
        ) from error


def _module(name: str) -> ModuleType:
    # As `python -m` does.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


@functools.cache
def _file(path: Path) -> ModuleType:
    # As `python file.py` does.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_of_relustat_analyze"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
