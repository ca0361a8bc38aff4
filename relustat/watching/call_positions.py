"""The calls in the code of a module's class: where each is written, and under which name.

A call is known by its position in the source. So it is the same call whichever calls ran before
it, and in code that ``torch.compile`` has rewritten.
"""

from __future__ import annotations

import dis
import functools
import types
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import nn

from relustat._dynamo import inline_all_in_graph

_NOT_OF_USERS = ("torch", "builtins", __name__.partition(".")[0])

Position = tuple[Any, ...]
"""File, first and last line, first and last column."""


class WrittenCall(NamedTuple):
    """A call in the source.

    Attributes:
        text: the last name of what is called: ``relu`` of ``F.relu(x)`` and of ``self.relu(x)``.
        is_of_self: whether it is an attribute of ``self`` that is called.
        may_repeat: whether one forward may reach it twice: it is in a loop, or in a function that
            is called more than once.
        order: its index among the calls of its class.
        inner, inners: if it calls a function outside of the class: the index of the call in that
            function among those of the same name, and their number.
    """

    text: str
    is_of_self: bool
    may_repeat: bool
    order: int
    inner: int = 0
    inners: int = 1


class ClassCode:
    """The calls in the methods of a module's class: ``forward``, the others, and ``__init__``.

    Methods of PyTorch's own classes are left out. Python 3.10 does not say where in a line a call
    is, so there no calls are known.

    Args:
        kind: the class.
        forward: the module's forward, which need not be the class's.
    """

    def __init__(self, kind: type[nn.Module], forward: object) -> None:
        # To indices of calls.
        self._by_offset: dict[int, dict[int, int]] = {}
        self._by_position: dict[Position, int] = {}
        self.files: set[str] = set()
        # The identity of a code object is its key, so it must stay.
        self._codes: list[types.CodeType] = []
        self.calls: list[WrittenCall] = []
        # The function that each call is in. And where each name is read: in which function, and
        # whether in a loop there.
        self._functions: list[str] = []
        self._reads: list[tuple[str, str, bool]] = []
        for code in _codes_in(forward):
            self._read(code, "forward")
        for code in _methods_of(kind):
            self._read(code, code.co_name)
        self._mark_repeated()

    def call_at(self, code: types.CodeType, offset: int) -> WrittenCall | None:
        """The call that a frame runs, if it is one of this class."""
        offsets = self._by_offset.get(id(code))
        if offsets is not None:
            order = offsets.get(offset)
            return None if order is None else self.calls[order]
        if code.co_filename not in self.files:
            return None
        # A compiler has rewritten the code.
        return self.call_written_at(position_at(code, offset))

    @property
    def names(self) -> set[str]:
        """All names that the code reads."""
        return {name for name, _, _ in self._reads}

    def calls_in(self, code: types.CodeType) -> list[WrittenCall]:
        """The calls of one function and of those within it, if it is one of this class."""
        offsets = self._by_offset.get(id(code))
        if offsets is None:
            return []
        found = [self.calls[order] for order in dict.fromkeys(offsets.values())]
        within = [each for each in code.co_consts if isinstance(each, types.CodeType)]
        return [*found, *(call for each in within for call in self.calls_in(each))]

    def call_written_at(self, position: Position) -> WrittenCall | None:
        order = self._by_position.get(position)
        return None if order is None else self.calls[order]

    def _read(self, code: types.CodeType, function: str) -> None:
        if id(code) in self._by_offset:
            return
        self._codes.append(code)
        self.files.add(code.co_filename)
        offsets = self._by_offset[id(code)] = {}
        instructions = list(dis.get_instructions(code))
        names = _names_by_start(instructions)
        loops = _loops(instructions)
        ends = [instruction.offset for instruction in instructions[1:]]
        for instruction, end in zip(instructions, [*ends, len(code.co_code)], strict=True):
            is_in_loop = any(start <= instruction.offset <= last for start, last in loops)
            argument = instruction.argval
            if isinstance(argument, types.CodeType):
                # A comprehension is in its function; other functions are called by their names.
                is_own = argument.co_name.endswith("comp>") or argument.co_name == "<genexpr>"
                self._read(argument, function if is_own else argument.co_name)
            elif _is_read(instruction):
                self._reads.append((argument, function, is_in_loop))
            called = _names_called(instruction, names)
            if called:
                order = len(self.calls)
                is_of_self = len(called) == 2 and called[0] == "self"
                self.calls.append(WrittenCall(called[-1], is_of_self, is_in_loop, order))
                self._functions.append(function)
                # A frame may stand at any of the cache entries behind an instruction.
                offsets.update(dict.fromkeys(range(instruction.offset, end, 2), order))
                self._by_position[position_in(code.co_filename, _where(instruction))] = order

    def _mark_repeated(self) -> None:
        """Calls in a function are repeated if its name is read twice: to call it or pass it on."""
        repeated = {"<lambda>"}
        before = 0
        while before < len(repeated):
            before = len(repeated)
            reads: Counter[str] = Counter()
            for name, function, is_in_loop in self._reads:
                # What __init__ stores may be called at any time.
                is_many = is_in_loop or function in repeated or function == "__init__"
                reads[name] += 1 + is_many
            repeated |= {name for name in self._functions if reads[name] > 1} - {"forward"}
        self.calls = [
            call._replace(may_repeat=call.may_repeat or function in repeated)
            for call, function in zip(self.calls, self._functions, strict=True)
        ]


# By class, and by the code of forward: it is another one if somebody replaces it.
_class_codes: weakref.WeakKeyDictionary[type[nn.Module], dict[int, ClassCode]]
_class_codes = weakref.WeakKeyDictionary()


def class_code(module: nn.Module) -> ClassCode:
    """The calls in the code of a module's class. It is read once for each forward that it has."""
    kind = type(module)
    forward: Any = vars(module).get("forward") or kind.forward
    codes = _class_codes.get(kind)
    if codes is None:
        codes = _class_codes.setdefault(kind, {})
    key = id(getattr(forward, "__code__", None))
    code = codes.get(key)
    return codes.setdefault(key, ClassCode(kind, forward)) if code is None else code


def is_in_loop(code: types.CodeType, position: Position) -> bool:
    """Whether what stands at a position of a function may run twice in one run of it."""
    return position in _positions_in_loops(code)


@functools.lru_cache(maxsize=1024)
def calls_in(code: types.CodeType) -> dict[Position, tuple[int, int]]:
    """The index of each call of a function among those of its name, and their number."""
    instructions = list(dis.get_instructions(code))
    names = _names_by_start(instructions)
    by_name: dict[str, list[Position]] = {}
    for each in instructions:
        called = _names_called(each, names)
        if called:
            position = position_in(code.co_filename, _where(each))
            by_name.setdefault(called[-1], []).append(position)
    return {
        position: (index, len(positions))
        for positions in by_name.values()
        for index, position in enumerate(positions)
    }


def _loops(instructions: Iterable[dis.Instruction]) -> list[tuple[int, int]]:
    return [
        (instruction.argval, instruction.offset)
        for instruction in instructions
        if "JUMP_BACKWARD" in instruction.opname
    ]


@functools.lru_cache(maxsize=1024)
def _positions_in_loops(code: types.CodeType) -> frozenset[Position]:
    instructions = list(dis.get_instructions(code))
    loops = _loops(instructions)
    return frozenset(
        position_in(code.co_filename, _where(each))
        for each in instructions
        if any(first <= each.offset <= last for first, last in loops)
    )


def _methods_of(kind: type[nn.Module]) -> Iterator[types.CodeType]:
    overriding: dict[str, bool] = {}
    for each in kind.__mro__:
        if not is_of_user(each.__module__):
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


def is_of_user(module: str | None) -> bool:
    """Whether a module is neither PyTorch's nor ours."""
    return module is not None and module.partition(".")[0] not in _NOT_OF_USERS


def _codes_in(value: Any) -> Iterator[types.CodeType]:
    """The code of a function, and of those that it decorates."""
    if isinstance(value, property):
        value = value.fget
    value = getattr(value, "__func__", value)
    if not isinstance(value, types.FunctionType):
        return
    if is_of_user(value.__globals__.get("__name__")):
        yield value.__code__
    for cell in value.__closure__ or ():
        try:
            held = cell.cell_contents
        except ValueError:  # empty
            continue
        if isinstance(held, types.FunctionType) and held is not value:
            yield from _codes_in(held)


# Names that are loaded, by where they begin: (line, column) -> where they end -> name.
_Names = dict[tuple[int, int], dict[tuple[int, int], str]]


def _names_by_start(instructions: Iterable[dis.Instruction]) -> _Names:
    found: _Names = {}
    for each in instructions:
        where = _where(each)
        if where is not None and _is_read(each):
            start, end = (where.lineno, where.col_offset), (where.end_lineno, where.end_col_offset)
            found.setdefault(start, {})[end] = each.argval
    return found


def _is_read(instruction: dis.Instruction) -> bool:
    name = instruction.opname
    is_load = name.startswith("LOAD_") and name != "LOAD_CONST"
    return is_load and isinstance(instruction.argval, str)


def _names_called(call: dis.Instruction, names: _Names) -> list[str]:
    """The dotted name of what an instruction calls, in parts; empty if it calls nothing.

    The name begins where the call does, and ends before it.
    """
    where = _where(call)
    if where is None or not call.opname.startswith("CALL"):
        return []
    end = where.end_lineno, where.end_col_offset
    begun = names.get((where.lineno, where.col_offset), {})
    called = [name for its_end, name in sorted(begun.items()) if its_end < end]
    # An op without its overload: torch.ops.aten.relu.default
    return called[:-1] if called[-4:-2] == ["ops", "aten"] else called


def _where(instruction: dis.Instruction) -> Any:
    where = getattr(instruction, "positions", None)
    return None if where is None or where.end_col_offset is None else where


@functools.lru_cache(maxsize=1024)
def position_at(code: types.CodeType, offset: int) -> Position:
    """The position of the instruction that a frame runs."""
    before = [each for each in dis.get_instructions(code) if each.offset <= offset]
    return position_in(code.co_filename, _where(before[-1]) if before else None)


def position_in(file: str, where: Any) -> Position:
    """The position of an instruction of ``dis``, or of the compiler, in a file."""
    if where is None:
        return ()
    return file, where.lineno, where.end_lineno, where.col_offset, where.end_col_offset


inline_all_in_graph(globals())
