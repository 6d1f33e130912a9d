"""HDF5 files from elsewhere: whether they can hold what they declare, before memory is asked for; and whether there is room for one."""

import errno
import mmap
import shutil
import struct
from pathlib import Path

import h5py

from ..errors import MlcgmdError

RATIO, SMALL = 1100, 2**20
"""No file of zlib grows by more than the first; one of few numbers may declare the second, in bytes, whatever its size."""


HEAP = b"GCOL\x01\0\0\0"
"""What a global heap begins with: the size of the heap follows, then objects, each of (index, references, 0, size) and its content."""


def check(path: Path | str) -> None:
    """Refuse a file on which the HDF5 library would ask for more memory than there is, or never return.

    Raises:
        MlcgmdError: it declares more than it can hold, or a heap of it is damaged.
        OSError: it is no HDF5 file.
    """
    _check_heaps(path)
    sizes: list[int] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
    held = Path(path).stat().st_size
    if sum(sizes) > max(SMALL, RATIO * held):
        raise MlcgmdError(f"it declares {sum(sizes) / 2**30:.3g} GiB, but {held} bytes cannot hold them; do not trust this file")


def check_room(path: Path, content: int) -> None:
    """Refuse to write ``content`` bytes, before they are packed: where the disk becomes full, the library ends the process later on.

    Raises:
        OSError: the disk has less room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if content + SMALL // 16 > free:
        raise OSError(errno.ENOSPC, f"the disk is full: {path} needs up to {content} bytes, {free} are free; make room and run it again")


def _check_heaps(path: Path | str) -> None:
    """Refuse a heap whose objects are not one behind the other, numbered in that order: over such a one the library loops for ever."""
    with open(path, "rb") as file:
        if not Path(path).stat().st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(HEAP)
            while start >= 0:
                (size,) = struct.unpack_from("<Q", content, start + 8)
                at, end, last = start + 16, start + size, 0
                if end > len(content):
                    raise MlcgmdError(f"its heap at byte {start} is damaged; fetch or build it again")
                while at + 16 <= end:
                    index, _, _, length = struct.unpack_from("<HHIQ", content, at)
                    if index == 0 and length == end - at:  # what is free
                        break
                    at += 16 + -(-length // 8) * 8
                    if at > end or index <= last:
                        raise MlcgmdError(f"its heap at byte {start} is damaged; fetch or build it again")
                    last = index
                start = content.find(HEAP, start + 8)
