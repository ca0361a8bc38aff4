"""Calls of a module's submodules in the source of its methods, and what happens between two.

Nothing is run: only calls whose order and arguments are plain to see in the text count.
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
import weakref
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from torch import nn

Path = tuple[str, ...]
"""The names that lead from a module to one of its submodules."""

Site = tuple[str, str, int]
"""A call: the file, the function and the line."""


class HandOver(NamedTuple):
    """A call whose result goes to another call of the same method, and nowhere else.

    Attributes:
        owner: the name that the method has for its module.
        giver: the path of what is called first.
        receiver: the path of what gets the result.
        producer: the path of the call that gave the first one its argument, if nothing else has
            that; else None.
    """

    owner: str
    giver: Path
    receiver: Path
    producer: Path | None


class SourceCall(NamedTuple):
    """A call of a submodule.

    Attributes:
        callee: its path.
        hand_over: the call right before it whose result it is given; None if there is none.
        site: where that one is.
        why_not: why there is none.
    """

    callee: Path
    hand_over: HandOver | None
    site: Site | None
    why_not: str


def source_calls(module: nn.Module) -> list[SourceCall]:
    """The calls in the methods of a module's class, but for PyTorch's own methods."""
    return [call for method in _methods(type(module)) for call in _read(method) or ()]


def unread_methods(module: nn.Module) -> list[str]:
    """The methods whose source is not there."""
    return [each.__qualname__ for each in _methods(type(module)) if _read(each) is None]


def follow(module: object, path: Path) -> nn.Module | None:
    """The submodule that a path leads to. No attribute is computed."""
    found = module if isinstance(module, nn.Module) else None
    for name in path:
        found = found._modules.get(name) if found is not None else None
    return found


def _methods(kind: type) -> Iterator[FunctionType]:
    for base in kind.__mro__:
        if base is not object and base.__module__.partition(".")[0] != "torch":
            # Plain methods, also decorated ones: their first argument is the module.
            yield from filter(None, map(_undecorated, vars(base).values()))


def _undecorated(value: object) -> FunctionType | None:
    try:
        function = inspect.unwrap(value) if isinstance(value, FunctionType) else None
    except ValueError:  # it wraps itself
        return None
    return function if isinstance(function, FunctionType) else None


_known: weakref.WeakKeyDictionary[FunctionType, list[SourceCall] | None] = (
    weakref.WeakKeyDictionary()
)


def _read(method: FunctionType) -> list[SourceCall] | None:
    """The calls of a method; None if its source is not there."""
    if method not in _known:
        node = _parsed(method)
        _known[method] = None if node is None else list(_Reader(method.__code__, node).calls())
    return _known[method]


def _parsed(function: FunctionType) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
        node = tree.body[0]
        if not isinstance(node, ast.FunctionDef) or not node.args.args:
            return None
        return node if _is_source_of(node, function.__code__) else None
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return None


def _is_source_of(node: ast.FunctionDef, code: CodeType) -> bool:
    """Whether a function was compiled from this text: a file may have changed since its import."""
    arguments = node.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        each.annotation = None
    for variadic in filter(None, (arguments.vararg, arguments.kwarg)):
        variadic.annotation = None
    arguments.defaults, node.decorator_list, node.returns = [], [], None
    arguments.kw_defaults = [None] * len(arguments.kwonlyargs)
    # In a class, for super().
    around = ast.parse("class _: pass")
    around.body[0].body = [node]  # type: ignore[attr-defined]
    compiled = compile(around, code.co_filename, "exec", dont_inherit=True)
    for _ in range(2):
        compiled = next(each for each in compiled.co_consts if isinstance(each, CodeType))
    return _instructions(compiled) == _instructions(code)


def _instructions(code: CodeType) -> list[tuple[str, Any]]:
    """What a function does. What is around it decides how names are found."""
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return [
        (_SAME.get(each.opname, each.opname), _comparable(each.argval))
        for each in dis.get_instructions(code)
        if each.opcode not in jumps and each.opname not in ("COPY_FREE_VARS", "PUSH_NULL")
    ]


_SAME = {"LOAD_DEREF": "LOAD_GLOBAL", "LOAD_METHOD": "LOAD_ATTR", "CALL_METHOD": "CALL_FUNCTION"}


def _comparable(value: Any) -> Any:
    return value.co_name if isinstance(value, CodeType) else (type(value), value)


_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


class _Reader:
    """Reads the calls of one method."""

    def __init__(self, code: CodeType, node: ast.FunctionDef) -> None:
        self.node = node
        self.home = code.co_filename, code.co_name
        self.locals = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        self.owner = node.args.args[0].arg
        # What a nested scope may read at any time.
        self.captured = {
            name.id
            for nested in ast.walk(node)
            if nested is not node and isinstance(nested, _SCOPES)
            for name in ast.walk(nested)
            if isinstance(name, ast.Name)
        }

    def calls(self) -> Iterator[SourceCall]:
        if any(
            isinstance(each, ast.Name) and each.id == self.owner and _is_bound(each)
            for each in ast.walk(self.node)
        ):
            return
        for block, in_try in _blocks(self.node):
            for index, statement in enumerate(block):
                for call in _calls_in(statement):
                    callee = self.path(call)
                    if callee is not None:
                        yield self.source_call(callee, call, block, index, in_try)

    def path(self, node: ast.AST | None) -> Path | None:
        """The path of what is called, if it begins at the owner."""
        names: list[str] = []
        target = node.func if isinstance(node, ast.Call) else None
        while isinstance(target, ast.Attribute):
            names.append(target.attr)
            target = target.value
        is_owners = isinstance(target, ast.Name) and target.id == self.owner
        return tuple(reversed(names)) if names and is_owners else None

    def source_call(
        self, callee: Path, call: ast.Call, block: list[ast.stmt], index: int, in_try: bool
    ) -> SourceCall:
        statement, given = block[index], _only_argument(call)
        before = block[index - 1] if index > 0 else None
        if isinstance(given, ast.Call):
            return self.from_call(callee, call, given, [statement, before])
        why_not = "its input is not the result of a call"
        if isinstance(given, ast.Name):
            giver = _assigned(before, given.id)
            if giver is None:
                why_not = f"the line before does not compute its input, {given.id}"
            elif in_try or not self.ends_with(given, statement) or _first(statement) is not call:
                why_not = f"{given.id} may still be read after it"
            else:
                earlier = block[index - 2] if index > 1 else None
                return self.from_call(callee, call, giver, [before, earlier])
        return SourceCall(callee, None, None, why_not)

    def from_call(
        self, callee: Path, call: ast.Call, giver: ast.Call, around: list[ast.stmt | None]
    ) -> SourceCall:
        """`around`: the statement of the giver, and the one before."""
        path = self.path(giver)
        if path is None:
            home = ast.unparse(giver.func)
            return SourceCall(callee, None, None, f"its input comes from {home}, no module")
        if not self.are_others(path, call, giver):
            return SourceCall(
                callee, None, None, "the same line may call its ReLU in another way, too"
            )
        given, producer = _only_argument(giver), None
        if isinstance(given, ast.Call):
            producer = self.path(given)
        elif isinstance(given, ast.Name) and self.ends_with(given, around[0]):
            producer = self.path(_assigned(around[1], given.id))
        hand_over = HandOver(self.owner, path, callee, producer)
        return SourceCall(callee, hand_over, (*self.home, _line(giver)), "")

    def are_others(self, path: Path, call: ast.Call, giver: ast.Call) -> bool:
        """Whether all other calls in the line of a call are certainly of something else."""
        return all(
            self.path(other) not in (path, None) or self.is_function(other.func)
            for other in ast.walk(self.node)
            if isinstance(other, ast.Call) and other not in (call, giver)
            if _line(other) == _line(giver)
        )

    def is_function(self, callee: ast.expr) -> bool:
        """Whether this is a name of a Python module, such as `torch.flatten`."""
        if not isinstance(callee, ast.Attribute):
            return False
        while isinstance(callee, ast.Attribute):
            callee = callee.value
        # Or a method of what another call gives, which is looked at by itself.
        is_global = isinstance(callee, ast.Name) and callee.id not in self.locals
        return is_global or isinstance(callee, ast.Call)

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


def _is_bound(name: ast.Name) -> bool:
    return not isinstance(name.ctx, ast.Load)


def _line(call: ast.Call) -> int:
    """The line of a frame that makes this call."""
    # Of a method that is the line of its name.
    is_method = isinstance(call.func, ast.Attribute)
    return (call.func.end_lineno if is_method else None) or call.lineno


def _blocks(node: ast.AST, in_try: bool = False) -> Iterator[tuple[list[ast.stmt], bool]]:
    """The statements that follow one another, and whether an error in one leads to others."""
    in_try = in_try or isinstance(node, ast.Try)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if not isinstance(block, list) or not block or not isinstance(block[0], ast.stmt):
            continue
        yield block, in_try
        for statement in block:
            if not isinstance(statement, _SCOPES):
                yield from _blocks(statement, in_try)
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield from _blocks(part, in_try)


def _calls_in(statement: ast.AST) -> Iterator[ast.Call]:
    """The calls of a statement that has no statements of its own, without nested scopes."""
    has_statements = any(hasattr(statement, field) for field in ("body", "cases"))
    if isinstance(statement, ast.stmt) and has_statements:
        return
    if isinstance(statement, ast.Call):
        yield statement
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, _SCOPES):
            yield from _calls_in(child)


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


def _first(statement: ast.stmt) -> ast.Call | None:
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
