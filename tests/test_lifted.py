"""What is said of lifted particles: distances to MD, and the rows that are recorded."""

import numpy as np
import pandas as pd
import pytest
from toys import toy_trajectory

from mlcgmd.paper import lifting


def test_scores_tell_what_is_wrong_with_particles() -> None:
    run = toy_trajectory("abcd" * 6, 60, seed=0)
    md, bond = run.position.values.astype(float), run.bond.values
    same = lifting.scores(md, md, bond)
    assert all(same[name] == pytest.approx(0, abs=1e-9) for name in (*lifting.INSIDE, *lifting.WHOLE))
    larger = lifting.scores(md, 1.1 * md, bond)
    assert larger["rg2"] == pytest.approx(0.21, rel=1e-6) and larger["angle"] == pytest.approx(0, abs=1e-6)
    lengths = lifting.inside(md, bond)["bond"]
    assert larger["bond"] == pytest.approx(0.1 * lengths.mean() / lengths.std(), rel=1e-6) and larger["form_factor"] > 0.05
    collapsed = lifting.scores(md, 0.3 * md, bond)
    assert collapsed["overlaps"] > same["overlaps"]
    mirrored = lifting.scores(md, md * [1, 1, -1], bond)
    assert mirrored["angle"] == pytest.approx(0, abs=1e-6) and mirrored["bond"] == pytest.approx(0, abs=1e-6)


def test_rows_have_targets_where_it_is_the_model_and_energies_beside_md() -> None:
    columns = dict.fromkeys((*lifting.INSIDE, *lifting.WHOLE, "overlaps"), 0.2)
    table = pd.DataFrame([{"chain": c, "kind": kind} | columns for c in range(3) for kind in ("lifted", "springs")])
    energy = pd.DataFrame({"chain": [0, 1, 0, 1], "time": [0.0, 0.0, 1.0, 1.0], "MD": 2.0, "lifted": [9.0, 9.0, 2.5, 1.0]})
    found = {row["id"]: row for row in lifting.rows(table, energy, {"lifted": "", "springs": "springs"}, 1.0)}
    assert found["lifting.bond.emd_over_std"]["target"] == "<= 0.1" and not found["lifting.springs.bond.emd_over_std"]["target"]
    assert found["lifting.energy_per_particle"]["value"] == pytest.approx(0.75) and found["lifting.energy_per_particle"]["n"] == 2
    assert "lifting.springs.energy_per_particle" not in found and found["lifting.overlaps"]["n"] == 3


def test_the_restriction_error_is_the_largest() -> None:
    run = toy_trajectory("abcd" * 6, 3, seed=1)
    shifted = run.assign(position=run.position + np.r_[0.0, 0.0, 0.5])
    assert lifting.restriction_error(run, shifted, lambda x: x) == pytest.approx(0.5, abs=1e-5)
