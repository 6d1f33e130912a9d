"""The published chains of Fu et al. (2023): download and unpack."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from ..paths import atomic
from .readers import POLYMER_FILES

PUBLISHED_CHAINS = "10.5281/zenodo.6764836"
"""DOI of the chain trajectories of Fu et al. (2023)."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def fetch(
    folder: Path,
    files: Sequence[str] | None = None,
    *,
    doi: str = PUBLISHED_CHAINS,
    base_url: str | None = None,
    checksums: dict[str, str] | None = None,
) -> list[Path]:
    """Download and unpack published chains: the sorted folders that :func:`mlcgmd.data.readers.from_polymer_folder` reads.

    Parameters: ``folder`` where the archives are unpacked; ``files`` names of archives, default all
    those of the record; ``doi`` the record, whose own list gives the checksums. A mirror is named by
    ``base_url`` (ending in /) with ``checksums``, file name -> "md5:..." or "sha256:...".

    An archive is unpacked under a temporary name, renamed when it is whole, and deleted. What is
    already unpacked is kept, so a fetch that was interrupted goes on with the next archive.

    Raises:
        OSError: the download failed or was cut off, or the disk is full.
        KeyError: a file is not in the record.
        ValueError: wrong checksum, or an archive that is corrupted or lacks a file of the layout.
    """
    if base_url is not None and checksums is None:
        raise ValueError(f"a mirror ({base_url}) needs checksums=, a dictionary of file name -> 'md5:...' or 'sha256:...'")
    source = pooch.create(path=folder, base_url=base_url or f"doi:{doi}/", registry=checksums)
    try:
        if checksums is None:
            source.load_registry_from_doi()
    except requests.RequestException as error:
        raise OSError(f"cannot reach doi:{doi} ({error}); check the network and run it again") from error
    names = [name for name in source.registry if name.endswith(ARCHIVES)] if files is None else list(files)
    folders: list[Path] = []
    for name in names:
        if name not in source.registry:
            raise KeyError(f"there is no {name!r} at {source.base_url}; the files are {sorted(source.registry)}")
        suffix = next((s for s in ARCHIVES if name.endswith(s)), None)
        if suffix is None:
            raise ValueError(f"{name} is not an archive ({', '.join(ARCHIVES)})")
        target = folder / name.removesuffix(suffix)
        if not target.exists():
            archive = _download(source, name)
            with atomic(target) as temporary:
                _unpack(archive, temporary)
            archive.unlink()
        folders += _polymer_folders(target)
    return sorted(folders)


def _download(source: pooch.Pooch, name: str) -> Path:
    try:
        return Path(source.fetch(name, progressbar=True))
    except requests.RequestException as error:
        raise OSError(f"the download of {name} from {source.base_url} failed ({error}); nothing was kept, run it again") from error
    except ValueError as error:
        raise ValueError(f"{name} from {source.base_url} has a wrong checksum ({error}); nothing was kept, run it again") from error


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if archive.suffix == ".zip":
            shutil.unpack_archive(archive, folder)
        else:
            shutil.unpack_archive(archive, folder, filter="data")
    except (shutil.ReadError, EOFError) as error:
        raise ValueError(f"{archive} is corrupted ({error}); delete it and run it again") from error
    _polymer_folders(folder)


def _polymer_folders(folder: Path) -> list[Path]:
    """The polymers below ``folder``; each must have all files of the layout."""
    polymers = sorted({path.parent for name in POLYMER_FILES.values() for path in folder.rglob(name)})
    if not polymers:
        raise ValueError(f"there is no polymer in {folder.name}: no folder with {sorted(POLYMER_FILES.values())}")
    for polymer in polymers:
        missing = sorted(name for name in POLYMER_FILES.values() if not (polymer / name).exists())
        if missing:
            raise ValueError(f"{polymer.relative_to(folder)} lacks {missing}: the archive is not the published layout")
    return polymers
