"""What needs no simulator, and what a perfect one would read: against toys of which both are known."""

from dataclasses import replace

import numpy as np
import pytest
from mixtures import ensemble
from toys import toy_trajectory

from mlcgmd.analysis import baselines, estimates, scores, statistics
from mlcgmd.analysis.distances import STANDARDISED, expected_distance, expected_log2
from mlcgmd.analysis.ensemble import Ensemble


def test_a_trajectory_counts_its_particles_by_type() -> None:
    assert baselines.counts(toy_trajectory("abcd" * 3, frames=2)).tolist() == [6, 6, 3, 3]


def test_a_regression_finds_the_law_that_is_there_and_not_more() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 50, size=(200, 3))
    n, share = counts.sum(axis=1), counts[:, 0] / counts.sum(axis=1)
    law = n * (0.3 + 0.2 * share**2 + 0.05 * np.log(n))
    fitted = baselines.Regression.fit(counts[:100], law[:100])
    assert statistics.r2(law[100:], fitted(counts[100:])) > 0.9999
    # Noise is not learned: what is left of it after fitting seven features to 20 molecules predicts nothing.
    chance = rng.normal(10, 1, size=200) * n
    predicted = baselines.Regression.fit(counts[:20], chance[:20])(counts[100:]) / n[100:]
    assert np.std(predicted) < 0.5
    alike = np.full((5, 2), 10)
    assert baselines.Regression.fit(alike, np.arange(5.0))(alike) == pytest.approx(2.0)  # all the same: their mean
    with pytest.raises(ValueError, match="three or more"):
        baselines.Regression.fit(alike[:2], np.ones(2))


def test_bonds_between_beads_are_counted_along_the_chain() -> None:
    assert baselines.chain_distance(np.array([[0, 1], [1, 2], [1, 3]]), 5).tolist()[3] == [2, 1, 2, 0, -1]


def test_contacts_of_a_random_walk_are_known_from_the_distance_along_it() -> None:
    parts = [ensemble("molecule", frames=1500, seed=k) for k in range(4)]
    profile = baselines.contact_profile(parts[:2])
    assert profile[0] == 1 and (np.diff(profile) < 0).all()
    table = baselines.contacts(parts[2:], [replace(parts[3], position=parts[3].position[:0]), parts[2]], profile)
    # Nothing but the distance decides: what is left are statistical errors, alike in no two runs.
    assert (table.profile > 0.99).all() and (table.residual_md.abs() < 0.5).all()
    assert np.isnan(table.residual[0]) and abs(table.residual[1]) < 0.5
    # A chain that is held bent at one place differs from it there, in both halves and in the simulation.
    bent = [replace(e, position=e.position.copy()) for e in parts[:2]]
    for e in bent:
        e.position[:, :, 8:] -= e.position[:, :, 8:9] - e.position[:, :, 2:3]
    table = baselines.contacts(bent[:1], bent[1:], profile)
    assert table.residual[0] > 0.95 and table.residual_md[0] > 0.95


def test_what_a_perfect_model_reads_is_what_exact_runs_read() -> None:
    md = ensemble("molecule", frames=3000)
    parts = [ensemble("molecule", frames=700, seed=k).position for k in range(1, 5)]
    model = replace(md, position=np.concatenate(parts), bead_rg2=np.full((4, 700, 12), 0.1))
    formula = scores.conformation(md, model)
    found = baselines.perfect(md, model, 40, np.random.default_rng(0))
    assert formula["rg2_emd_perfect"] == pytest.approx(found["rg2_emd"], rel=0.4)  # the parts of one run scatter by so much
    assert found["rg2_emd_perfect"] == pytest.approx(found["rg2_emd"], rel=0.15)
    assert found["relaxation_perfect"] == pytest.approx(found["relaxation"], rel=0.2)
    assert formula["relaxation_perfect"] == pytest.approx(found["relaxation"], rel=0.3)
    few = md.part(slice(0, 5))
    none = replace(model, position=model.position[:0])
    for a, b in ((few, few), (md, none)):
        assert np.isnan(list(baselines.perfect(a, b, 2, np.random.default_rng(0)).values())).all()


def test_a_surrogate_has_the_distribution_and_the_relaxation_time() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(sigma=0.4, size=2000)
    series = statistics.surrogate(values, 5.0, (4, 20000), rng)
    assert statistics.emd(values, series.ravel()) < 0.05 * values.std()
    assert statistics.relaxation_time(series, 1.0).value == pytest.approx(5.0, rel=0.1)


def test_a_ratio_of_exact_measurements_is_off_by_their_errors() -> None:
    rng = np.random.default_rng(0)
    ratio = (1 + 0.1 * rng.normal(size=20000)) / (1 + 0.05 * rng.normal(size=20000))
    assert expected_log2(1.0, 0.1, 2.0, 0.1) == pytest.approx(np.abs(np.log2(ratio)).mean(), rel=0.05)


def test_the_standardised_distance_is_in_standard_deviations() -> None:
    bonds = np.random.default_rng(0).normal(3.0, 0.1, size=4000)
    assert STANDARDISED.between(bonds, bonds + 0.02) == pytest.approx(0.2, rel=0.05)
    assert expected_distance(STANDARDISED, np.split(bonds, 4), [1000] * 4, 4000) < 0.05


def test_the_centre_of_a_lone_molecule_diffuses_as_it_walks() -> None:
    md = ensemble("molecule", frames=4000, speed=0.5)
    coarser = replace(md.part(slice(None, None, 4)), position=md.position[:, 1::4])
    exact = 0.5**2 / (2 * md.interval)
    for run in (md, coarser):
        value, error = estimates.centre_diffusion(run, [md], coarser.interval)
        assert value == pytest.approx(exact, abs=4 * error) and error < 0.1 * exact
    held = replace(md, position=md.position - Ensemble.centre(md))
    assert np.isnan(estimates.centre_diffusion(held, [held]).value)
    assert np.isnan(estimates.centre_diffusion(md.part(slice(0, 8)), [md], coarser.interval).value)
