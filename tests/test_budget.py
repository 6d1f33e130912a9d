"""Costs against MD: round numbers of which the answer is known."""

import numpy as np
import pandas as pd
import pytest

from mlcgmd.md.chain import ChainSpec
from mlcgmd.paper.budget import Budget, md_error, md_time, needed

COSTS = Budget(training_md=1e6, training=1000, md_speed=500, simulated=1e5)


def test_md_counts_its_equilibration() -> None:
    assert md_time([ChainSpec("a", "ab", 0, 5000), ChainSpec("b", "ab", 0, 100, equilibration=50)]) == 6150


def test_at_the_break_even_both_cost_the_same() -> None:
    assert COSTS.once == 3000
    for speed in (1e4, 1e5, np.inf):
        n = COSTS.break_even(speed, needed=50000)
        assert n * 50000 / 500 == pytest.approx(COSTS.once + n * 1e5 / speed)
        if n == round(n):
            assert COSTS.md_instead(speed, round(n)) == pytest.approx(50000)
    assert COSTS.break_even(np.inf, 50000) == 30
    assert COSTS.break_even(1e3, needed=50000) == np.inf  # 100 s of each
    # A batch twice as fast pays earlier, a question that needs less MD later.
    assert COSTS.break_even(2e4, 50000) < COSTS.break_even(1e4, 50000) < COSTS.break_even(1e4, 20000)


def test_md_of_the_model_s_error_is_what_each_system_needs() -> None:
    md = np.array([10.0, 20.0, 30.0, np.nan])
    table = pd.DataFrame({"rg2_md": md, "rg2_md_error": 0.03 * md, "rg2": md * (1 + np.sqrt(0.06**2 + 0.03**2))})
    assert needed(table, 6e4) == pytest.approx(6e4 / 4)
    assert md_error(table, 6e4, 1.5e4) == pytest.approx(0.06)
    assert needed(table.assign(rg2=md), 6e4) == 6e4  # a model as good as MD can tell
    assert np.isnan(needed(table.iloc[3:], 6e4))
