"""Interrupts at every point of some code: at each line, and where Python looks for signals."""

import contextlib
import dis
import linecache
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
