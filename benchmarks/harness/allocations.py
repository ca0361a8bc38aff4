"""What PyTorch's allocator gives out."""

from torch.profiler import ProfilerActivity, profile


def peak(compute):
    """The most bytes that PyTorch's allocator gave out at once during ``compute()``."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        output = compute()
    events = profiled.profiler.kineto_results.events()
    changes = [event for event in events if event.name() == "[memory]"]
    held = most = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        held += change.nbytes()
        most = max(most, held)
    assert most >= output.nbytes
    return most
