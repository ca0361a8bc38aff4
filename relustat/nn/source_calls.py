"""Calls of a module's submodules in the source of its methods, and what happens between two.

Nothing is run: only calls whose order and arguments are plain to see in the text count.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from torch import nn

Path = tuple[str, ...]
"""The names that lead from a module to one of its submodules."""

Site = tuple[str, str, int]
"""A call: the name of its Python module, of the function, and the line."""


class HandOver(NamedTuple):
    """A call whose result goes to another call, and nowhere else.

    Attributes:
        site: where the first call is.
        giver: the path of what is called first.
        producer: the path of the call that gave its argument, if nothing else has that; else None.
    """

    site: Site
    giver: Path
    producer: Path | None


class SourceCall(NamedTuple):
    """A call of a submodule.

    Attributes:
        callee: its path.
        hand_over: the call right before it whose result it is given; None if there is none.
        why_not: why there is none.
    """

    callee: Path
    hand_over: HandOver | None
    why_not: str


def source_calls(module: nn.Module) -> list[SourceCall]:
    """The calls in the methods of a module's class, but for PyTorch's own methods."""
    return [call for method in _methods(type(module)) for call in _calls_of(method)]


def unread_methods(module: nn.Module) -> list[str]:
    """The methods whose source is not there."""
    return [each.__qualname__ for each in _methods(type(module)) if _parsed(each) is None]


def follow(module: nn.Module, path: Path) -> Any:
    """What a path leads to; None if it leads nowhere."""
    found: Any = module
    for name in path:
        found = getattr(found, name, None)
    return found


def _methods(kind: type) -> Iterator[FunctionType]:
    for base in kind.__mro__:
        if base is object or base.__module__.partition(".")[0] == "torch":
            continue
        for value in vars(base).values():
            function = inspect.unwrap(value) if callable(value) else value
            if isinstance(function, FunctionType):
                yield function


@functools.cache
def _parsed(function: FunctionType) -> ast.FunctionDef | None:
    try:
        text = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef) or not node.args.args:
        return None
    node.decorator_list.clear()
    return node if _is_source_of(tree, function.__code__) else None


def _is_source_of(tree: ast.Module, code: CodeType) -> bool:
    """Whether a function was compiled from this text: a file may have changed since its import."""
    compiled = compile(tree, code.co_filename, "exec", dont_inherit=True).co_consts[0]
    return isinstance(compiled, CodeType) and _outline(compiled) == _outline(code)


def _outline(code: CodeType) -> tuple[Any, ...]:
    """The lines of a function, and the names that it uses."""
    lines = {line for _, _, line in code.co_lines() if line is not None}
    # Where it is defined decides what is a closure's.
    names = {*code.co_names, *code.co_freevars} - {"__class__"}
    return lines - {min(lines)}, names, code.co_varnames


@functools.cache
def _calls_of(function: FunctionType) -> tuple[SourceCall, ...]:
    node = _parsed(function)
    return () if node is None else tuple(_Reader(function, node).calls())


class _Reader:
    """Reads the calls of one method."""

    def __init__(self, function: FunctionType, node: ast.FunctionDef) -> None:
        self.node = node
        self.home = function.__module__, function.__name__
        self.owner = node.args.args[0].arg
        # What a nested function may read at any time.
        self.captured = {
            name.id
            for nested in ast.walk(node)
            if nested is not node and isinstance(nested, (ast.FunctionDef, ast.Lambda))
            for name in ast.walk(nested)
            if isinstance(name, ast.Name)
        }

    def calls(self) -> Iterator[SourceCall]:
        for block in _blocks(self.node):
            for before, statement in zip([None, *block], block, strict=False):
                for call in _calls_in(statement):
                    callee = self.path(call)
                    if callee is not None:
                        hand_over, why_not = self.hand_over(call, statement, before, block)
                        yield SourceCall(callee, hand_over, why_not)

    def path(self, node: ast.AST | None) -> Path | None:
        """The path of what is called, if it begins at the owner."""
        names: list[str] = []
        target = node.func if isinstance(node, ast.Call) else None
        while isinstance(target, ast.Attribute):
            names.append(target.attr)
            target = target.value
        is_owners = isinstance(target, ast.Name) and target.id == self.owner
        return tuple(reversed(names)) if names and is_owners else None

    def hand_over(
        self, call: ast.Call, statement: ast.stmt, before: ast.stmt | None, block: list[ast.stmt]
    ) -> tuple[HandOver | None, str]:
        given = _only_argument(call)
        if isinstance(given, ast.Call):
            return self.from_call(given, statement, before)
        if not isinstance(given, ast.Name):
            return None, "its input is not the result of a call"
        giver = _assigned(before, given.id)
        if giver is None:
            return None, f"the line before does not compute its input, {given.id}"
        if not self.ends_with(given, statement) or _first_call(statement) is not call:
            return None, f"{given.id} may still be read after it"
        index = block.index(statement)
        return self.from_call(giver, before, block[index - 2] if index > 1 else None)

    def from_call(
        self, giver: ast.Call, statement: ast.stmt | None, before: ast.stmt | None
    ) -> tuple[HandOver | None, str]:
        """`statement`: that of the giver; `before`: the one before."""
        path = self.path(giver)
        if path is None:
            return None, f"its input comes from {ast.unparse(giver.func)}, no module"
        given = _only_argument(giver)
        producer = None
        if isinstance(given, ast.Call):
            producer = self.path(given)
        elif isinstance(given, ast.Name) and self.ends_with(given, statement):
            producer = self.path(_assigned(before, given.id))
        return HandOver((*self.home, giver.lineno), path, producer), ""

    def ends_with(self, name: ast.Name, statement: ast.stmt | None) -> bool:
        """Whether a statement reads a name once, and is the last one to see its value."""
        if statement is None or name.id in self.captured:
            return False
        reads = [
            each
            for each in ast.walk(statement)
            if isinstance(each, ast.Name) and each.id == name.id and isinstance(each.ctx, ast.Load)
        ]
        is_last = isinstance(statement, ast.Return) or _target(statement) == name.id
        return is_last and len(reads) == 1


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The statements that follow one another, without those of nested functions."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if not isinstance(block, list) or not block or not isinstance(block[0], ast.stmt):
            continue
        yield block
        for statement in block:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _blocks(statement)
    for handler in getattr(node, "handlers", []):
        yield from _blocks(handler)


def _calls_in(statement: ast.stmt) -> list[ast.Call]:
    """The calls of a statement that has no statements of its own."""
    if any(hasattr(statement, field) for field in ("body", "orelse", "handlers")):
        return []
    return [each for each in ast.walk(statement) if isinstance(each, ast.Call)]


def _only_argument(call: ast.Call) -> ast.expr | None:
    return call.args[0] if len(call.args) == 1 and not call.keywords else None


def _target(statement: ast.stmt | None) -> str | None:
    """The one name that a statement binds."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def _assigned(statement: ast.stmt | None, name: str) -> ast.Call | None:
    """The call whose result a statement gives this name."""
    if not isinstance(statement, ast.Assign) or _target(statement) != name:
        return None
    return statement.value if isinstance(statement.value, ast.Call) else None


def _first_call(statement: ast.stmt) -> ast.Call | None:
    """The call that a statement makes first, if that is plain to see."""
    node = getattr(statement, "value", None)
    first: ast.Call | None = None
    while isinstance(node, (ast.Call, ast.Attribute)):
        if isinstance(node, ast.Attribute):
            node = node.value
            continue
        first = node
        callee: ast.expr = node.func
        while isinstance(callee, ast.Attribute):
            callee = callee.value
        if isinstance(callee, ast.Call):
            node = node.func
        elif isinstance(callee, ast.Name):
            node = node.args[0] if node.args else None
        else:
            return None
    return first
