"""Transport coefficients against motion of known law."""

import numpy as np
import pytest

from mlcgmd.analysis import transport as t
from mlcgmd.analysis.statistics import TooShortError


def brownian(d: float, replicas: int = 2, frames: int = 1000, n: int = 40, interval: float = 4.0, seed: int = 0) -> np.ndarray:
    """Independent particles of diffusion coefficient ``d``, angstrom^2/ps."""
    step = np.random.default_rng(seed).normal(scale=np.sqrt(2 * d * interval), size=(replicas, frames, n, 3))
    return step.cumsum(axis=1)


def test_msd_is_the_double_loop() -> None:
    position = brownian(1.0, frames=50, n=3) + 1000.0
    expected = [[0.0] + [((r[k:] - r[:-k]) ** 2).sum(axis=2).mean() for k in range(1, 50)] for r in position]
    np.testing.assert_allclose(t.mean_squared_displacement(position), expected, rtol=1e-9, atol=1e-9)


def test_brownian_motion_has_its_diffusion_coefficient() -> None:
    position = brownian(0.02)
    fit = t.diffusion(position, 4.0)
    assert fit.diffusive and fit.exponent == pytest.approx(1, abs=0.1)
    assert fit.value == pytest.approx(0.02 * 1e-4, rel=0.1)
    assert abs(fit.value - 0.02e-4) < 4 * fit.error and fit.error < 0.2 * fit.value
    assert fit.window[0] == 4.0 and fit.window[1] <= t.MAX_LAG * 1000 * 4.0
    ends = t.endpoint_diffusion(brownian(0.02, 1, 20, 5000)[0], 19 * 4.0)
    assert ends == pytest.approx(0.02e-4, rel=0.05)


@pytest.mark.parametrize(("n", "window", "replicas", "frames"), [(6, (50, 300), 1, 2000), (6, (5, 30), 1, 2000), (1, (1, 4), 8, 500)])
def test_the_error_is_that_of_repeated_runs(n: int, window: tuple[float, float], replicas: int, frames: int) -> None:
    fits = [t.diffusion(brownian(0.02, replicas, frames, n, 1.0, seed=k), 1.0, window) for k in range(80)]
    value, error, exponent, exponent_error = (
        np.array([getattr(f, k) for f in fits]) for k in ("value", "error", "exponent", "exponent_error")
    )
    # The spread of 80 has a standard error of 8 %.
    assert np.std((value - 0.02e-4) / error) == pytest.approx(1, abs=0.2)
    assert np.std((exponent - 1) / exponent_error) == pytest.approx(1, abs=0.35)
    assert value.mean() == pytest.approx(0.02e-4, abs=3 * value.std() / np.sqrt(80))
    lag, msd = (
        np.arange(window[0], window[1] + 1),
        [t.mean_squared_displacement(brownian(0.02, replicas, frames, n, 1.0, seed=k)) for k in range(80)],
    )
    plain = np.polyfit(lag, np.array([m.mean(axis=0)[int(window[0]) : int(window[1]) + 1] for m in msd]).T, 1)[0] / 6e4
    assert value.std() < (0.8 if n > 1 else 1) * plain.std()  # what unweighted least squares gives, of many or of few lags


def test_parts_of_one_molecule_count_as_one() -> None:
    centre = brownian(0.02, 1, 1000, 5)
    together = np.repeat(centre, 8, axis=2)
    one, all_of_them, alone = (t.diffusion(x, 4.0, (40.0, 200.0), n) for x, n in ((together, 5), (together, None), (centre, None)))
    assert one.value == pytest.approx(alone.value) and one.error == pytest.approx(alone.error)
    assert all_of_them.error == pytest.approx(one.error / np.sqrt(8))


def test_ballistic_and_caged_motion_are_not_diffusive() -> None:
    velocity = np.random.default_rng(1).normal(size=(1, 1, 30, 3))
    ballistic = t.diffusion(np.arange(200)[None, :, None, None] * velocity, 1.0)
    assert not ballistic.diffusive and ballistic.exponent == pytest.approx(2, abs=0.02)
    assert ballistic.window[1] == pytest.approx(40) and ballistic.window[0] == pytest.approx(20)
    caged = t.diffusion(np.random.default_rng(2).normal(size=(1, 500, 30, 3)), 1.0)
    assert not caged.diffusive and caged.exponent == pytest.approx(0, abs=0.05)


def test_the_window_starts_where_a_cage_is_left() -> None:
    lag = np.arange(2000.0)
    window = t.fit_window(0.1 * lag + 3 * (1 - np.exp(-lag / 2)))
    # The local exponent of 0.1 t + 3 is t / (t + 30), which is 0.85 at t = 170.
    assert window.diffusive and window.low == pytest.approx(170, rel=0.1) and window.high == pytest.approx(400)


def test_drift_is_removed_by_its_own_function() -> None:
    mass = np.random.default_rng(3).uniform(1, 100, 40)
    position = brownian(0.02)
    still = t.remove_drift(position, mass)
    np.testing.assert_allclose(np.einsum("rfnx,n->rfx", still, mass), 0, atol=1e-8)
    drifting = position + np.arange(1000)[:, None, None] * np.array([0.3, 0, 0])
    assert t.diffusion(drifting, 4.0, (40.0, 400.0)).value > 2 * t.diffusion(position, 4.0, (40.0, 400.0)).value
    np.testing.assert_allclose(t.remove_drift(drifting, mass), still, atol=1e-8)


def test_uncorrelated_ions_conduct_as_nernst_and_einstein_say() -> None:
    charge = np.repeat([1.0, -1.0], 20)
    position = np.concatenate([brownian(0.01, 20, n=20, seed=4), brownian(0.03, 20, n=20, seed=5)], axis=2)
    window = (8.0, 80.0)
    expected = t.nernst_einstein([0.01e-4, 0.03e-4], [20, 20], [1, -1], 20.0**3, 450.0)
    fit = t.collective_conductivity(position, charge, 4.0, 20.0**3, 450.0, window)
    assert abs(fit.value - expected) < 3 * fit.error and fit.error < 0.1 * expected
    np.testing.assert_allclose(t.transference([0.01e-4, 0.03e-4], [20, 20], [1, -1]), [0.25, 0.75])
    assert t.collective_transference(position, charge, 4.0, window) == pytest.approx(0.25, abs=0.05)


def test_the_unit_of_conductivity() -> None:
    # 1 mol/L of monovalent ions of 1e-5 cm^2/s: F^2 c D / (RT) = 96485^2 C^2/mol^2 * 1e-3 mol/cm^3 * 1e-5 / (8.314 * 298.15) J/mol.
    volume = 1e27 / 6.02214076e23
    assert t.nernst_einstein([1e-5], [1], [1], volume, 298.15) == pytest.approx(96485.33**2 * 1e-3 * 1e-5 / (8.314463 * 298.15), rel=1e-5)


def test_pairs_that_stay_together_carry_no_current() -> None:
    ions = brownian(0.02, n=10, seed=6)
    position = np.concatenate([ions, ions + np.random.default_rng(7).normal(scale=0.1, size=ions.shape)], axis=2)
    charge = np.repeat([1.0, -1.0], 10)
    window = (40.0, 400.0)
    independent = t.nernst_einstein([0.02e-4] * 2, [10, 10], [1, -1], 8000.0, 450.0)
    assert abs(t.collective_conductivity(position, charge, 4.0, 8000.0, 450.0, window).value) < 0.01 * independent


def test_short_runs_have_wide_errors() -> None:
    short, long = (t.diffusion(brownian(0.02, 1, frames), 4.0, (4.0, 8.0)) for frames in (8, 800))
    assert short.error == pytest.approx(10 * long.error, rel=0.3)
    with pytest.raises(TooShortError, match="at least 4"):
        t.diffusion(brownian(0.02, 1, 3), 4.0)
    with pytest.raises(TooShortError, match="400"):
        t.diffusion(brownian(0.02, 1, 50), 4.0, (8.0, 400.0))


def test_bad_input_is_refused() -> None:
    position = brownian(0.02, frames=20)
    broken = position.copy()
    broken[1, 7, 3, 1] = np.nan
    with pytest.raises(ValueError, match="replica 1: particle 3 in frame 7"):
        t.diffusion(broken, 4.0)
    with pytest.raises(ValueError, match="shape"):
        t.diffusion(position[0], 4.0)
    with pytest.raises(ValueError, match="interval"):
        t.diffusion(position, 0.0)
    with pytest.raises(ValueError, match="do not move"):
        t.diffusion(np.ones((1, 20, 2, 3)), 4.0)
    with pytest.raises(ValueError, match="mass"):
        t.remove_drift(position, np.ones(3))
    with pytest.raises(ValueError, match="zero"):
        t.charge_displacement(position, np.ones(40))
    with pytest.raises(ValueError, match="species"):
        t.nernst_einstein([1.0], [1, 2], [1, 1], 1.0, 1.0)
    with pytest.raises(ValueError, match="volume"):
        t.nernst_einstein([1.0], [1], [1], 0.0, 300.0)
    with pytest.raises(ValueError, match="duration"):
        t.endpoint_diffusion(position[0], 0.0)
    with pytest.raises(ValueError, match="two or more"):
        t.endpoint_diffusion(position[0, :1], 1.0)
    with pytest.raises(ValueError, match="particle 3"):
        t.endpoint_diffusion(broken[1, 7:], 1.0)


def test_a_lone_centre_is_fitted_at_the_shortest_lags_at_which_it_diffuses() -> None:
    time = np.arange(2000.0)
    diffusive = 6.0 * time
    assert t.centre_window(diffusive, 1) == (1.0, 4.0)
    low, high = t.centre_window(diffusive, 8)
    assert 8 <= low < 9 and high == 4 * low
    with_memory = 6 * (time - 20 * (1 - np.exp(-time / 20)))  # friction 1/20 per frame: ballistic first
    low, _ = t.centre_window(with_memory, 1)
    assert 60 < low < 200  # there d ln MSD / d ln t is 1.15
    with pytest.raises(TooShortError, match="longer run"):
        t.centre_window(np.where(time > 0, 1.0 + 1e-6 * time, 0.0), 1)
    assert t.free_diffusion(50.0, 0.5, 2.0) == pytest.approx(0.08)
    with pytest.raises(ValueError, match="positive"):
        t.free_diffusion(50.0, 0.0)
