"""What PyTorch's allocator gives out."""

from torch.profiler import ProfilerActivity, profile


def peak(compute):
    """The most bytes that PyTorch's allocator gave out at once during ``compute()``."""
    return max(_held(compute))


def held_after(compute):
    """The bytes that ``compute()`` keeps: its result, and what that keeps alive."""
    return _held(compute)[-1]


def _held(compute):
    """The bytes that are given out after each change."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        output = compute()
    events = profiled.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    held = [0]
    for change in sorted(changes, key=lambda event: event.start_ns()):
        held.append(held[-1] + change.nbytes())
    assert max(held) >= output.nbytes
    return held
