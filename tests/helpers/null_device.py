"""A null device that a test may lose."""

import os
import stat
from pathlib import Path

import pytest


def null_device(folder: Path) -> Path:
    """A device like /dev/null, which it never is: root could remove that one for all processes."""
    device = folder / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        with open(device, "wb"):
            return device
    except PermissionError:
        device.unlink(missing_ok=True)
        pytest.skip("needs the right to make devices")


def is_device(path: Path) -> bool:
    return stat.S_ISCHR(path.lstat().st_mode)
