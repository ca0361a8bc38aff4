"""What a measurement depends on: the machine, its settings and the versions."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

import relustat
from relustat.ops import library

RIVALS = ("numpy", "monitorch", "fast-histogram", "boost-histogram", "scikit-image")
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"


def describe():
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "instructions": f"torch {torch.backends.cpu.get_cpu_capability()}, "
        f"relustat {library.build_info()['compiler']} {relustat._C.cpu_capability()}",
        "memory": _allocation(),
        "versions": ", ".join(_versions()),
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def available_gib():
    """Memory that can be had without swapping; 0 where the system does not say."""
    return _meminfo().get("MemAvailable", 0) / 2**20


def _memory_gib():
    return _meminfo().get("MemTotal", 0) / 2**20


def _meminfo():
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}


def _cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _allocation():
    """Fresh pages are most of what a large ReLU costs, so their size decides."""
    asked = os.environ.get(HUGE_PAGES) == "1"
    mode = f"{HUGE_PAGES}=1, huge pages for both sides" if asked else "PyTorch's default"
    try:
        system = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return mode
    return f"{mode} (the system's huge pages: {system[system.index('[') + 1 : system.index(']')]})"


def _versions():
    yield f"relustat {relustat.__version__}"
    yield f"torch {torch.__version__}"
    yield f"Python {platform.python_version()}"
    for name in RIVALS:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _commit():
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True)
        changed = subprocess.check_output([*git, "status", "--porcelain", "-uno"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + (" and changes" if changed else "")
