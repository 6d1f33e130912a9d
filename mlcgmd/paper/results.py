"""The results: every number that the book and the README state, one file per notebook in ``data/results``."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from ..arguments import Number
from ..errors import MlcgmdError
from ..paths import OWN, RESULTS, atomic

NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
TARGET = re.compile(rf"(<=|>=|==|within) {NUMBER}|{NUMBER} to {NUMBER}")


class Row(TypedDict):
    """One result."""

    id: str
    """Fixed name, such as ``chain.rg2.bias``."""
    quantity: str
    """In human words."""
    value: float
    error: float | None
    """Standard error of ``value``."""
    unit: str
    n: int
    """Number of systems, or of whatever ``value`` is a mean over."""
    target: str
    """``<= x``, ``>= x``, ``== x``, ``within x`` (of zero), ``x to y``, or empty."""
    reported: NotRequired[str]
    """What Fu et al. (2023) report for it, if they do, with the machine."""
    notebook: NotRequired[str]
    """Name of the notebook that measured it, that of its file."""


def make(
    id: str, quantity: str, value: float, *, n: int, target: str = "", unit: str = "", error: float | None = None, reported: str = ""
) -> Row:
    """A result; an error that is not finite is none.

    Args:
        id, quantity, value, n, target, unit, error, reported: the fields of a :class:`Row`.
    """
    error = float(error) if error is not None and math.isfinite(error) else None
    row: Row = {"id": id, "quantity": quantity, "value": float(value), "error": error, "unit": unit, "n": int(n), "target": target}
    return row | {"reported": reported} if reported else row


def record(rows: Sequence[Row], notebook: str, folder: Path = OWN / "data" / "results") -> None:
    """Write the results of a notebook, in place of those that it wrote before.

    Values keep 4 significant digits and errors 2, so that a rerun with the same seed gives the same file.

    Args:
        rows: all that the notebook measured; sorted by id in the file.
        notebook: its name, and that of its file in ``folder``.
        folder: where each notebook has its file.

    Raises:
        MlcgmdError: a row without one of the fields, a value that is not finite, an error that is not or is negative, a target of another
            form, or an id that is there twice; nothing is written.
    """
    rounded: dict[str, Row] = {}
    for row in rows:
        _check(row, f"{notebook} (nothing was recorded)")
        if row["id"] in rounded:
            raise MlcgmdError(f"{notebook} measures {row['id']} twice; nothing was recorded")
        error = None if row["error"] is None else _round(row["error"], 2)
        rounded[row["id"]] = {**row, "value": _round(row["value"], 4), "error": error}
    with atomic(folder / f"{notebook}.json") as temporary:
        temporary.write_text(json.dumps([rounded[key] for key in sorted(rounded)], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(row: Any, where: str) -> None:
    """Refuse what is no :class:`Row`; ``where`` it stands, for the message."""
    if not isinstance(row, dict) or (missing := Row.__required_keys__ - set(row)):
        lacks = f"lacks {sorted(missing)}" if isinstance(row, dict) else "is no mapping"
        raise MlcgmdError(f"{where}: the result {str(row)[:80]} {lacks}; run the notebook again")
    Number()(f"{where}: value of {row['id']}", row["value"])
    Number(least=0, optional=True)(f"{where}: error of {row['id']}", row["error"])
    met(cast(Row, row))


def load(folder: Path = RESULTS) -> list[Row]:
    """The results of all notebooks, sorted by id, each with the name of its notebook; none if there is no file yet.

    Raises:
        MlcgmdError: two notebooks measure the same; or a file is damaged, or holds what :func:`record` refuses.
    """
    found: dict[str, Row] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            rows: list[Row] = json.loads(path.read_bytes())
        except ValueError as error:
            raise MlcgmdError(f"{path} is damaged ({error}); run its notebook again or restore it from git") from error
        if not isinstance(rows, list):
            raise MlcgmdError(f"{path} holds no list of results; run its notebook again or restore it from git")
        for row in rows:
            _check(row, str(path))
            if row["id"] in found:
                raise MlcgmdError(
                    f"{row['id']} is in {path} and in that of {found[row['id']]['notebook']}; remove the file of the notebook that no"
                    " longer measures it"
                )
            found[row["id"]] = {**row, "notebook": path.stem}
    return [found[key] for key in sorted(found)]


def met(row: Row) -> bool | None:
    """Whether the value meets its target; None without a target.

    Raises:
        MlcgmdError: the target has another form than those of :class:`Row`.
    """
    if not row["target"]:
        return None
    match = TARGET.fullmatch(row["target"])
    if not match:
        raise MlcgmdError(f"{row['id']}: target {row['target']!r} is not '<= x', '>= x', '== x', 'within x', 'x to y' or empty")
    value = row["value"]
    if match[3]:
        return float(match[3]) <= value <= float(match[4])
    relation, bound = match[1], float(match[2])
    return {"<=": value <= bound, ">=": value >= bound, "==": value == bound, "within": abs(value) <= bound}[relation]


OWN_ERROR = (
    ("chain.", "chain.md_halves."),
    ("spe.", "spe.md."),
    ("own.kg_melt.", "own.kg_melt.md."),
    ("lifting.", "lifting.md_halves."),
)
"""Beginnings of ids: of a quantity, and of the same between two MD samples."""


def targets(results: Sequence[Row]) -> list[tuple[str, ...]]:
    """The results with a target or a value that the paper reports, sorted by id.

    Of each: quantity, the paper's value, measured ± error, MD's own error, target, met or not, n.
    """
    known = {row["id"]: row for row in results}
    found: list[tuple[str, ...]] = []
    for row in sorted((row for row in results if row["target"] or "reported" in row), key=lambda r: r["id"]):
        others = [row["id"].replace(start, md, 1) for start, md in OWN_ERROR if row["id"].startswith(start)]
        own = next((plain(known[other]["value"]) for other in others if other in known), "")
        reached = {True: "yes", False: "no", None: ""}[met(row)]
        found.append((row["quantity"], row.get("reported", ""), measured(row), own, row["target"], reached, str(row["n"])))
    return found


def measured(row: Row, digits: int = 4, scale: float = 1.0) -> str:
    """Value ± error and unit, in plain digits, both times ``scale``; ``digits`` of the value, two of the error."""
    error = "" if row["error"] is None else f" ± {plain(scale * row['error'], 2)}"
    return f"{plain(scale * row['value'], digits)}{error} {row['unit']}".strip()


def said(row: Row, scale: float = 1.0) -> str:
    """Value ± error and unit as one writes them in a sentence, both times ``scale``: to one digit of the error, two if it begins with 1.

    >>> row = Row(id="a", quantity="", value=0.00266, error=0.48, unit="tau/s", n=3, target="")
    >>> said(row), said(row | {"value": 103400.0, "error": 12000.0}), said(row | {"value": 0.0163, "error": None, "unit": ""}, 100)
    ('0.0 ± 0.5 τ/s', '103,000 ± 12,000 τ/s', '1.63')
    """
    unit = row["unit"].replace("tau", "τ")
    value, error = scale * row["value"], scale * (row["error"] or 0)
    if not error:
        return f"{plain(value, 3)} {unit}".strip()
    first = math.floor(math.log10(error))
    places = (1 if error / 10**first < 1.95 else 0) - first
    value, error = (round(x, places) + 0.0 for x in (value, error))
    return f"{value:,.{max(places, 0)}f} ± {error:,.{max(places, 0)}f} {unit}".strip()


def _round(x: float, digits: int) -> float:
    return float(f"{float(x):.{digits}g}")


def plain(x: float, digits: int = 4) -> str:
    """Plain digits: 0.03, 12.5, 640, 84,000."""
    x = _round(x, digits)
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:g}"
