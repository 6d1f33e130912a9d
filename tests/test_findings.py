"""The results in words say what the numbers say."""

import pytest

from mlcgmd.paper import findings, results
from mlcgmd.paper.findings import FINDINGS, VERDICTS


def row(name, value=1.0, target=""):
    return {"id": name, "quantity": name, "value": value, "error": None, "unit": "", "n": 3, "target": target}


RELAXATION = [
    row("chain.relaxation.abs_log2", 1.0, "<= 0.35"),
    row("chain.relaxation.log2", -0.5, "within 0.15"),
    row("chain.md_halves.relaxation.abs_log2", 0.5),
]


def changed(name, value):
    return [row(r["id"], value if r["id"] == name else r["value"], r["target"]) for r in RELAXATION]


def test_logarithms_are_said_as_factors_with_their_direction():
    ((question, said, judged, page),) = findings.findings(RELAXATION)
    assert (question, page) == ("Relaxation of chains", "05_chain") and judged == VERDICTS["fails"]
    assert "a factor 2 (MD's own halves: 1.4)" in said and "1.4 times too short" in said
    assert "1.4 times too long" in findings.findings(changed("chain.relaxation.log2", 0.5))[0][1]


@pytest.mark.parametrize(("name", "value"), [("chain.relaxation.abs_log2", 0.1), ("chain.relaxation.log2", 0.1)])
def test_what_meets_one_target_holds_in_part(name, value):
    assert findings.findings(changed(name, value))[0][2] == VERDICTS["in part"]


def test_a_finding_without_one_of_its_numbers_is_left_out():
    assert not findings.findings(RELAXATION[:2]) and not findings.findings(RELAXATION[1:])
    assert findings.table([]).startswith("No results yet")


def test_speed_that_never_pays_is_said():
    speeds = [row("speed.chain.refined", 5e5, ">= 400000"), row("speed.spe.refined_over_openmm", 134.2, ">= 100")]
    speeds += [row("speed.chain.refined_over_openmm", 1394.0)]
    ((_, said, judged, _),) = findings.findings(speeds)
    assert "1,400 times as fast as OpenMM, electrolytes 130" in said and "do not pay" in said and judged == VERDICTS["holds"]
    assert "pay from 35 new" in findings.findings([*speeds, row("chain.break_even", 34.67)])[0][1]


def test_all_six_are_told_by_the_shipped_results_and_stand_in_the_readme():
    shipped = results.load()
    assert [question for question, *_ in findings.findings(shipped)] == [finding.question for finding in FINDINGS]
    readme = findings.README.read_text()
    assert findings.insert(readme, findings.table(shipped)) == readme, "README.md is stale: mlcgmd results"


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    folder, readme = tmp_path / "results", tmp_path / "README.md"
    readme.write_text(f"before\n{findings.BEGIN}\nold\n{findings.END}\nafter\n")
    results.record(RELAXATION, "n", folder)
    findings.write(folder, readme)
    once = readme.read_text()
    assert once.startswith("before\n") and once.endswith("\nafter\n") and "old" not in once and "a factor 2" in once
    findings.write(folder, readme)
    assert readme.read_text() == once


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="end of results"):
        findings.insert(findings.BEGIN, "table")
