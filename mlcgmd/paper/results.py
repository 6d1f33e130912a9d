"""The results file: every number that the book and the README state, and the tables made from it.

``python -m mlcgmd.paper.results`` writes the table of ``data/results.json`` into README.md and book/results_table.md.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from ..paths import RESULTS, ROOT, atomic

BEGIN, END = "<!-- results: made by python -m mlcgmd.paper.results -->", "<!-- end of results -->"
README = ROOT / "README.md"
BOOK_TABLE = ROOT / "book" / "results_table.md"
TARGET = re.compile(r"(<=|>=|==|within) (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


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
    """``<= x``, ``>= x``, ``== x``, ``within x`` (of zero), or empty."""
    reported: NotRequired[str]
    """What Fu et al. (2023) report for it, if they do, with the machine."""
    notebook: NotRequired[str]
    """Name of the notebook that measured it."""


def record(rows: Sequence[Row], notebook: str, path: Path = RESULTS) -> None:
    """Merge all rows of a notebook into the results file, in place of those that it put there before.

    Values keep 4 significant digits and errors 2, so that a rerun with the same seed gives the same file.

    Raises:
        ValueError: a row without one of the fields, a value or error that is not finite, or a target of another form.
    """
    fields = Row.__required_keys__
    merged = {row["id"]: row for row in load(path) if row.get("notebook") != notebook}
    for row in rows:
        if missing := fields - set(row):
            raise ValueError(f"the result {row.get('id', row)} lacks {sorted(missing)}")
        value = _round(row["value"], 4)
        error = None if row["error"] is None else _round(row["error"], 2)
        if not math.isfinite(value) or (error is not None and not math.isfinite(error)):
            raise ValueError(f"{row['id']} is {value} ± {error}: not finite; nothing was recorded")
        new: Row = {**row, "value": value, "error": error, "notebook": notebook}
        met(new)
        merged[row["id"]] = new
    with atomic(path) as temporary:
        temporary.write_text(json.dumps([merged[key] for key in sorted(merged)], indent=1, ensure_ascii=False) + "\n")


def load(path: Path = RESULTS) -> list[Row]:
    """The recorded results, sorted by id; none if there is no file yet."""
    return json.loads(path.read_text()) if path.exists() else []


def met(row: Row) -> bool | None:
    """Whether the value meets its target; None without a target.

    Raises:
        ValueError: the target has another form than those of :class:`Row`.
    """
    if not row["target"]:
        return None
    match = TARGET.fullmatch(row["target"])
    if not match:
        raise ValueError(f"{row['id']}: target {row['target']!r} is not '<= x', '>= x', '== x', 'within x' or empty")
    relation, bound, value = match[1], float(match[2]), row["value"]
    return {"<=": value <= bound, ">=": value >= bound, "==": value == bound, "within": abs(value) <= bound}[relation]


OWN_ERROR = (("chain.", "chain.md_halves."), ("spe.", "spe.md."), ("own.kg_melt.", "own.kg_melt.md."))
"""Beginnings of ids: of a quantity, and of the same between two MD samples."""


def table(results: Sequence[Row]) -> str:
    """Markdown table of the results with a target or a value that the paper reports.

    Columns: quantity, the paper's value, measured ± error, MD's own error, target, met or not, n.
    """
    rows = sorted((row for row in results if row["target"] or "reported" in row), key=lambda r: r["id"])
    if not rows:
        return "No results yet: `make reproduce` measures them.\n"
    known = {row["id"]: row for row in results}
    lines = ["| quantity | reported | measured | MD's own | target | met | n |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        others = [row["id"].replace(start, md, 1) for start, md in OWN_ERROR if row["id"].startswith(start)]
        cells = (
            row["quantity"].replace("|", r"\|"),
            row.get("reported", ""),
            measured(row),
            *([_text(known[other]["value"]) for other in others if other in known] or [""]),
            row["target"],
            {True: "yes", False: "**no**", None: ""}[met(row)],
            str(row["n"]),
        )
        lines.append(re.sub(" +", " ", f"| {' | '.join(cells)} |"))
    return "\n".join(lines) + "\n"


def measured(row: Row, digits: int = 4, scale: float = 1.0) -> str:
    """Value ± error and unit, in plain digits, both times ``scale``; ``digits`` of the value, two of the error."""
    error = "" if row["error"] is None else f" ± {_text(scale * row['error'], 2)}"
    return f"{_text(scale * row['value'], digits)}{error} {row['unit']}".strip()


def insert(text: str, markdown: str) -> str:
    """``text`` with ``markdown`` between its two markers.

    Raises:
        ValueError: the markers are not there exactly once, in order.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or not pattern.search(text):
        raise ValueError(f"the text needs the lines {BEGIN!r} and {END!r} once each, in this order")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{markdown}\n{END}", text)


def write_tables(path: Path = RESULTS, readme: Path = README, book: Path = BOOK_TABLE) -> None:
    """Put the table of the results file into the README and the book.

    Raises:
        FileNotFoundError: there is no README.
        ValueError: the README lacks the markers.
    """
    markdown = table(load(path))
    text = insert(readme.read_text(), markdown)
    for target, content in ((readme, text), (book, markdown)):
        with atomic(target) as temporary:
            temporary.write_text(content)


def _round(x: float, digits: int) -> float:
    return float(f"{float(x):.{digits}g}")


def _text(x: float, digits: int = 4) -> str:
    """Plain digits: 0.03, 12.5, 640, 84,000."""
    x = _round(x, digits)
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:g}"


if __name__ == "__main__":
    write_tables()
