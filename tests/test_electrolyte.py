"""The electrolyte's force field against the published table, number by number; its packing; its MD."""

import dataclasses
import functools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import openmm
import pytest
import xarray as xr
from stopped import run_until

from mlcgmd.data import trajectory
from mlcgmd.md import openmm as openmm_engine
from mlcgmd.md import run as sampler
from mlcgmd.md.electrolyte import CLEARANCE, ELEMENTS, HYDROGEN_MASS, ContinuedSpec, ElectrolyteSpec
from mlcgmd.md.openmm import OpenMM, measure_speed
from mlcgmd.md.run import run_md
from mlcgmd.paths import SHIPPED

pytestmark = pytest.mark.usefixtures("one_core")

COULOMB = 138.935456
"""kJ/mol nm / e^2"""
SPACERS = (2, 2, 3, 2, 4, 4, 3, 3)
"""Every neighbourhood of two spacers occurs, in one direction or the other."""


def spec(**changes: object) -> ElectrolyteSpec:
    fields = {"chains": 2, "spacers": SPACERS, "oxygen_per_lithium": 6, "seed": 5, "length": 4.0} | changes
    return ElectrolyteSpec(name="test/spe", **fields)  # type: ignore[arg-type]


@functools.cache
def table() -> dict[str, dict[tuple[str, ...], list[float]]]:
    """The published force field: section -> names -> numbers, in its own units; bonded terms under both directions."""
    width = {"ATOMS": 1, "BONDS": 2, "ANGLES": 3, "DIHEDRALS": 4}
    out: dict[str, dict[tuple[str, ...], list[float]]] = {}
    section = ""
    for line in (SHIPPED / "forcefield/clandp_il.ff").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) == 1:
            section = words[0]
            out[section] = {}
        elif words and section in width:
            names = tuple(words[: width[section]])
            out[section][names] = out[section][names[::-1]] = [float(x) for x in words[width[section] + 1 :] if x != "lj"]
    return out


@functools.cache
def classes() -> dict[str, str]:
    """Type -> class of the published force field."""
    lines = (SHIPPED / "forcefield/clandp_il.ff").read_text().split("BONDS")[0].splitlines()
    return {words[0]: words[1] for words in map(str.split, lines) if len(words) > 6 and words[0][0] != "#"}


@functools.cache
def xml() -> ElementTree.Element:
    return ElementTree.fromstring((files("mlcgmd.md") / "electrolyte.xml").read_text())


def entries(tag: str) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """(classes, attributes) of all elements of the file with this tag."""
    for element in xml().iter(tag):
        yield tuple(element.attrib[f"class{k}"] for k in range(1, 5) if f"class{k}" in element.attrib), element.attrib


def periodic(v: list[float]) -> list[tuple[int, float, float]]:
    """OPLS V1, V2, V3 as (periodicity, phase, k): V1/2 (1 + cos f) + V2/2 (1 - cos 2f) + V3/2 (1 + cos 3f), without zeros."""
    assert v[3] == 0
    return [(n, np.pi if n == 2 else 0.0, v[n - 1] / 2) for n in (1, 2, 3) if v[n - 1]]


def test_atoms_are_those_of_the_table() -> None:
    names = [element.attrib["name"] for element in xml().iter("Type")]
    assert len(set(names)) == len(names) == 12
    for element in xml().iter("Type"):
        at = element.attrib
        assert (at["class"], float(at["mass"])) == (classes()[at["name"]], table()["ATOMS"][(at["name"],)][0])
    nonbonded = xml().find("NonbondedForce")
    assert nonbonded is not None
    assert [atom.attrib["type"] for atom in nonbonded] == names
    for atom in nonbonded:
        _, charge, sigma, epsilon = table()["ATOMS"][(atom.attrib["type"],)]
        assert float(atom.attrib["charge"]) == charge
        assert float(atom.attrib["sigma"]) == pytest.approx(sigma / 10)
        assert float(atom.attrib["epsilon"]) == epsilon


def test_bonds_and_angles_are_those_of_the_table() -> None:
    bonds, angles = ([e for e in entries(tag) if e[0]] for tag in ("Bond", "Angle"))
    assert (len(bonds), len(angles)) == (7, 13)
    for names, at in bonds:
        length, k = table()["BONDS"][names]
        assert (float(at["length"]), float(at["k"])) == (pytest.approx(length / 10), pytest.approx(100 * k))
    for names, at in angles:
        angle, k = table()["ANGLES"][names]
        assert (float(at["angle"]), float(at["k"])) == (pytest.approx(np.deg2rad(angle), abs=1e-9), k)


def test_torsions_are_those_of_the_table() -> None:
    found = list(entries("Proper"))
    assert len(found) == 12
    for names, at in found:
        want = periodic(table()["DIHEDRALS"][names])
        got = [tuple(float(at[f"{key}{m}"]) for key in ("periodicity", "phase", "k")) for m in range(1, 4) if f"k{m}" in at]
        np.testing.assert_allclose(got, want, atol=1e-9)


def atom_types(electrolyte: ElectrolyteSpec) -> list[str]:
    """Type of each atom by its residue and name, as the file says."""
    names = {
        (residue.attrib["name"], atom.attrib["name"]): atom.attrib["type"]
        for residue in xml().iter("Residue")
        for atom in residue.iter("Atom")
    }
    return [names[a.residue.name, a.name] for a in electrolyte._molecules().atoms()]


def bonded(electrolyte: ElectrolyteSpec) -> dict[int, list[tuple[int, ...]]]:
    """The bonds, angles and torsions of the bond graph, by their number of atoms."""
    bond = electrolyte.topology()[2].tolist()
    neighbours: dict[int, list[int]] = {}
    for i, j in bond:
        neighbours.setdefault(i, []).append(j)
        neighbours.setdefault(j, []).append(i)
    angles = [(i, j, k) for j, around in neighbours.items() for i in around for k in around if i < k]
    torsions = [(i, j, k, m) for j, k in bond for i in neighbours[j] for m in neighbours[k] if i != k and m != j]
    return {2: [tuple(pair) for pair in bond], 3: angles, 4: torsions}


def force(system: openmm.System, kind: type) -> openmm.Force:
    return next(f for f in system.getForces() if isinstance(f, kind))


def test_every_bonded_term_of_the_topology_is_in_the_system() -> None:
    """Of all spacers beside all others, and of TFSI: nothing that the table does not know, and nothing left out silently."""
    electrolyte = spec()
    system = electrolyte.openmm_system()
    kind = [classes()[name] for name in atom_types(electrolyte)]
    terms = bonded(electrolyte)
    assert force(system, openmm.HarmonicBondForce).getNumBonds() + system.getNumConstraints() == len(terms[2])
    angles = force(system, openmm.HarmonicAngleForce)
    assert angles.getNumAngles() == len(terms[3])
    for a in range(angles.getNumAngles()):
        i, j, k, angle, constant = angles.getAngleParameters(a)
        want = table()["ANGLES"][kind[i], kind[j], kind[k]]
        assert (np.rad2deg(angle._value), constant._value) == pytest.approx(want, abs=1e-6)
    torsions = force(system, openmm.PeriodicTorsionForce)
    got: dict[tuple[int, ...], list[tuple[float, ...]]] = {}
    for t in range(torsions.getNumTorsions()):
        i, j, k, m, n, phase, constant = torsions.getTorsionParameters(t)
        got.setdefault(min((i, j, k, m), (m, k, j, i)), []).append((n, phase._value, constant._value))
    want_all = {min(t, t[::-1]): periodic(table()["DIHEDRALS"][tuple(kind[x] for x in t)]) for t in terms[4]}
    assert set(got) == set(want_all)
    for t, want in want_all.items():
        np.testing.assert_allclose(sorted(got[t]), want, atol=1e-9)


def test_charges_are_neutral_and_scaled_by_molecule() -> None:
    electrolyte = spec(charge_scale=0.7)
    system = electrolyte.openmm_system()  # owns the force
    pairs = force(system, openmm.NonbondedForce)
    n = len(electrolyte.topology()[0])
    charge = np.array([pairs.getParticleParameters(i)[0]._value for i in range(n)])
    molecule = trajectory.molecules_from_bonds(electrolyte.topology()[2], n)
    want = [0.0] * 2 + [-0.7] * electrolyte.salt + [0.7] * electrolyte.salt
    np.testing.assert_allclose(np.bincount(molecule, weights=charge), want, atol=1e-12)
    full = np.array([table()["ATOMS"][(name,)][1] for name in atom_types(electrolyte)])
    np.testing.assert_allclose(charge, np.where(molecule < 2, 1, 0.7) * full)


def test_exceptions_are_none_up_to_angles_and_half_at_the_ends_of_torsions() -> None:
    electrolyte = spec()
    system = electrolyte.openmm_system()  # owns the force
    pairs = force(system, openmm.NonbondedForce)
    particle = [[x._value for x in pairs.getParticleParameters(i)] for i in range(pairs.getNumParticles())]
    terms = bonded(electrolyte)
    near = {frozenset((t[0], t[-1])) for n in (2, 3) for t in terms[n]}
    ends = {frozenset((t[0], t[-1])) for t in terms[4]} - near
    exceptions = [pairs.getExceptionParameters(k) for k in range(pairs.getNumExceptions())]
    assert {frozenset(e[:2]) for e in exceptions} == near | ends
    assert len(exceptions) == len(near) + len(ends)
    for i, j, product, sigma, epsilon in exceptions:
        half = 0.5 * (frozenset((i, j)) in ends)
        (qi, si, ei), (qj, sj, ej) = particle[i], particle[j]
        assert product._value == pytest.approx(half * qi * qj)
        assert epsilon._value == pytest.approx(half * np.sqrt(ei * ej))
        assert not half or sigma._value == pytest.approx((si + sj) / 2)


def test_hydrogens_are_constrained_and_heavy_and_the_mass_is_kept() -> None:
    electrolyte = spec()
    system = electrolyte.openmm_system()
    kinds, mass, bond = electrolyte.topology()
    hydrogen = kinds == ELEMENTS.index("H")
    constrained = {frozenset(system.getConstraintParameters(k)[:2]) for k in range(system.getNumConstraints())}
    assert constrained == {frozenset(pair) for pair in bond.tolist() if hydrogen[pair].any()}
    assert all(system.getConstraintParameters(k)[2]._value == pytest.approx(0.109) for k in range(system.getNumConstraints()))
    in_md = np.array([system.getParticleMass(i)._value for i in range(len(mass))])
    np.testing.assert_allclose(in_md[hydrogen], HYDROGEN_MASS)
    assert in_md.sum() == pytest.approx(mass.sum())
    assert set(np.round(mass, 3)) == {1.008, 6.941, 12.011, 14.0, 15.999, 18.998, 32.066}


def dihedral(x: np.ndarray) -> float:
    """Torsion angle of four points (4, 3) by the angle between the normals of the two planes."""
    b = np.diff(x, axis=0)
    n1, n2 = np.cross(b[0], b[1]), np.cross(b[1], b[2])
    return float(np.arccos(np.clip(n1 @ n2 / np.linalg.norm(n1) / np.linalg.norm(n2), -1, 1)))


def test_energy_is_that_of_the_formulas() -> None:
    """One chain and one LiTFSI without cutoff, each kind of term by itself, from the published table."""
    electrolyte = spec(chains=1, spacers=(2, 3), oxygen_per_lithium=3)
    x = electrolyte.start() + np.random.default_rng(0).normal(0, 0.004, electrolyte.start().shape)
    names = atom_types(electrolyte)
    kind = [classes()[name] for name in names]
    terms = bonded(electrolyte)
    want = dict.fromkeys((openmm.HarmonicBondForce, openmm.HarmonicAngleForce, openmm.PeriodicTorsionForce, openmm.NonbondedForce), 0.0)
    for i, j in terms[2]:
        if "HC" not in (kind[i], kind[j]):
            length, k = table()["BONDS"][kind[i], kind[j]]
            want[openmm.HarmonicBondForce] += k / 2 * (10 * np.linalg.norm(x[i] - x[j]) - length) ** 2
    for i, j, m in terms[3]:
        angle, k = table()["ANGLES"][kind[i], kind[j], kind[m]]
        a, b = x[i] - x[j], x[m] - x[j]
        bend = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) - np.deg2rad(angle)
        want[openmm.HarmonicAngleForce] += k / 2 * bend**2
    for t in terms[4]:
        v1, v2, v3, _ = table()["DIHEDRALS"][tuple(kind[i] for i in t)]
        f = dihedral(x[list(t)])
        want[openmm.PeriodicTorsionForce] += (v1 * (1 + np.cos(f)) + v2 * (1 - np.cos(2 * f)) + v3 * (1 + np.cos(3 * f))) / 2
    scale = np.where(np.arange(len(x)) < len(x) - 16, 1.0, electrolyte.charge_scale)
    near = {frozenset((t[0], t[-1])) for n in (2, 3) for t in terms[n]}
    ends = {frozenset((t[0], t[-1])) for t in terms[4]}
    for i in range(len(x)):
        for j in range(i):
            (_, qi, si, ei), (_, qj, sj, ej) = (table()["ATOMS"][(names[a],)] for a in (i, j))
            r, sigma = np.linalg.norm(x[i] - x[j]), (si + sj) / 20
            pair = 4 * np.sqrt(ei * ej) * ((sigma / r) ** 12 - (sigma / r) ** 6) + COULOMB * scale[i] * scale[j] * qi * qj / r
            factor = 0.0 if frozenset((i, j)) in near else 0.5 if frozenset((i, j)) in ends else 1.0
            want[openmm.NonbondedForce] += factor * pair
    system = electrolyte.openmm_system()
    force(system, openmm.NonbondedForce).setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    for group, term in enumerate(want):
        force(system, term).setForceGroup(group + 1)
    context = openmm.Context(system, electrolyte.integrator(), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(x)
    for group, (term, energy) in enumerate(want.items()):
        got = context.getState(getEnergy=True, groups={group + 1}).getPotentialEnergy()._value
        assert got == pytest.approx(energy, rel=1e-5), term.__name__
        assert abs(energy) > 1, term.__name__


@pytest.mark.parametrize("spacers", [(2,) * 6, (3, 4), SPACERS])
def test_packed_start(spacers: tuple[int, ...]) -> None:
    electrolyte = spec(spacers=spacers, oxygen_per_lithium=2)
    x, edge = 10 * electrolyte.start(), electrolyte.packed_edge()
    kinds, _, bond = electrolyte.topology()
    molecule = trajectory.molecules_from_bonds(bond, len(x))
    gap = x[:, None] - x[None]
    gap -= edge * np.round(gap / edge)
    assert np.linalg.norm(gap, axis=2)[molecule[:, None] != molecule].min() > CLEARANCE
    kind = [classes()[name] for name in atom_types(electrolyte)]
    length = np.linalg.norm(x[bond[:, 0]] - x[bond[:, 1]], axis=1)
    np.testing.assert_allclose(length, [table()["BONDS"][kind[i], kind[j]][0] for i, j in bond], atol=0.03)
    counts = np.bincount(kinds, minlength=len(ELEMENTS)).tolist()
    carbons, oxygens, salt = 2 * (sum(spacers) + 2), 2 * (len(spacers) + 1), electrolyte.salt
    assert salt == len(spacers) + 1
    assert counts == [2 * 2 * sum(spacers) + 12, salt, carbons + 2 * salt, salt, oxygens + 4 * salt, 6 * salt, 2 * salt]
    np.testing.assert_array_equal(x, 10 * electrolyte.start())
    assert np.abs(x - 10 * dataclasses.replace(electrolyte, seed=6).start()).max() > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spacers": (2, 5)}, r"test/spe: spacers \[5\] are not in the force field"),
        ({"spacers": ()}, "give one or more of"),
        ({"chains": 0}, "chains is 0; give a whole number from 1 on"),
        ({"oxygen_per_lithium": -2}, "oxygen_per_lithium is -2; give a finite number above 0"),
        ({"oxygen_per_lithium": 100}, "O:Li 100 leaves no ion in 2 chains"),
    ],
)
def test_bad_specs_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(**changes)


def tiny(**changes: object) -> ElectrolyteSpec:
    """124 atoms: a box of 11 A when liquid."""
    return spec(**{"chains": 4, "spacers": (2, 2), "length": 1.2, "frame_interval": 0.2, "equilibration": 2.0, "cutoff": 4.5} | changes)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of two frames, a compression of 4 ps: denser than packed, not yet a liquid."""
    monkeypatch.setattr(sampler, "SEGMENT", 2)
    monkeypatch.setattr("mlcgmd.md.openmm.COMPRESSION", (500.0, 4.0, 0.001))


def test_run_is_stable_unwrapped_and_resumes_to_the_same_bytes(tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    electrolyte = tiny()
    whole = run_md(electrolyte, tmp_path / "whole.nc")
    run = trajectory.load(whole)
    assert dict(run.sizes) | {"frame": 6, "particle": 124, "equilibration": 2} == dict(run.sizes)
    assert set(run.equilibration_volume.dims + run.equilibration_potential_energy.dims) == {"equilibration"}
    assert run.attrs["length_unit"] == "angstrom"
    box = run.box.values
    assert (box == box[0, 0]).all() and 9 < box[0, 0] < 20
    assert box[0, 0] ** 3 == pytest.approx(float(run.equilibration_volume[1:].mean()), rel=1e-5)
    x, mass = run.position.values.astype(float), run.mass.values.astype(float)
    centre = np.average(x, axis=1, weights=mass)
    assert np.abs(centre - centre[0]).max() < 0.002
    assert np.abs(np.diff(x, axis=0)).max() < 5
    length = np.linalg.norm(x[:, run.bond.values[:, 0]] - x[:, run.bond.values[:, 1]], axis=2)
    assert 1.0 < length.min() and length.max() < 2.1
    freedom = 3 * 124 - electrolyte.openmm_system().getNumConstraints() - 3
    assert 300 < (2 * run.kinetic_energy / (freedom * 8.31446e-3)).mean() < 600

    run_until(electrolyte, tmp_path / "resumed.nc", segment=1)
    monkeypatch.setattr(OpenMM, "equilibrate", None)
    assert run_md(electrolyte, tmp_path / "resumed.nc").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("chains", "cutoff"), [(1, 7.2), (4, 8.0)])
def test_box_below_twice_the_cutoff(chains: int, cutoff: float, tmp_path: Path) -> None:
    """Packed already, and when compressed to less."""
    with pytest.raises(ValueError, match=r"test/spe: the box is smaller than twice the cutoff in the equilibration; add molecules"):
        run_md(tiny(chains=chains, cutoff=cutoff, oxygen_per_lithium=3), tmp_path / "a.nc")


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> xr.Dataset:
    """A shipped start of :func:`tiny`, as file ``start.nc``: packed atoms stand for equilibrated ones."""
    electrolyte = tiny()
    kinds, mass, bond = electrolyte.topology()
    position = 10 * np.stack([electrolyte.start() + 1, electrolyte.start()])
    run = trajectory.make(
        position,
        time=np.array([1.0, 2.0]),
        particle_type=kinds,
        type_name=ELEMENTS,
        mass=mass,
        bond=bond,
        box=np.full(3, 20.0),
        system="start",
        units="real",
    )
    monkeypatch.setattr("mlcgmd.md.electrolyte.SHIPPED", tmp_path)
    return trajectory.load(trajectory.save(run, tmp_path / "start.nc"))


def continued(**changes: object) -> ContinuedSpec:
    return ContinuedSpec(**dataclasses.asdict(tiny(**changes)) | {"equilibration": 0.4, "origin": "start.nc"})


def test_continued_run_starts_from_the_last_frame_in_its_box(origin: xr.Dataset, tmp_path: Path) -> None:
    electrolyte = continued()
    np.testing.assert_allclose(10 * electrolyte.start(), origin.position[-1], atol=1e-5)
    run = trajectory.load(run_md(electrolyte, tmp_path / "a.nc"))
    assert "equilibration_volume" not in run
    np.testing.assert_allclose(run.box, 20.0, rtol=1e-6)
    shift = run.position[0] - origin.position[-1]
    assert 0.1 < np.abs(shift - shift.mean("particle")).mean() < 3
    other = trajectory.load(run_md(continued(seed=6), tmp_path / "b.nc"))
    assert np.abs(run.position - other.position).mean() > 0.1


def test_continued_run_refuses_other_molecules(origin: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test/spe: start\.nc holds other molecules than 4 chains of \(2, 3\)"):
        continued(spacers=(2, 3)).start()
    with pytest.raises(FileNotFoundError, match="how to build"):
        dataclasses.replace(continued(), origin="no.nc").start()


def test_speed_is_that_of_the_given_frame(origin: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = []
    apply = openmm_engine._apply
    monkeypatch.setattr(openmm_engine, "_apply", lambda state, context: (boxes.append(state.box), apply(state, context)))
    assert measure_speed(tiny(time_step=0.001), steps=20, trajectory=origin) > 0
    np.testing.assert_allclose(boxes, [[2.0] * 3])
