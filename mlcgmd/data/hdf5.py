"""HDF5 files from elsewhere: whether they can hold what they declare, before memory is asked for."""

from pathlib import Path

import h5py

from ..errors import MlcgmdError

RATIO, SMALL = 1100, 2**20
"""No file of zlib grows by more than the first; one of few numbers may declare the second, in bytes, whatever its size."""


def check_size(path: Path | str) -> None:
    """Refuse a file whose data sets are larger than anything of its size can be.

    Raises:
        MlcgmdError: it declares more than it can hold.
        OSError: it is no HDF5 file.
    """
    sizes: list[int] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
    held = Path(path).stat().st_size
    if sum(sizes) > max(SMALL, RATIO * held):
        raise MlcgmdError(f"it declares {sum(sizes) / 2**30:.3g} GiB, but {held} bytes cannot hold them; do not trust this file")
