"""The calls in the code of a module's class: where each is written, and under which name.

A call is known by its position in the source. So it is the same call whichever calls ran before
it, and in code that ``torch.compile`` has rewritten.
"""

from __future__ import annotations

import dis
import functools
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import nn

Position = tuple[Any, ...]
"""File, first and last line, first and last column."""


class WrittenCall(NamedTuple):
    """A call in the source.

    Attributes:
        text: the last name of what is called: ``relu`` of ``F.relu(x)`` and of ``self.relu(x)``.
        is_of_self: whether it is an attribute of ``self`` that is called.
        may_repeat: whether one forward may reach it twice: it is in a loop, or in a function that
            is called in a loop or at several positions.
        order: its index among the calls of its class.
    """

    text: str
    is_of_self: bool
    may_repeat: bool
    order: int


class ClassCode:
    """The calls in the methods of a module's class: ``forward``, the others, and ``__init__``.

    Methods of PyTorch's own classes are left out. Python 3.10 does not say where in a line a call
    is, so there no calls are known.
    """

    def __init__(self, kind: type[nn.Module]) -> None:
        # To indices of calls.
        self._by_offset: dict[int, dict[int, int]] = {}
        self._by_position: dict[Position, int] = {}
        self.files: set[str] = set()
        # The identity of a code object is its key, so it must stay.
        self._codes: list[types.CodeType] = []
        self.calls: list[WrittenCall] = []
        functions: list[str] = []
        for code in _methods_of(kind):
            self._read(code, functions)
        self._mark_repeated(functions)

    def call_at(self, code: types.CodeType, offset: int) -> WrittenCall | None:
        """The call that a frame runs, if it is one of this class."""
        offsets = self._by_offset.get(id(code))
        if offsets is not None:
            order = offsets.get(offset)
            return None if order is None else self.calls[order]
        if code.co_filename not in self.files:
            return None
        # A compiler has rewritten the code.
        return self.call_written_at(_position_at(code, offset))

    def call_written_at(self, position: Position) -> WrittenCall | None:
        order = self._by_position.get(position)
        return None if order is None else self.calls[order]

    def _read(self, code: types.CodeType, functions: list[str]) -> None:
        if id(code) in self._by_offset:
            return
        self._codes.append(code)
        self.files.add(code.co_filename)
        offsets = self._by_offset[id(code)] = {}
        instructions = list(dis.get_instructions(code))
        names = _names_by_start(instructions)
        loops = [
            (instruction.argval, instruction.offset)
            for instruction in instructions
            if "JUMP_BACKWARD" in instruction.opname
        ]
        ends = [instruction.offset for instruction in instructions[1:]]
        for instruction, end in zip(instructions, [*ends, len(code.co_code)], strict=True):
            if isinstance(instruction.argval, types.CodeType):
                self._read(instruction.argval, functions)
            called = _names_called(instruction, names)
            if called:
                order = len(self.calls)
                is_of_self = len(called) == 2 and called[0] == "self"
                is_in_loop = any(start <= instruction.offset <= last for start, last in loops)
                self.calls.append(WrittenCall(called[-1], is_of_self, is_in_loop, order))
                functions.append(code.co_name)
                # A frame may stand at any of the cache entries behind an instruction.
                offsets.update(dict.fromkeys(range(instruction.offset, end, 2), order))
                self._by_position[position_in(code.co_filename, _where(instruction))] = order

    def _mark_repeated(self, functions: list[str]) -> None:
        """Calls in a function that is called repeatedly are repeated."""
        before = -1
        while before < sum(call.may_repeat for call in self.calls):
            before = sum(call.may_repeat for call in self.calls)
            calls_of: dict[str, int] = {}
            for call in self.calls:
                calls_of[call.text] = calls_of.get(call.text, 0) + 1 + call.may_repeat
            calls_of.pop("forward", None)  # super().forward(x), and those of other modules
            self.calls = [
                call._replace(may_repeat=call.may_repeat or calls_of.get(function, 0) > 1)
                for call, function in zip(self.calls, functions, strict=True)
            ]


_codes: weakref.WeakKeyDictionary[type[nn.Module], ClassCode] = weakref.WeakKeyDictionary()


def class_code(kind: type[nn.Module]) -> ClassCode:
    """The calls in the code of a class. It is read once."""
    code = _codes.get(kind)
    return _codes.setdefault(kind, ClassCode(kind)) if code is None else code


def _methods_of(kind: type[nn.Module]) -> Iterator[types.CodeType]:
    overriding: dict[str, bool] = {}
    for each in kind.__mro__:
        if is_of_pytorch(each.__module__):
            continue
        found = []
        for name, value in vars(each).items():
            codes = list(_codes_in(value))
            if overriding.get(name, True):
                found += codes
                # An overridden method is called only by way of super().
                overriding[name] = any("super" in code.co_names for code in codes)
        yield from sorted(found, key=_order)


def _order(code: types.CodeType) -> tuple[int, int]:
    """``forward`` first and ``__init__``, which rarely calls a ReLU, last."""
    return {"forward": 0, "__init__": 2}.get(code.co_name, 1), code.co_firstlineno


def is_of_pytorch(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in ("torch", "builtins")


def _codes_in(value: Any) -> Iterator[types.CodeType]:
    """The code of a function, also of one below decorators."""
    while value is not None:
        if isinstance(value, types.FunctionType) and not is_of_pytorch(
            value.__globals__.get("__name__")
        ):
            yield value.__code__
        below = "fget" if isinstance(value, property) else "__wrapped__"
        value = getattr(value, below, None)


# Names that are loaded, by where they begin: (line, column) -> where they end -> name.
_Names = dict[tuple[int, int], dict[tuple[int, int], str]]


def _names_by_start(instructions: Iterable[dis.Instruction]) -> _Names:
    found: _Names = {}
    for each in instructions:
        where = _where(each)
        if (
            where is not None
            and each.opname.startswith("LOAD_")
            and each.opname != "LOAD_CONST"
            and isinstance(each.argval, str)
        ):
            start, end = (where.lineno, where.col_offset), (where.end_lineno, where.end_col_offset)
            found.setdefault(start, {})[end] = each.argval
    return found


def _names_called(call: dis.Instruction, names: _Names) -> list[str]:
    """The dotted name of what an instruction calls, in parts; empty if it calls nothing.

    The name begins where the call does, and ends before it.
    """
    where = _where(call)
    if where is None or not call.opname.startswith("CALL"):
        return []
    end = where.end_lineno, where.end_col_offset
    begun = names.get((where.lineno, where.col_offset), {})
    return [name for its_end, name in sorted(begun.items()) if its_end < end]


def _where(instruction: dis.Instruction) -> Any:
    where = getattr(instruction, "positions", None)
    return None if where is None or where.end_col_offset is None else where


@functools.lru_cache(maxsize=1024)
def _position_at(code: types.CodeType, offset: int) -> Position:
    before = [each for each in dis.get_instructions(code) if each.offset <= offset]
    return position_in(code.co_filename, _where(before[-1])) if before else ()


def position_in(file: str, where: Any) -> Position:
    """The position of an instruction of ``dis``, or of the compiler, in a file."""
    if where is None:
        return ()
    return file, where.lineno, where.end_lineno, where.col_offset, where.end_col_offset
