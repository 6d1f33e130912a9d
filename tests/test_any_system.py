"""Systems that the paper does not have go all the way, from a trajectory to scores, without a module of their own."""

from pathlib import Path

import mdtraj
import numpy as np
import openmm.app
import pytest
import xarray as xr
from toys import toy_electrolyte

import mlcgmd
from mlcgmd.data import trajectory
from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.mdtraj import from_mdtraj

CASES = Path(__file__).parent / "cases"
FRAMES = 40


def walk(start: np.ndarray, molecule: np.ndarray, seed: int, frames: int = FRAMES) -> np.ndarray:
    """Positions (frames, N, 3): molecules walk at random as wholes, their particles shake about ``start``."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(scale=0.4, size=(frames, molecule.max() + 1, 3)).cumsum(axis=0)
    return start + centre[:, molecule] + rng.normal(scale=0.15, size=(frames, len(start), 3))


def chains(kinds: list[tuple[str, int, int]], edge: float, seed: int = 0, **rest: object) -> xr.Dataset:
    """Random chains in a periodic box: of each (type, chains, beads)."""
    rng = np.random.default_rng(seed)
    position, kind, bond, molecule = [], [], [], []
    for k, (_, n, length) in enumerate(kinds):
        for _ in range(n):
            first, step = len(kind), rng.normal(size=(length, 3))
            position.append(rng.uniform(0, edge, 3) + np.cumsum(step / np.linalg.norm(step, axis=1, keepdims=True), axis=0))
            bond += [(first + i, first + i + 1) for i in range(length - 1)]
            molecule += [len(position) - 1] * length
            kind += [k] * length
    return trajectory.make(
        walk(np.concatenate(position), np.array(molecule), seed),
        time=2.0 * np.arange(FRAMES),
        particle_type=np.array(kind),
        type_name=[name for name, *_ in kinds],
        mass=np.ones(len(kind)),
        bond=np.array(bond),
        box=np.full(3, edge),
        units="lj",
        **rest,
    )


def melt() -> xr.Dataset:
    return chains([("A", 12, 10)], 6.0, system="melt")


def blend() -> xr.Dataset:
    kinds = [("A", 6, 10), ("B", 6, 8)]
    return chains(kinds, 6.0, system="blend", component=np.repeat([0, 1], [60, 48]), component_name=["soft", "stiff"])


def salt_in_water() -> xr.Dataset:
    """LiTFSI and 20 waters: the ions of the toy electrolyte without its polymers."""
    whole = toy_electrolyte(frames=FRAMES)
    ions = np.flatnonzero(whole.component.values > 0)
    number = np.full(whole.sizes["particle"], -1)
    number[ions] = np.arange(len(ions))
    bond = number[whole.bond.values[np.isin(whole.bond.values, ions).all(axis=1)]]
    rng = np.random.default_rng(1)
    edge = float(whole.box[0, 0])
    water = (rng.uniform(0, edge, (20, 1, 3)) + np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])).reshape(-1, 3)
    first = len(ions) + 3 * np.arange(20)
    names = whole.type_name.values.tolist()
    return trajectory.make(
        np.concatenate([whole.position.values[:, ions], walk(water, np.repeat(np.arange(20), 3), 2)], axis=1),
        time=whole.time.values,
        particle_type=np.concatenate(
            [whole.particle_type.values[ions], np.tile([names.index("O"), names.index("H"), names.index("H")], 20)]
        ),
        type_name=names,
        mass=np.concatenate([whole.mass.values[ions], np.tile([15.999, 1.008, 1.008], 20)]),
        bond=np.concatenate([bond, np.stack([first, first + 1], axis=1), np.stack([first, first + 2], axis=1)]),
        box=np.full(3, edge),
        system="salt in water",
        units="real",
    )


def protein() -> xr.Dataset:
    """A peptide in vacuum, from the PDB file that OpenMM tests itself with; its atoms shake."""
    whole = mdtraj.load(str(Path(openmm.app.__file__).parent / "data" / "test.pdb"))
    atoms = whole.atom_slice(whole.topology.select("protein"))
    atoms.unitcell_vectors = None
    start = 10 * atoms.xyz[0]
    many = mdtraj.Trajectory(walk(start, np.zeros(len(start), int), 3) / 10, atoms.topology, time=2.0 * np.arange(FRAMES))
    return from_mdtraj(many, system="protein", units="real")


SYSTEMS = {
    "melt": (melt, 5, {"radius": 2.5}),
    "two-polymer blend": (blend, 4, {"radius": 2.5}),
    "one-bead molecules": (
        lambda: from_lammps(CASES / "one-bead-molecules/wat.dump", CASES / "one-bead-molecules/wat.data", time_step=0.01),
        3,
        {"radius": 6.0},
    ),
    "LiPF6": (lambda: from_lammps(CASES / "lammps-lipf6/mix.dump", CASES / "lammps-lipf6/mix.data", time_step=0.002), 3, {"radius": 7.0}),
    "chains of one bead and ions": (
        lambda: from_lammps(CASES / "lammps-lipf6/mix.dump", CASES / "lammps-lipf6/mix.data", time_step=0.002),
        12,
        {"radius": 7.0},
    ),
    "LiTFSI in water": (salt_in_water, 7, {"radius": 7.0}),
    "protein in vacuum": (protein, 10, {}),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_trained_on_simulated_and_scored(name: str, tmp_path: Path) -> None:
    make, level, options = SYSTEMS[name]
    run = make()
    system = mlcgmd.coarse_grain(run, level)
    step = trajectory.frame_interval(run)
    config = mlcgmd.TrainConfig(time_step=step, steps=50, width=16, layers=1, refiner_layers=1, windows_per_system=4, **options)
    model, curves = mlcgmd.train([system], [], config, tmp_path, progress=False)
    assert curves.train_nll.notna().all()
    (simulated,) = mlcgmd.simulate(model, [system], steps=20, replicas=2, sampler=mlcgmd.Multistep(3), max_stretch=20, progress=False)
    assert trajectory.validate(simulated.isel(replica=0)).sizes["frame"] == 20
    assert simulated.component_name.values.tolist() == run.component_name.values.tolist()
    scores = mlcgmd.compare([system], [simulated])
    assert len(scores) and scores.verdict.notna().all()
    assert np.isfinite(scores.value.to_numpy(float)).any()
