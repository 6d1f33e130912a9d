"""What estimators of information do where there is nothing to find, or too little to find it in; their values are in test_rouse."""

import numpy as np
import pytest
from toys import toy_trajectory

from mlcgmd.analysis import information, molecules, statistics
from mlcgmd.data.mapping import partition
from mlcgmd.data.partitions import FAMILIES


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_a_regression_is_not_fooled_by_many_features() -> None:
    """200 features of noise explain nothing of 400 frames, where a fit without left-out frames would explain half."""
    share = information.explained(noise(400, 200), noise(400, seed=1))
    assert abs(share.value) < 3 * share.error + 0.02
    x = noise(4000, 5)
    half = information.explained(x, x[:, 0] + noise(4000, seed=1))
    assert half.value == pytest.approx(0.5, abs=3 * half.error) and half.error < 0.02


def test_a_bound_of_the_mapping_entropy_is_half_of_what_is_left() -> None:
    x = noise(4000, 5)
    bound = information.mapping_entropy(x, 3 * x[:, 0] + 2 * noise(4000, seed=1))
    assert bound.value == pytest.approx(2.0, abs=3 * bound.error)


def test_replicas_and_one_run_say_the_same() -> None:
    x = noise(8, 500, 3)
    y = x[..., 0] + noise(8, 500, seed=1)
    for of in (information.explained, information.mapping_entropy):
        np.testing.assert_allclose(of(x, y)[0], of(x.reshape(-1, 3), y.ravel())[0], rtol=1e-12)
    assert information.kinetic_content(x, 1, 2).value == pytest.approx(0, abs=0.01)


def test_replicas_that_differ_have_the_error_of_their_scatter() -> None:
    rng = np.random.default_rng(5)
    scale = np.exp(rng.normal(size=(20, 1)))  # as of chains of different sequences: no series relaxes, the replicas are unlike
    x = rng.normal(size=(20, 400))
    found = information.explained(x[..., None], x + scale * rng.normal(size=x.shape))
    means = (scale**2).ravel()
    assert found.value == pytest.approx(1 / (1 + means.mean()), abs=3 * found.error)
    assert found.error == pytest.approx(means.std(ddof=1) / np.sqrt(20) / (1 + means.mean()) ** 2, rel=0.2)
    energy = information.mapping_entropy(x[..., None], scale * rng.normal(size=x.shape))
    assert energy.value == pytest.approx(means.mean() / 2, rel=0.1)


def test_more_features_do_not_raise_the_kinetic_content() -> None:
    """Of one process of correlation 0.9, alone and among 40 features of noise: a fit finds more, a score of left-out frames does not."""
    slow = np.zeros(3000)
    kick = noise(3000, seed=2)
    for t in range(1, 3000):
        slow[t] = 0.9 * slow[t - 1] + np.sqrt(1 - 0.81) * kick[t]
    alone = information.kinetic_content(slow[:, None], 1, 1)
    many = information.kinetic_content(np.c_[slow, noise(3000, 40)], 1, 20)
    assert alone.value == pytest.approx(0.81, abs=3 * alone.error)
    assert many.value < alone.value
    time = information.implied_time(slow[:, None], 1, 1)
    assert time.value == pytest.approx(-1 / np.log(0.9), abs=3 * time.error)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(statistics.ConstantSeriesError, match="nothing to explain"):
        information.explained(noise(100, 2), np.ones(100))
    with pytest.raises(ValueError, match="same replicas and frames"):
        information.explained(noise(100, 2), noise(99))
    with pytest.raises(statistics.TooShortError, match="15 frames are too few for 10 folds"):
        information.explained(noise(15, 2), noise(15))
    with pytest.raises(statistics.TooShortError, match="lag of 60 frames"):
        information.kinetic_content(noise(1000, 2), 60, 1)
    with pytest.raises(ValueError, match="a feature or a series is not finite"):
        information.explained(np.full((100, 2), np.nan), noise(100))
    with pytest.raises(ValueError, match="different steps"):
        information.gain(noise(10), noise(11))
    with pytest.raises(ValueError, match="do not join all 4 beads"):
        information.slow_features(noise(5, 4, 3), np.array([[0, 1], [2, 3]]), 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_each_family_of_mappings_keeps(family: str) -> None:
    """Of a chain whose energy is that of its bonds: no more than there is, and all of Rg^2 less what is inside of beads."""
    fine = toy_trajectory("abcd" * 4, frames=3000)
    vector = fine.position.values[:, fine.bond.values[:, 0]] - fine.position.values[:, fine.bond.values[:, 1]]
    size = molecules.radius_of_gyration_squared(fine.position.values, fine.mass.values)
    graining = partition(fine, fine.sizes["particle"] / 6, FAMILIES[family])
    found = information.of_mapping(fine, graining, {"rg2": size}, lag=1, energy=(vector**2).sum(axis=(1, 2)) / 0.72)
    assert 0.9 < found["r2.rg2"].value <= 1
    for share in ("fisher", "kinetic"):
        assert -3 * found[share].error < found[share].value < 1 + 3 * found[share].error
    # u = sum |b|^2 / (2 s^2) over 23 bonds, of which a bead-to-bead vector knows a part: E Var(u | X) / 2 is below that of all, 3 x 23 / 4.
    assert 0 < found["mapping_entropy"].value < 3 * 23 / 4 + 3 * found["mapping_entropy"].error
    with pytest.raises(ValueError, match="6 beads have no 6 modes"):
        information.of_mapping(fine, graining, {}, 1, energy=size, modes=6)
    with pytest.raises(ValueError, match="give energy="):
        information.of_mapping(fine, graining, {}, 1)
