"""The structure along a simulation: MD keeps its own, what falls apart is seen when it does."""

import numpy as np
import pytest
from mixtures import ensemble
from toys import toy_boxes, toy_systems

from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.data import simulation
from mlcgmd.paper import course as module
from mlcgmd.paper.course import CLASH, course, unbonded_distances


def test_the_course_tells_md_from_what_falls_apart() -> None:
    systems = toy_systems(2, 6, frames=400)
    runs = []
    for system in systems:
        md = system.position.numpy()
        position = np.stack([md, md * np.linspace(1, 3, len(md))[:, None, None]])
        position[1, 300:] = np.nan
        runs.append(simulation.make(system.coarse, position, np.stack([system.bead_rg2.numpy()] * 2), 10.0, ["", "a CG bond"], "{}"))
    whole = course(systems, runs)
    assert whole.alive.tolist() == [1, 1, 1, 1, 1, 1, 0.5, 0.5]
    faithful = course(systems, [r.isel(replica=[0]) for r in runs])
    assert np.isclose(faithful.clash.mean(), CLASH, rtol=0.1) and faithful["size"].mean() == pytest.approx(1, rel=0.05)
    assert whole["size"][5] > 2 * whole["size"][0] and whole.bond_emd[5] > 3 * faithful.bond_emd[5]
    # After the failure only the replica that is MD is left.
    assert np.allclose(whole.loc[6:, ["bond_emd", "clash", "size"]], faithful.loc[6:, ["bond_emd", "clash", "size"]])


def test_the_course_of_a_box_has_its_g() -> None:
    system = toy_boxes(1, frames=64)[0]
    rg2 = system.bead_rg2.numpy()[None]
    run = simulation.make(system.coarse, system.position.numpy()[None], rg2, system.frame_interval, [""], "{}")
    table = course([system], [run])
    assert len(table) == module.BLOCKS and (table.rdf > 0).all() and "size" not in table


def test_distances_leave_out_bonds_and_take_the_nearest_image() -> None:
    position = np.array([[[0.5, 0, 0], [9.5, 0, 0], [3.5, 0, 0]]])[None]
    alike = {"position": position, "mass": np.ones(3), "bond": np.array([[2, 1]]), "molecule": np.array([0, 1, 1])}
    boxed = Ensemble(**{**vars(ensemble("beads", frames=2)), **alike, "component": np.zeros(3, int), "box": np.full(3, 10.0)})
    assert np.sort(unbonded_distances(boxed)).tolist() == [1, 3]
    free = Ensemble(**{**vars(boxed), "box": None})
    assert np.sort(unbonded_distances(free)).tolist() == [3, 9]
