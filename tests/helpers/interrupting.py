"""Interrupts at every point of some code: where Python looks for signals, or at any bytecode."""

import contextlib
import dis
import itertools
import linecache
import random
import sys
from collections import Counter
from pathlib import Path

import torch

import relustat

_PACKAGE = str(Path(relustat.__file__).parent)
_TORCH = Path(torch.__file__).parent
# PyTorch's part in calling a module, and in putting hooks on it.
_FILES = {str(_TORCH / "nn/modules/module.py"), str(_TORCH / "utils/hooks.py")}
# Python looks for signals after these: CHECK_EVAL_BREAKER in its ceval.c.
_CHECKS = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
# Of points that are come to more often, so many are tried.
_MOST_VISITS = 2


class _Tracer:
    """Raises KeyboardInterrupt at the point of this number."""

    def __init__(self, number):
        self._left = number
        self._last_opcodes = {}
        self._visits_of_withs = Counter()
        self._visits = Counter()

    def __call__(self, frame, event, _argument):
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE) and name not in _FILES:
            return None
        frame.f_trace_opcodes = name not in _FILES
        if self._is_point(frame, event):
            position = frame.f_code, frame.f_lasti
            self._visits[position] += 1
            self._left -= self._visits[position] <= _MOST_VISITS
            if self.has_interrupted:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    @property
    def has_interrupted(self):
        return self._left < 0

    def _is_point(self, frame, event):
        if event in ("call", "exception"):
            self._last_opcodes.pop(frame, None)
        if event == "line":
            return not self._is_end_of_with(frame)
        if event != "opcode":
            return False
        last = self._last_opcodes.get(frame, "")
        self._last_opcodes[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        return last.startswith(_CHECKS)

    def _is_end_of_with(self, frame):
        # Python comes to that line again, and looks for no signals before it has called __exit__.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if not line.strip().startswith("with "):
            return False
        self._visits_of_withs[frame, frame.f_lineno] += 1
        return self._visits_of_withs[frame, frame.f_lineno] > 1


class _BytecodeTracer(_Tracer):
    """Raises an error before the bytecode of this number, also where Python looks for no signals.

    As a MemoryError does. Only what calls __exit__ is left out: no code can be safe there.
    """

    def __init__(self, number, error):
        super().__init__(number)
        self._error = error
        self._in_exits = {}

    def __call__(self, frame, event, _argument):
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE) and name not in _FILES:
            return None
        frame.f_trace_opcodes = True
        if event == "line":
            self._in_exits[frame] = self._is_end_of_with(frame)
        elif event == "opcode" and not self._in_exits.get(frame):
            position = frame.f_code, frame.f_lasti
            self._visits[position] += 1
            self._left -= self._visits[position] <= _MOST_VISITS
            if self.has_interrupted:
                sys.settrace(None)
                raise self._error
        return self


def interrupted_at_points(prepare, step=1):
    """Interrupts what ``prepare()`` returns, once at each ``step``-th point; yields its number.

    Each time ``prepare()`` is called anew.
    """
    number = 0
    while _is_interrupted(prepare(), number):
        yield number
        number += step
    assert number > step


def _is_interrupted(action, number):
    before = sys.gettrace()
    tracer = _Tracer(number)
    sys.settrace(tracer)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            action()
        finally:
            sys.settrace(before)
    return tracer.has_interrupted


def failing_at_bytecodes(prepare, errors, most):
    """Raises one of the errors in what ``prepare()`` returns, at up to ``most`` of its bytecodes.

    All bytecodes are tried if there are no more, else a sample. Yields the number of each.
    """
    counting = _BytecodeTracer(sys.maxsize, None)
    _run(prepare(), counting)
    numbers = range(sys.maxsize - counting._left)
    chosen = random.Random(0).sample(numbers, min(most, len(numbers)))
    for number, error in zip(sorted(chosen), itertools.cycle(errors), strict=False):
        tracer = _BytecodeTracer(number, error)
        _run(prepare(), tracer)
        yield number


def _run(action, tracer):
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        action()
    except BaseException:
        if not tracer.has_interrupted:
            raise
    finally:
        sys.settrace(before)
