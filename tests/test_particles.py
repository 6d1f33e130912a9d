"""Properties of the particles: exact where beads know them, in error where they do not, alike for all mappings."""

from dataclasses import replace

import numpy as np
import pytest
from toys import toy_electrolyte, toy_trajectory

from mlcgmd.analysis import particles
from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.analysis.particles import Probe, errors, sampling, smoothest, unmoved
from mlcgmd.data.mapping import partition
from mlcgmd.data.partitions import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_the_guess_has_the_beads_that_it_was_given_and_is_exact_without_coarse_graining(family: str) -> None:
    fine = toy_trajectory("abcd" * 6)
    mapping = partition(fine, 5, FAMILIES[family])
    guess = smoothest(fine.bond.values, mapping)
    assert np.allclose(mapping.matrix.toarray() @ guess, np.eye(mapping.n_beads), atol=1e-5)
    beads = mapping.positions(fine.position.values)[0]
    # No other particles with these beads have shorter bonds: those of MD have longer ones.
    i, j = fine.bond.values.T
    squares = [((x[i] - x[j]) ** 2).sum() for x in (guess @ beads, fine.position.values[0])]
    assert 0 < squares[0] < squares[1]
    none = partition(fine, 1)
    assert np.allclose(smoothest(fine.bond.values, none), np.eye(len(none.bead))[:, none.bead], atol=1e-6)


def test_beads_lose_the_more_the_coarser_they_are_and_nothing_without_coarse_graining() -> None:
    fine = toy_trajectory("abcd" * 10, frames=2000)
    probe = Probe.of(fine)
    md = probe.particles()
    x = fine.position.values.astype(float)
    centred = x - x.mean(axis=1, keepdims=True)  # all masses are 1
    assert np.allclose(md.rg2[0], (centred**2).sum(axis=2).mean(axis=1), rtol=1e-4)
    lost = []
    for level in (1, 4, 12):
        mapping = partition(fine, level)
        lost.append(errors(md, probe.beads(mapping, unmoved(Ensemble.of(mapping.apply(fine))))))
    assert list(lost[0]) == list(particles.PROPERTIES) and all(abs(v) < 1e-3 for v in lost[0].values())
    for name in ("rg2.emd", "ends.emd", "contacts"):
        assert lost[0][name] < lost[1][name] < lost[2][name]
    assert all(abs(found["rg2"]) < 1e-5 for found in lost)  # the mean inside of beads is known


def test_errors_are_what_was_put_in() -> None:
    md = Probe.of(toy_trajectory("abcd" * 10, frames=3000)).particles()
    larger = replace(md, rg2=1.1 * md.rg2, ends=1.2 * md.ends, interval=2 * md.interval)
    found = errors(md, larger)
    assert found["rg2"] == pytest.approx(0.1) and found["rg2.emd"] == pytest.approx(0.1) and found["ends.emd"] == pytest.approx(0.2)
    # The same series with frames twice as far apart is twice as slow; MD is thinned to that interval before.
    assert found["rg2.relaxation"] == pytest.approx(1, abs=0.4) and found["contacts"] == 0
    assert set(errors(md, None).values()) == {np.inf} and np.isnan(list(sampling(None).values())).all()


def test_what_chance_does_falls_with_the_root_of_the_length() -> None:
    def replicas(frames: int) -> particles.Observables:
        runs = [Probe.of(toy_trajectory("abcd" * 10, frames, seed=s)).particles() for s in range(8)]
        rg2, ends, apart = (np.concatenate([getattr(r, k) for r in runs]) for k in ("rg2", "ends", "apart"))
        return replace(runs[0], rg2=rg2, ends=ends, apart=apart)

    short, long = (sampling(replicas(frames)) for frames in (100, 1600))
    ratios = [short[name] / long[name] for name in ("rg2.emd", "ends.emd", "contacts")]
    assert 2 < np.exp(np.log(ratios).mean()) < 8  # 4, but for chance


def test_what_is_no_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="has to be one molecule of 13 particles or more"):
        Probe.of(toy_electrolyte())
