"""Statistics of processes whose answers are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from mlcgmd.analysis import statistics as s


def ou(tau: float, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Stationary unit-variance Ornstein-Uhlenbeck runs (..., F), one frame per unit of time."""
    rng = np.random.default_rng(seed)
    rho = np.exp(-1 / tau)
    kick = rng.normal(size=shape) * np.sqrt(1 - rho**2)
    kick[..., 0] = rng.normal(size=shape[:-1])
    return lfilter([1], [1, -rho], kick)


def test_autocorrelation_is_the_direct_sum() -> None:
    x = np.random.default_rng(0).normal(size=(2, 30))
    d = x - x.mean()
    direct = [np.mean(d[:, : 30 - t] * d[:, t:]) for t in range(30)]
    np.testing.assert_allclose(s.autocorrelation(x), np.array(direct) / np.mean(d**2), atol=1e-12)


def test_autocorrelation_of_an_exponential_process() -> None:
    c = s.autocorrelation(ou(10, (20, 10_000), 1), mean=0.0)
    np.testing.assert_allclose(c[:30], np.exp(-np.arange(30) / 10), atol=0.03)


@pytest.mark.parametrize("stride", [1, 20, 40])
def test_relaxation_time_does_not_depend_on_the_frame_interval(stride: int) -> None:
    # At an interval of twice the relaxation time the plain trapezoid reads 31 % high.
    estimate = s.relaxation_time(ou(20, (100_000,), 2)[::stride], stride)
    assert abs(estimate.value - 20) < 3 * estimate.error
    assert estimate.error < 3.5


def test_error_of_the_relaxation_time_is_its_scatter() -> None:
    estimates = np.array([s.relaxation_time(x, 1.0) for x in ou(10, (200, 4, 1000), 3)])
    assert estimates[:, 0].mean() == pytest.approx(10, rel=0.06)
    assert estimates[:, 1].mean() == pytest.approx(estimates[:, 0].std(), rel=0.25)


def test_unresolved_relaxation_is_an_upper_bound_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match="upper bound"):
        estimate = s.relaxation_time(ou(2, (2000,), 4)[::20], 20)
    assert 2 < estimate.value < 20


@pytest.mark.parametrize(("tau", "shape"), [(0.01, (1000,)), (5, (1000,)), (5, (4, 500))])
def test_standard_error_is_the_scatter_of_the_mean(tau: float, shape: tuple[int, ...]) -> None:
    runs = ou(tau, (300, *shape), 5)
    errors = [s.standard_error(x) for x in runs]
    scatter = runs.reshape(300, -1).mean(axis=1).std()
    assert np.mean(errors) == pytest.approx(scatter, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(st.floats(-100, 100), st.floats(0.1, 10))
def test_shift_and_scale(shift: float, scale: float) -> None:
    x = ou(3, (400,), 6)
    np.testing.assert_allclose(s.relaxation_time(scale * x + shift, 2), s.relaxation_time(x, 2), rtol=1e-6)
    assert s.standard_error(scale * x + shift) == pytest.approx(scale * s.standard_error(x), rel=1e-6)
    assert s.emd(x + shift, x) == pytest.approx(abs(shift), abs=1e-9)


def test_bootstrap_of_a_mean_and_of_pairs() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(400, 2)) * [1, 3]
    errors = s.bootstrap(lambda a: a.mean(axis=0), x, 1000, rng)
    np.testing.assert_allclose(errors, x.std(axis=0) / 20, rtol=0.1)
    # Pairs stay pairs: identical arrays have R^2 = 1 in every resampling.
    assert s.bootstrap(s.r2, (x[:, 0], x[:, 0]), 50, rng) == 0
    with pytest.raises(ValueError, match="two or more units"):
        s.bootstrap(np.mean, x[:1], 10, rng)


def test_emd_of_two_gaussians() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=100_000), rng.normal(size=50_000)
    assert s.emd(a, b + 2) == pytest.approx(2, abs=0.03)
    # Equal means: the transport map is a stretch, so the distance is (3 - 1) E|z|.
    assert s.emd(a, 3 * b) == pytest.approx(2 * np.sqrt(2 / np.pi), abs=0.03)
    assert s.emd(a, rng.permutation(a)) == pytest.approx(0, abs=1e-12)


def test_emd_between_halves() -> None:
    x = np.concatenate([np.zeros(500), np.ones(500)])
    assert s.emd_halves(x) == pytest.approx(1)
    assert s.emd_halves(np.tile([0.0, 1.0], 500)) == pytest.approx(0)


def test_r2() -> None:
    truth = np.array([1.0, 2, 3, 4])
    assert s.r2(truth, truth) == 1
    assert s.r2(truth, np.full(4, 2.5)) == 0
    assert s.r2(truth, truth + 1) == pytest.approx(1 - 4 / 5)


def test_r2_ceiling_is_the_r2_of_a_perfect_model() -> None:
    rng = np.random.default_rng(9)
    exact = rng.uniform(16, 58, 16)
    error_truth, error_prediction = rng.uniform(2, 5, 16), 3.0
    scores, ceilings = [], []
    for _ in range(2000):
        truth = exact + error_truth * rng.normal(size=16)
        scores.append(s.r2(truth, exact + error_prediction * rng.normal(size=16)))
        ceilings.append(s.r2_ceiling(truth, error_truth, error_prediction))
    assert np.mean(ceilings) == pytest.approx(np.mean(scores), abs=0.02)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"index \(3,\)"):
        s.autocorrelation([0, 1, 2, np.nan])
    with pytest.raises(ValueError, match="no values"):
        s.standard_error([])
    with pytest.raises(ValueError, match="constant"):
        s.relaxation_time(np.ones(100), 1)
    with pytest.raises(s.TooShortError, match="run at least"):
        s.relaxation_time(np.linspace(0, 1, 100), 1)
    with pytest.raises(s.TooShortError, match="two or more"):
        s.emd_halves([1.0])
    with pytest.raises(ValueError, match="differ in shape"):
        s.r2([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="different true values"):
        s.r2([1, 1], [1, 2])
    with pytest.raises(ValueError, match="positive"):
        s.relaxation_time(ou(3, (100,), 0), 0)


def test_power_law_finds_the_exponent_and_its_error():
    x = np.geomspace(1, 1e4, 12)
    noise = np.random.default_rng(0).normal(scale=0.05, size=12)
    exponent, error = s.power_law(x, 3 * x**1.5 * np.exp(noise))
    assert abs(exponent - 1.5) < 3 * error < 0.03
    assert s.power_law(x, x).value == pytest.approx(1)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 0, 2]), ([1, 2, 3], [1, 2])])
def test_power_law_refuses_what_has_none(x, y):
    with pytest.raises(ValueError, match="three or more pairs of positive values"):
        s.power_law(x, y)


def test_a_trend_is_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    p = np.array([s.trend(x).p for x in rng.normal(size=(2000, 400))])
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=3 * np.sqrt(0.01 / 2000)) and (p < 0.5).mean() == pytest.approx(0.5, abs=0.05)
    rising = s.trend(rng.normal(size=400) + np.linspace(0, 1, 400))
    assert rising.p < 0.01 and rising.sigmas > 5 and s.trend(np.ones(40)) == (0.0, 1.0)
    with pytest.raises(s.TooShortError, match="8 frames or more"):
        s.trend(np.arange(7.0))
