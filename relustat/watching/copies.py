"""Copies, pickles and scripts of a watched module: they hold nothing of the watch.

Python asks an object itself, before its class, how to copy and how to pickle it. So each watched
module has answers of its own, which leave out what the watch has added.
"""

from __future__ import annotations

import copy
import copyreg
import operator
import weakref
from collections.abc import Collection
from types import MethodType
from typing import Any, NoReturn

from torch import nn
from torch.utils.hooks import RemovableHandle

from relustat._dynamo import inline_all_in_graph, unwatch_class, unwatched_class
from relustat._hooks import HOOK_DICTS, take_off
from relustat.nn.replacements import Swapped, is_swapped, replacement

ATTRIBUTE = "_relustat_watched"
"""Where a module holds its watches."""

# How deep a module's own answer may hide its attributes.
_DEEP = 4


class Hook:
    """A hook of a watch."""


class Answers:
    """What a watched module answers in place of its class."""

    def __init__(self, module: nn.Module) -> None:
        # Weak: a module must be freed when nobody else holds it.
        self._module = weakref.ref(module)
        self._attributes = {
            "__reduce_ex__": self.reduce,
            "__deepcopy__": self.deepcopy,
            "__prepare_scriptable__": self.script,
        }
        # What the module has under these names itself.
        self._before = {
            name: module.__dict__[name] for name in self._attributes if name in module.__dict__
        }

    @property
    def module(self) -> Any:
        return self._module()

    def put_on(self) -> None:
        self.module.__dict__.update(self._attributes)

    def take_off(self) -> None:
        """Gives the module its own attributes back, unless others have replaced them meanwhile."""
        attributes = self.module.__dict__
        own = self._own()
        for name, ours in self._attributes.items():
            if attributes.get(name) == ours:
                if name in own:
                    attributes[name] = own[name]
                else:
                    del attributes[name]

    def _own(self) -> dict[str, Any]:
        """What the module would have under these names now: it may be swapped, or no longer."""
        own = {
            name: each
            for name, each in self._before.items()
            if not isinstance(getattr(each, "__self__", None), Swapped)
        }
        swapped = replacement(self.module).attributes() if is_swapped(self.module) else {}
        return {**own, **{name: swapped[name] for name in self._attributes if name in swapped}}

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self.module).__name__}: a watched model whose class pickles its attributes by "
            "itself cannot be pickled; close() its watch, or unwatch(model), first"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Answers:
        return self

    def deepcopy(self, memo: dict[int, Any]) -> Any:
        kind: Any = type(self.module)
        if not hasattr(kind, "__deepcopy__"):
            answer = self.reduce(4)
            if not isinstance(answer, tuple):
                return self.module
            return copy._reconstruct(self.module, memo, *answer)  # type: ignore[attr-defined]
        copied = kind.__deepcopy__(self.module, memo)
        if isinstance(copied, nn.Module) and copied is not self.module:
            unwatch_class(copied)
            take_traces_off(copied, of_copy=True)
        return copied

    def reduce(self, protocol: Any) -> Any:
        kind: Any = type(self.module)
        answer = kind.__reduce_ex__(self.module, protocol)
        if not isinstance(answer, tuple):
            return answer
        make, arguments, *others = _cleaned(answer, _DEEP)
        plain = unwatched_class(kind)
        if plain is not kind:
            # Its own function would not make an object of another class.
            make, arguments = copyreg._reconstructor, (plain, object, None)  # type: ignore[attr-defined]
        return make, arguments, *others

    def script(self) -> NoReturn:
        raise TypeError(
            f"{type(self.module).__name__}: a watched model cannot be scripted; close() its watch, "
            "or unwatch(model), first"
        )


def answers_of(module: nn.Module) -> Answers | None:
    """The answers that a module gives, if it is watched."""
    for value in list(module.__dict__.values()):
        if _is_answer(value):
            answers: Answers = value.__self__
            return answers
    return None


def take_traces_off(model: nn.Module, *, of_copy: bool = False) -> None:
    """Removes what an unusual copy has of the watch of its original.

    Args:
        model: the copy.
        of_copy: also where it shares what its original has.
    """
    for module in model.modules():
        watches = module.__dict__.get(ATTRIBUTE)
        if watches is None or any(each.module is module for each in watches.values()):
            continue
        if not of_copy and any(each.visitor is not None for each in watches.values()):
            continue
        del module.__dict__[ATTRIBUTE]
        for name in [name for name, value in module.__dict__.items() if _is_ours(name, value)]:
            del module.__dict__[name]
        originals = [each.module for each in watches.values() if each.module is not None]
        for name in HOOK_DICTS:
            hooks = module.__dict__[name]
            if any(original.__dict__[name] is hooks for original in originals):
                module.__dict__[name] = type(hooks)(_hooks_cleaned(hooks))
            else:
                for hook in [each for each in hooks.values() if isinstance(each, Hook)]:
                    take_off(module, hook)


def _is_answer(value: object) -> bool:
    return type(value) is MethodType and type(value.__self__) is Answers


def _is_ours(name: object, value: object) -> bool:
    return name == ATTRIBUTE or _is_answer(value)


def _cleaned(value: Any, deep: int) -> Any:
    """What a module says of itself, without what is ours; the same object if there is nothing."""
    if isinstance(value, RemovableHandle):
        return _handle_cleaned(value)
    if isinstance(value, dict) and any(isinstance(each, Hook) for each in value.values()):
        return _hooks_cleaned(value)
    if not deep or type(value) not in (tuple, list, dict):
        return value
    if type(value) is dict:
        kept = {
            name: _cleaned(each, deep - 1)
            for name, each in value.items()
            if not _is_ours(name, each)
        }
        if ATTRIBUTE in value and "_forward_hooks_always_called" in kept:
            always, hooks = kept["_forward_hooks_always_called"], kept["_forward_hooks"]
            kept["_forward_hooks_always_called"] = type(always)(
                (number, each) for number, each in always.items() if number in hooks
            )
        return value if _are_same(kept.values(), value.values()) else kept
    parts = [
        _cleaned(each, deep - 1)
        for each in value
        if not (type(each) is tuple and len(each) == 2 and _is_ours(*each))
    ]
    return value if _are_same(parts, value) else type(value)(parts)


def _are_same(some: Collection[Any], others: Collection[Any]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


# The copies of dicts of hooks without ours, by the identities of the dicts. A pickle holds them
# until it is written, and a handle must lead to the same one as its module.
_clean_hooks: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _hooks_cleaned(hooks: dict[int, Any]) -> dict[int, Any]:
    kept = [(number, hook) for number, hook in hooks.items() if not isinstance(hook, Hook)]
    cleaned: dict[int, Any] | None = _clean_hooks.get(id(hooks))
    if cleaned is None or list(cleaned.items()) != kept:
        cleaned = _clean_hooks[id(hooks)] = type(hooks)(kept)
    return cleaned


def _handle_cleaned(handle: RemovableHandle) -> RemovableHandle:
    hooks = handle.hooks_dict_ref()
    if hooks is None or not any(isinstance(each, Hook) for each in hooks.values()):
        return handle
    cleaned = copy.copy(handle)
    kept = _hooks_cleaned(hooks)
    cleaned.hooks_dict_ref = weakref.ref(kept)
    cleaned._relustat_kept = kept  # type: ignore[attr-defined]
    return cleaned


inline_all_in_graph(globals())
