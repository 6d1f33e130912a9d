"""The published data of Fu et al. (2023): download of the chains, the h5 folders of chains (LJ units) and electrolytes (A, ps, amu).

The drift of the centre of mass is part of the electrolytes' positions and is not removed.
"""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np
import pooch
import requests
import xarray as xr

from ..errors import MlcgmdError
from ..paths import atomic
from . import archives, hdf5, trajectory
from .assembly import STANDARD, assemble, check_continuous, types, unwrap_molecules
from .periodic import molecules_from_bonds
from .trajectory import TrajectoryError

PUBLISHED_CHAINS = "10.5281/zenodo.6764836"
"""DOI of the chain trajectories of Fu et al. (2023)."""
POLYMER_FILES = {
    "position": "position.h5",
    "particle_type": "ptype.h5",
    "bond_indices": "bond.h5",
    "rgs": "rgs.h5",
    "lattice": "lattice.h5",
}
"""Dataset key -> file of one polymer's folder in the published chain data."""
POLYMER_TYPES = ["B1", "B2", "S1", "S2"]
"""What ``particle_type`` 0 to 3 means there."""
RG_TOLERANCE = 0.01
"""Largest relative difference between a stored radius of gyration and that of the positions."""
SPE_FILES = {
    "unwrapped_position": "unwrapped_position.h5",
    "lattice": "lattice.h5",
    "particle_type": "ptype.h5",
    "raw_particle_type": "raw_ptype.h5",
    "bond_indices": "bond.h5",
    "diffusivity": "diffusivity.h5",
}
"""Dataset key -> file of one electrolyte's folder in the published data; ``wrapped_position`` and ``bond_type`` are not needed."""
SPE_COMPONENTS = {"C2F6NO4S2": "TFSI", "Li": "Li"}
"""Formula -> name of the salt's ions; the polymers are the rest."""
DIFFUSIVITY_TOLERANCE = 0.01
"""Largest relative difference between the stored diffusivity of Li and that of the positions."""
WHOLE = ("particle_type", "raw_particle_type", "bond_indices")
"""Keys of indices, which are whole numbers."""
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|(sha256:)?[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.IGNORECASE)
"""A checksum of a file, with the algorithm."""


def fetch(
    folder: Path,
    files: Sequence[str] | None = None,
    *,
    doi: str = PUBLISHED_CHAINS,
    base_url: str | None = None,
    checksums: dict[str, str] | None = None,
) -> list[Path]:
    """Download and unpack published chains: the sorted folders that :func:`from_polymer_folder` reads.

    Args:
        folder: where the archives are unpacked.
        files: names of archives, default all those of the record.
        doi: the record, whose own list gives the checksums.
        base_url: a mirror, ending in /.
        checksums: of the mirror's files, name -> "md5:..." or "sha256:...".

    An archive is looked through (:mod:`.archives`), unpacked under a temporary name, renamed when it is whole, and deleted. What is
    already unpacked is kept, so a fetch that was interrupted goes on with the next archive.

    Raises:
        OSError: the download failed or was cut off, or the disk is full.
        MlcgmdError: a file is not in the record, is no archive or has no checksum or a wrong one; a name that leads elsewhere; or an
            archive that is corrupted, holds what it should not or lacks a file of the layout.
    """
    folder = Path(folder)
    if base_url is not None and (not checksums or not base_url.endswith("/")):
        raise MlcgmdError(f"a mirror ({base_url}) ends in / and needs checksums=, a dictionary of file name -> 'md5:...' or 'sha256:...'")
    if isinstance(files, str):
        raise MlcgmdError(f"files= is {files!r}; give a list of names, as in [{files!r}]")
    source = pooch.create(path=folder, base_url=base_url or f"doi:{doi}/", registry=checksums)
    try:
        if checksums is None:
            source.load_registry_from_doi()
    except requests.RequestException as error:
        raise OSError(f"cannot reach doi:{doi} ({error}); check the network and run it again") from error
    names = [name for name in source.registry if str(name).endswith(archives.ENDINGS)] if files is None else list(files)
    targets: dict[Path, str] = {}
    for name in names:
        suffix = next((s for s in archives.ENDINGS if archives.plain_name(name).endswith(s)), None)
        if name not in source.registry:
            raise MlcgmdError(f"there is no {name!r} at {source.base_url}; the files are {sorted(source.registry)}")
        if suffix is None:
            raise MlcgmdError(f"{name} is not an archive ({', '.join(archives.ENDINGS)})")
        if not CHECKSUM.fullmatch(checksum := str(source.registry[name])):
            raise MlcgmdError(f"{name} has no checksum but {checksum}; give checksums={{{name!r}: 'md5:...'}} or 'sha256:...'")
        if (target := folder / name.removesuffix(suffix)) in targets:
            raise MlcgmdError(f"{targets[target]} and {name} would both become {target}; fetch one of them")
        targets[target] = name
    for target, name in targets.items():
        if not target.exists():
            archive = _download(source, name)
            with atomic(target) as temporary:
                archives.unpack(archive, temporary)
                _polymer_folders(temporary)
            archive.unlink()
    return sorted(polymer for target in targets for polymer in _polymer_folders(target))


def from_polymer_folder(
    path: str | PathLike[str], *, frame_interval: float, mass: np.ndarray | None = None, unwrap: bool = False
) -> xr.Dataset:
    """One polymer of the published chain data (Fu et al. 2023): a folder of :data:`POLYMER_FILES`, in LJ units.

    Args:
        path: the folder, whose name becomes ``system``. Bonds may be stored in one or in both directions.
        frame_interval: in tau, which the files do not hold.
        mass: (N,), default 1.
        unwrap: make the chain whole and continuous by :func:`.periodic.unwrapped`.

    Returns:
        The trajectory, of one component "chain".

    The stored radius of gyration is kept as ``radius_of_gyration`` (F,), the simulation box as
    ``lattice`` (F, 3), both in sigma; the single chain is not periodic, so there is no ``box``.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, lacks its key or has the wrong shape; the stored
            radius of gyration is not that of the positions; or anything that
            :func:`.trajectory.validate` refuses.
    """
    path = Path(path)
    data = _read_folder(path, POLYMER_FILES)

    def refuse(key: str, what: str) -> None:
        raise TrajectoryError(f"{path / POLYMER_FILES[key]}, key {key!r}: {what}")

    position = data["position"]
    if position.ndim != 3 or position.shape[2] != 3 or not len(position):
        refuse("position", f"the shape is {position.shape}, not (frames, particles, 3)")
    frames, n = position.shape[:2]
    for key, count in {"particle_type": n, "rgs": frames, "lattice": 3 * frames}.items():
        if data[key].size != count:
            refuse(key, f"the shape is {data[key].shape}, but position has {frames} frames of {n} particles; fetch the folder again")
    if data["bond_indices"].ndim != 2 or data["bond_indices"].shape[1] != 2:
        refuse("bond_indices", f"the shape is {data['bond_indices'].shape}, not (bonds, 2)")
    bond = np.unique(np.sort(data["bond_indices"].astype(np.int64), axis=1), axis=0)
    lattice = data["lattice"].reshape(frames, 3)
    kinds, mass = data["particle_type"].reshape(n).astype(int), np.ones(n) if mass is None else np.asarray(mass)
    unknown = np.flatnonzero((kinds < 0) | (kinds >= len(POLYMER_TYPES)))
    if len(unknown):
        refuse("particle_type", f"particle {unknown[0]} has unknown type {kinds[unknown[0]]}; the types are 0 to {len(POLYMER_TYPES) - 1}")
    dataset = trajectory.make(
        unwrap_molecules(position, lattice, bond, mass, path.name) if unwrap else position,
        time=frame_interval * np.arange(frames),
        particle_type=kinds,
        type_name=POLYMER_TYPES,
        mass=mass,
        bond=bond,
        component=np.zeros(n, int),
        component_name=["chain"],
        system=path.name,
        units="lj",
        provenance={"reader": "polymer folder", "source": path.name},
    )
    check_continuous(dataset, lattice)
    stored = data["rgs"].reshape(frames)
    weight = dataset.mass.values / dataset.mass.values.sum()
    centred = dataset.position.values - np.einsum("fnd,n->fd", dataset.position.values, weight)[:, None]
    measured = np.sqrt(np.einsum("fnd,fnd,n->f", centred, centred, weight))
    bad = np.flatnonzero(~(np.abs(stored - measured) <= RG_TOLERANCE * measured))
    if len(bad):
        refuse(
            "rgs",
            f"the radius of gyration of frame {bad[0]} is {stored[bad[0]]:.4g}, its positions give {measured[bad[0]]:.4g};"
            " are the masses equal (else give mass=), and do the files belong together?",
        )
    dataset["radius_of_gyration"] = ("frame", stored.astype(np.float32), {"units": "sigma"})
    dataset["lattice"] = (("frame", "xyz"), lattice.astype(np.float32), {"units": "sigma"})
    return dataset


def from_spe_folder(folder: str | PathLike[str], *, frame_interval: float = 2.0) -> xr.Dataset:
    """One system of the published layout (Fu et al. 2023): a folder of :data:`SPE_FILES`.

    Shapes in the files: ``unwrapped_position`` (F, N, 3), ``lattice`` (F, 3), ``particle_type`` (atomic numbers) and
    ``raw_particle_type`` (N,), ``bond_indices`` (n_bonds, 2), in one or both directions, ``diffusivity`` (F - 1,) of Li from each
    frame to the last in cm^2/s, which is a check of positions and ``frame_interval``.

    Args:
        folder: whose name becomes ``system``.
        frame_interval: in ps, which the files do not hold.

    Returns:
        The trajectory, of components "polymer", "TFSI" and "Li", with the masses of the elements and the raw types as ``raw_type``.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, lacks its key or has the wrong shape; there is no
            element of an atomic number; the stored diffusivity is not that of the positions; or anything that
            :func:`.trajectory.validate` refuses.
    """
    folder = Path(folder)
    content = _read_folder(folder, SPE_FILES)

    def refuse(key: str, what: str) -> NoReturn:
        raise TrajectoryError(f"{folder / SPE_FILES[key]}, key {key!r}: {what}")

    position = content["unwrapped_position"]
    if position.ndim != 3 or position.shape[2] != 3 or not len(position):
        refuse("unwrapped_position", f"the shape is {position.shape}, not (frames, particles, 3)")
    frames, n = position.shape[:2]
    for key, count in {"lattice": 3 * frames, "particle_type": n, "raw_particle_type": n, "diffusivity": frames - 1}.items():
        if content[key].size != count:
            what = f"the shape is {content[key].shape}, but unwrapped_position has {frames} frames of {n} particles"
            refuse(key, f"{what}; fetch the folder again")
    if content["bond_indices"].ndim != 2 or content["bond_indices"].shape[1] != 2:
        refuse("bond_indices", f"the shape is {content['bond_indices'].shape}, not (bonds, 2)")
    numbers, index = np.unique(content["particle_type"].reshape(n).astype(int), return_inverse=True)
    unknown = [z for z in numbers if not 1 <= z <= len(STANDARD)]
    if unknown:
        refuse("particle_type", f"there is no element of atomic number {unknown[0]}; are these raw types?")
    symbols = np.array([STANDARD[z - 1].symbol for z in numbers])[index]
    bond = np.unique(np.sort(content["bond_indices"].astype(np.int64), axis=1), axis=0)
    trajectory.check_bonds(bond, n)
    formulas = trajectory.by_formula(*types(symbols.tolist()), molecules_from_bonds(bond, n))[1]
    dataset = assemble(
        position,
        content["lattice"].reshape(frames, 3),
        names=symbols.tolist(),
        mass=np.array([STANDARD[z - 1].mass for z in numbers])[index],
        bond=bond,
        component_name={formula: SPE_COMPONENTS.get(formula, "polymer") for formula in formulas},
        time=frame_interval * np.arange(frames),
        system=folder.name,
        units="real",
        provenance={"reader": "SPE folder", "source": folder.name},
    )
    dataset["raw_type"] = ("particle", content["raw_particle_type"].reshape(n).astype(np.int32))
    lithium = symbols == "Li"
    if frames > 1 and lithium.any():
        stored = content["diffusivity"].reshape(-1)[0]
        moved = position[-1, lithium].astype(float) - position[0, lithium]
        measured = (moved**2).sum(axis=1).mean() / (6 * (frames - 1) * frame_interval) * 1e-4  # 1e-4 cm^2/s are 1 A^2/ps
        if not abs(stored - measured) <= DIFFUSIVITY_TOLERANCE * measured:
            what = f"that of Li over all frames is {stored:.4g} cm^2/s, the positions give {measured:.4g}"
            refuse("diffusivity", f"{what}; is frame_interval= right, and do the files belong together?")
    return dataset


def htpmd_groups(spe: xr.Dataset) -> dict[str, np.ndarray]:
    """Particle indices of the groups whose diffusivities htp_md (TRI-AMDD) publishes, by the raw types of its PCFF+ systems.

    "Li" is raw type 90, "TFSI" its nitrogen (93), "polymer" all N, O and S of raw types below 90. htp_md takes
    :func:`mlcgmd.analysis.transport.endpoint_diffusion` after it has removed the motion of the system's centre of mass.

    Raises:
        TrajectoryError: no raw types, or a group has no atoms.
    """
    if "raw_type" not in spe:
        raise TrajectoryError(f"{spe.attrs['system']}: there is no raw_type; only from_lammps and from_spe_folder keep it")
    raw, names = spe.raw_type.values, spe.type_name.values[spe.particle_type.values]
    masks = {"Li": raw == 90, "TFSI": raw == 93, "polymer": (raw < 90) & np.isin(names, ["N", "O", "S"])}
    empty = [name for name, mask in masks.items() if not mask.any()]
    if empty:
        raise TrajectoryError(f"{spe.attrs['system']}: no atom has the raw type of {empty[0]}; these are not the types of htp_md")
    return {name: np.flatnonzero(mask) for name, mask in masks.items()}


def _download(source: pooch.Pooch, name: str) -> Path:
    try:
        return Path(source.fetch(name, progressbar=True))
    except requests.RequestException as error:
        raise OSError(f"the download of {name} from {source.base_url} failed ({error}); nothing was kept, run it again") from error
    except ValueError as error:
        raise MlcgmdError(f"{name} from {source.base_url} has a wrong checksum ({error}); nothing was kept, run it again") from error


def _polymer_folders(folder: Path) -> list[Path]:
    """The polymers below ``folder``; each must have all files of the layout."""
    polymers = sorted({path.parent for name in POLYMER_FILES.values() for path in folder.rglob(name)})
    if not polymers:
        raise MlcgmdError(f"there is no polymer in {folder.name}: no folder with {sorted(POLYMER_FILES.values())}")
    for polymer in polymers:
        missing = sorted(name for name in POLYMER_FILES.values() if not (polymer / name).exists())
        if missing:
            raise MlcgmdError(f"{polymer.relative_to(folder)} lacks {missing}: the archive is not the published layout")
    return polymers


def _read_folder(folder: Path, files: dict[str, str]) -> dict[str, np.ndarray]:
    """The published layout: of each file, key -> name, the data set of that key."""
    for name in files.values():
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is not there; this folder should hold {sorted(files.values())}")
    return {key: _read_h5(folder / name, key) for key, name in files.items()}


def _read_h5(path: Path, key: str) -> np.ndarray:
    try:
        hdf5.check(path)
        with h5py.File(path, "r") as handle:
            if not isinstance(handle.get(key), h5py.Dataset):
                raise TrajectoryError(f"{path} has no dataset {key!r}, only {sorted(handle)}")
            values = np.asarray(handle[key])
    except MlcgmdError as error:
        raise error if isinstance(error, TrajectoryError) else TrajectoryError(f"{path}: {error}") from error
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise TrajectoryError(f"{path} is truncated or not an HDF5 file ({error}); fetch it again") from error
    if values.dtype.kind not in ("iu" if key in WHOLE else "fiu"):
        raise TrajectoryError(f"{path}, key {key!r}: it holds {values.dtype}, not {'whole ' if key in WHOLE else ''}numbers")
    return values
