"""The members of ``.npz`` archives, read in memory that is bounded before they are inflated.

A file may be damaged, or made to fill the memory: deflate packs 1 GB of zeros into 1 MB. So a
member's header is read first, and no more of the member than the shape that is expected.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from .histogram import Int64Array

MOST_TEXT = 2**26
"""Bytes of a text, 4 for each character, beyond which it must not be packed tightly."""

_TEXT_RATIO = 8
# https://zlib.net/zlib_tech.html
_DEFLATE_RATIO = 1032
_CHUNK = 2**20  # bytes


class Archive:
    """An ``.npz`` file that is read.

    Args:
        file: the file.

    Raises:
        ValueError: if a member is not what is expected.
        Exception: whatever zipfile, zlib and NumPy raise of a damaged file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file)
        # Members that overlap could inflate to any size.
        self._left = file.seek(0, 2)

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._zip.NameToInfo

    def text(self, name: str) -> str:
        """A text, that of ``np.array(text)``."""
        packed = self._zip.getinfo(f"{name}.npy").compress_size
        with self._member(name) as (member, shape, dtype, _):
            most = max(MOST_TEXT, _TEXT_RATIO * packed)
            if shape != () or dtype.kind != "U" or dtype.itemsize > most:
                raise ValueError(f"{name} must be a text of {most} bytes, got {dtype} {shape}")
            order = "be" if dtype.byteorder == ">" else "le"
            decoder = codecs.getincrementaldecoder(f"utf-32-{order}")()
            parts = [decoder.decode(chunk) for chunk in iter(lambda: member.read(_CHUNK), b"")]
        return "".join([*parts, decoder.decode(b"", final=True)]).rstrip("\0")

    def integers(self, name: str, *shapes: Sequence[int]) -> Int64Array:
        """Integers, int64, of one of several shapes."""
        with self._member(name) as (member, shape, dtype, is_fortran):
            if shape not in map(tuple, shapes) or dtype.kind != "i" or dtype.itemsize != 8:
                raise ValueError(f"{name} must be int64 {shapes}, got {dtype} {shape}")
            array = np.empty(math.prod(shape), dtype)
            memory, at = array.view(np.uint8), 0
            while read := member.readinto(memory[at : at + _CHUNK]):  # type: ignore[attr-defined]
                at += read
            if at < memory.size:
                raise ValueError(f"{name} must have {memory.size} bytes, got {at}")
        shaped: Int64Array = array.reshape(shape, order="F" if is_fortran else "C")
        return shaped.astype(np.int64, copy=False)

    @contextlib.contextmanager
    def _member(
        self, name: str
    ) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any], bool]]:
        """A member after its header, and what that says."""
        info = self._zip.getinfo(f"{name}.npy")
        self._left -= info.compress_size
        if (
            info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            or self._left < 0
            or info.file_size > _DEFLATE_RATIO * info.compress_size
        ):
            raise ValueError(f"{name} must be packed by deflate, got {info}")
        with self._zip.open(info) as member:
            # The size of the header of a later version could be anything.
            if np.lib.format.read_magic(member) != (1, 0):
                raise ValueError(f"{name} must be in version 1.0 of NumPy's format")
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member)
            if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
                raise ValueError(f"{name} must have the size of {dtype} {shape}, got {info}")
            yield member, shape, dtype, is_fortran
