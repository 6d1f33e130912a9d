"""The results files and the table of targets."""

import json
import math

import pytest

from mlcgmd.errors import MlcgmdError
from mlcgmd.paper import results
from mlcgmd.paper.results import Row


def row(**changes) -> Row:
    return {"id": "a", "quantity": "A", "value": 1.0, "error": None, "unit": "", "n": 16, "target": ""} | changes


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "results"


def test_each_notebook_has_its_file_and_reading_merges_them(folder):
    results.record([row(id="b", value=2), row(id="a")], "05_chain", folder)
    results.record([row(id="aa", value=3)], "06_other", folder)
    assert [(r["id"], r["value"], r["notebook"]) for r in results.load(folder)] == [
        ("a", 1, "05_chain"),
        ("aa", 3, "06_other"),
        ("b", 2, "05_chain"),
    ]
    assert [r["id"] for r in json.loads((folder / "05_chain.json").read_text())] == ["a", "b"]
    assert results.load(folder / "elsewhere") == []


def test_what_a_notebook_no_longer_measures_goes(folder):
    results.record([row(id="a"), row(id="b")], "05_chain", folder)
    results.record([row(id="c")], "06_other", folder)
    results.record([row(id="b", value=2)], "05_chain", folder)
    assert [(r["id"], r["value"]) for r in results.load(folder)] == [("b", 2), ("c", 1)]


def test_what_is_measured_twice_is_refused(folder):
    results.record([row(id="a")], "05_chain", folder)
    with pytest.raises(ValueError, match="06_other measures b twice"):
        results.record([row(id="b"), row(id="b", value=2)], "06_other", folder)
    results.record([row(id="a")], "06_other", folder)
    with pytest.raises(ValueError, match=r"a is in .*06_other\.json and in that of 05_chain"):
        results.load(folder)


def test_record_rounds_so_that_a_rerun_gives_the_same_bytes(folder):
    results.record([row(value=0.123449, error=0.01234)], "n", folder)
    first = (folder / "n.json").read_bytes()
    results.record([row(value=0.123441, error=0.01239)], "n", folder)
    assert (folder / "n.json").read_bytes() == first
    assert json.loads(first)[0]["value"] == 0.1234 and json.loads(first)[0]["error"] == 0.012


@pytest.mark.parametrize(
    "changes", [{"value": math.nan}, {"value": "1"}, {"error": math.inf}, {"error": -0.1}, {"target": "< 3"}, {"target": "about 1"}]
)
def test_a_bad_row_is_refused_and_nothing_is_written(folder, changes):
    results.record([row()], "n", folder)
    before = (folder / "n.json").read_bytes()
    with pytest.raises(ValueError, match="c"):
        results.record([row(id="b"), row(id="c", **changes)], "n", folder)
    assert (folder / "n.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"id": "a", "quan', r"n\.json is damaged .*restore it from git"),
        ("", r"n\.json is damaged"),
        ("\xff", r"n\.json is damaged"),
        (json.dumps(row()), r"n\.json holds no list of results; run its notebook again"),
        ('["a"]', r"n\.json: the result a is no mapping; run the notebook again"),
        ('[{"id": "a"}]', r"n\.json: the result .* lacks \['error', 'n', "),
        (json.dumps([row(error=-1)]), r"n\.json: error of a is -1; give a finite number from 0 on"),
        (json.dumps([row(value=math.nan)]), r"n\.json: value of a is nan; give a finite number"),
    ],
)
def test_files_that_hold_no_results_are_named(folder, text, message):
    folder.mkdir(parents=True)
    (folder / "n.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(MlcgmdError, match=message):
        results.load(folder)


def test_a_row_without_a_field_is_refused(folder):
    incomplete = {k: v for k, v in row().items() if k != "unit"}
    with pytest.raises(ValueError, match="unit"):
        results.record([incomplete], "n", folder)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        ("<= 0.03", 0.03, True),
        ("<= 0.03", 0.031, False),
        (">= 0.95", 0.95, True),
        (">= 80000", 79999, False),
        ("== 1", 1.0, True),
        ("== 1", 0.99, False),
        ("within 0.03", -0.03, True),
        ("within 0.03", -0.04, False),
        ("0.75 to 1.33", 0.75, True),
        ("0.75 to 1.33", 1.34, False),
        ("-1 to 1", -0.5, True),
        ("<= 1e-3", 1e-4, True),
        ("", 5.0, None),
    ],
)
def test_met(target, value, expected):
    assert results.met(row(target=target, value=value)) is expected


def test_digits_are_plain():
    assert results.measured(row(value=12250.0, error=643.7, unit="tau/s")) == "12,250 ± 640 tau/s"
    assert results.measured(row(value=0.02317, error=0.00204)) == "0.02317 ± 0.002"


@pytest.mark.parametrize(
    ("value", "error", "scale", "said"),
    [
        (0.00266, 0.48, 1, "0.0 ± 0.5"),
        (0.9657, 0.0201, 1, "0.97 ± 0.02"),
        (0.0163, 0.0016, 100, "1.63 ± 0.16"),
        (12250.0, 643.7, 1, "12,200 ± 600"),
        (-0.0004, 0.02, 1, "0.00 ± 0.02"),
        (0.1541, 0.0099, 1, "0.154 ± 0.010"),
        (2.484, None, 1, "2.48"),
    ],
)
def test_a_number_in_a_sentence_has_the_digits_that_its_error_allows(value, error, scale, said):
    assert results.said(row(value=value, error=error), scale) == said


def test_targets_are_listed_beside_mds_own_error():
    bonds, bias, speed = results.targets(
        [
            row(id="z", quantity="speed", value=84000.0, unit="tau/s", n=48, target=">= 2", reported="2 tau/s"),
            row(id="chain.rg2.bias", quantity="bias of Rg", value=-0.02, error=0.01, target="within 0.03"),
            row(id="chain.md_halves.rg2.bias", quantity="MD", value=0.004),
            row(id="b", quantity="bonds", value=0.5, target="<= 0.03"),
        ]
    )
    assert speed == ("speed", "2 tau/s", "84,000 tau/s", "", ">= 2", "yes", "48")
    assert bias == ("bias of Rg", "", "-0.02 ± 0.01", "0.004", "within 0.03", "yes", "16")
    assert bonds[0] == "bonds" and bonds[5] == "no"
