"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file that replaces ``path`` when it is complete, and is removed if it is not.

    The new file is a draft beside the old one, until it is on the disk and renamed. So another
    process, a full disk or a crash of the machine leaves the old file or the new one. The file that
    a link points to is replaced. A device or a FIFO gets the bytes when they are complete.

    Raises:
        OSError: if the file cannot be written, or the one that is there must not be. It names
            ``path``.
    """
    with _naming(path):
        try:
            # Neither made nor cut: what may be written to may be replaced.
            existing = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            before = None
        else:
            before = os.fstat(existing)
            if not stat.S_ISREG(before.st_mode):
                with open(existing, "wb") as device, tempfile.TemporaryFile() as whole:
                    yield whole
                    whole.seek(0)
                    shutil.copyfileobj(whole, device)
                return
            os.close(existing)
        with _draft(Path(os.path.realpath(path)), before) as file:
            yield file


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors name the file that was asked for, not its draft."""
    try:
        yield
    except OSError as error:
        is_of_another = error.filename is not None and not _is_draft(str(error.filename))
        if error.errno is None or is_of_another:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


@contextlib.contextmanager
def _draft(target: Path, before: os.stat_result | None) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``target``, with the permissions that were ``before``."""
    _remove_stale(target)
    draft, file = _new_draft(target, 0o666 if before is None else 0o600)
    try:
        # The draft is locked until it is renamed, or it would be stale.
        with file:
            if before is not None:
                _take_permissions(file.fileno(), before)
            yield file
            file.flush()
            os.fsync(file.fileno())
            draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _prefix(target: Path) -> str:
    """How the names of drafts of a file begin; the file's own name may leave no room in them."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()
    return f".relustat-{name[:16]}-"


def _is_draft(path: str) -> bool:
    name = os.path.basename(path)
    return name.startswith(".relustat-") and name.endswith(".draft")


def _new_draft(target: Path, mode: int) -> tuple[Path, IO[bytes]]:
    """A draft that this process has locked."""
    while True:
        draft = target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.draft")
        file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return draft, file
        # Another process took it for stale before it was locked.
        file.close()


def _remove_stale(target: Path) -> None:
    """Removes the drafts of processes that were killed: those that nobody has locked."""
    with contextlib.suppress(OSError):  # a folder may be closed to those who list it
        for name in os.listdir(target.parent):
            if name.startswith(_prefix(target)) and _is_draft(name):
                with contextlib.suppress(OSError):
                    _remove_unlocked(target.with_name(name))


def _remove_unlocked(draft: Path) -> None:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(draft, flags), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()


def _take_permissions(file: int, before: os.stat_result) -> None:
    mode = stat.S_IMODE(before.st_mode)
    for owner in (before.st_uid, -1):
        with contextlib.suppress(OSError):  # a file can be given away by root alone
            os.fchown(file, owner, before.st_gid)
            break
    else:
        # What one group was allowed, another is not.
        mode &= ~stat.S_IRWXG
    os.fchmod(file, mode)


def _sync_folder(folder: Path) -> None:
    """Makes the new name last; without it, a crash of the machine can leave the old file."""
    with contextlib.suppress(OSError):  # some folders cannot be opened, or synchronised
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
