"""Hooks that can be removed after an interrupt at any point.

PyTorch keeps them by number in private dicts of its modules and parameters. No other file of the
package touches these.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as _global

HOOK_DICTS = ("_forward_pre_hooks", "_forward_hooks")
"""The attributes with a module's hooks, by their numbers."""

Registered = Callable[[nn.Module, str, nn.Module | None], None]


def take_off(module: nn.Module, hook: object) -> None:
    """Removes a forward hook or pre-hook from ``module``, if it is there.

    It is searched for, because an interrupt may come before a handle is stored.
    """
    for hooks in (module._forward_pre_hooks, module._forward_hooks):
        for number, each in list(hooks.items()):
            if each is hook:
                # The hook itself comes last: while it is there, it is found again.
                module._forward_hooks_always_called.pop(number, None)
                hooks.pop(number, None)


def hooks_of_forward(module: nn.Module) -> tuple[dict[int, Any], dict[int, Any]]:
    """The dicts of what is called before and after a module's forward."""
    before, after = (getattr(module, name) for name in HOOK_DICTS)
    return before, after


def foreign_hooks(module: nn.Module) -> bool:
    """Whether anybody else's code is called before or after a module's forward."""
    return any(
        not str(getattr(hook, "__module__", "")).startswith("relustat.")
        for hooks in hooks_of_forward(module)
        for hook in hooks.values()
    )


def has_hooks(*modules: nn.Module) -> bool:
    """Whether anything is called with the inputs, outputs or gradients of one of the modules."""
    return bool(_global._has_any_global_hook()) or any(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        for module in modules
    )


def on_registration(hook: Registered) -> None:
    """Calls ``hook(module, name, child)`` before any module of the process gets a child."""
    _global.register_module_module_registration_hook(hook)


def take_off_registration(hook: Registered) -> None:
    hooks = _global._global_module_registration_hooks
    for number, each in list(hooks.items()):
        if each is hook:
            hooks.pop(number, None)


def renumber(old: int, new: int, module: nn.Module) -> None:
    """Gives a hook a new number: the compiler has guards on the numbers of always-called hooks."""
    all_hooks: list[dict[int, Any]] = [module._forward_hooks, module._forward_hooks_always_called]
    for hooks in all_hooks:
        hooks[new] = hooks[old]
    for hooks in reversed(all_hooks):
        del hooks[old]


def take_off_gradient(parameter: Tensor, hook: object) -> None:
    """Removes a post-accumulate hook from ``parameter``, if it is there."""
    hooks = parameter._post_accumulate_grad_hooks or {}
    for number in [number for number, each in hooks.items() if each is hook]:
        del hooks[number]


@contextlib.contextmanager
def forward_hooks(
    hooks: Sequence[tuple[nn.Module, Callable[..., Any], Callable[..., Any]]],
) -> Iterator[None]:
    """Adds hooks to modules for a while: one before their forward, one after it.

    The hook that is called first before is called last after, also if a forward raises.
    """

    def take_all_off() -> None:
        for module, before, after in hooks:
            take_off(module, before)
            take_off(module, after)

    try:
        try:
            for module, before, after in hooks:
                module.register_forward_pre_hook(before, prepend=True)
                module.register_forward_hook(after, always_call=True)
            yield
        finally:
            take_all_off()
    finally:
        # Again: an interrupt may have come during the first time.
        take_all_off()
