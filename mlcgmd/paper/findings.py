"""The main results in words: what was asked, what came out and whether it holds, all from the numbers in ``data/results``.

The command ``mlcgmd results`` writes them into README.md; the book makes them when it is built.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import MlcgmdError
from ..paths import RESULTS, ROOT, atomic
from .results import Row, load, met

BEGIN, END = "<!-- results: made by mlcgmd results -->", "<!-- end of results -->"
README = ROOT / "README.md"

Values = Mapping[str, float]
"""Results by id."""
VERDICTS = {"holds": "✔ holds", "in part": "◐ in part", "fails": "✘ fails"}
"""With signs that are read without colours."""


class Finding(NamedTuple):
    """One result: a question, the ids of the targets that judge it, the sentence that answers it, and the page that shows it."""

    question: str
    judged_by: tuple[str, ...]
    answer: Callable[[Values], str]
    page: str


def percent(fraction: float) -> str:
    """Without its sign, one digit below ten.

    >>> percent(-0.0615), percent(0.2083)
    ('6.2 %', '21 %')
    """
    value = 100 * abs(fraction)
    return f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def times(factor: float) -> str:
    """A factor in two digits, in plain ones.

    >>> times(1.4123), times(1394.0)
    ('1.4', '1,400')
    """
    return f"{float(f'{factor:.2g}'):,g}"


def _size(v: Values) -> str:
    way = "small" if v["chain.rg2.bias"] < 0 else "large"
    return (
        f"Sizes of random sequences follow MD with R² = {v['chain.rg2.r2']:.2f} (a perfect model: {v['chain.rg2.r2_ceiling']:.2f});"
        f" ⟨Rg²⟩ is {percent(v['chain.rg2.bias'])} too {way} on average"
    )


def _local(v: Values) -> str:
    return (
        f"Contact maps correlate with r = {v['chain.contact.correlation']:.2f}; bond lengths between beads are off by"
        f" {percent(v['chain.bond.emd'])} of their mean, {percent(v['chain.bond.emd_over_std'])} of their spread"
    )


def _relaxation(v: Values) -> str:
    off, own, mean = (2 ** abs(v[f"chain.{name}"]) for name in ("relaxation.abs_log2", "md_halves.relaxation.abs_log2", "relaxation.log2"))
    way = "short" if v["chain.relaxation.log2"] < 0 else "long"
    return (
        f"Relaxation times of chains are typically off by a factor {times(off)} (MD's own halves: {times(own)}) and on average"
        f" {times(mean)} times too {way}"
    )


def _diffusion(v: Values) -> str:
    species = {"li": "Li", "tfsi": "TFSI", "chain_centre": "chains"}

    def factor(name: str) -> str:
        return times(10 ** v[f"spe.{name}"])

    factors = ", ".join(f"{words} {factor(f'D.{key}.apparent')} ({factor(f'md.D.{key}')})" for key, words in species.items())
    steps = [times(v[f"spe.one_step.msd_ratio.{end}"]) for end in ("lowest", "highest")]
    return (
        f"Apparent D of unseen electrolytes is off by these factors; in brackets, two MD runs of each other: {factors}. In one step, mean"
        f" squared displacements are {steps[0]} to {steps[1]} of MD's"
    )


def _structure(v: Values) -> str:
    pairs, perfect = (times(2 ** v[f"spe.contact_pairs.{name}"]) for name in ("log2", "perfect"))
    return (
        f"g(r) of unseen electrolytes is {times(v['spe.rdf.over_perfect'])} times as far from MD as that of a perfect model would be; the"
        f" number of pairs of Li and TFSI is off by a factor {pairs} (a perfect model: {perfect}), the worst bonds by"
        f" {percent(v['spe.bond.emd_over_std'])} of their spread, the worst angles by {v['spe.angle.emd']:.1f}°"
    )


def _speed(v: Values) -> str:
    lammps, gromacs = (v.get(f"speed.{name}") for name in ("chain.refined_over_lammps", "spe.refined_over_gromacs"))
    pays = v.get("chain.break_even")
    return (
        f"On one core, many copies at once: chains run {times(v['speed.chain.refined_over_openmm'])} times as fast as OpenMM"
        + (f" and {times(lammps)} times as fast as LAMMPS" if lammps else "")
        + f", electrolytes {times(v['speed.spe.refined_over_openmm'])} times as fast as OpenMM"
        + (f" and {times(gromacs)} times as fast as GROMACS" if gromacs else "")
        + "; with training and its MD counted, "
        + (f"chains pay from {times(pays)} new sequences on" if pays else "chains do not pay")
    )


FINDINGS = (
    Finding("Size of unseen chains", ("chain.rg2.r2", "chain.rg2.bias", "chain.rg2.emd_over_perfect"), _size, "05_chain"),
    Finding("Contacts and bonds", ("chain.contact.correlation", "chain.bond.emd", "chain.bond.emd_over_std"), _local, "05_chain"),
    Finding("Relaxation of chains", ("chain.relaxation.abs_log2", "chain.relaxation.log2"), _relaxation, "05_chain"),
    Finding(
        "Motion of ions",
        ("spe.D.over_regression", "spe.one_step.msd_ratio.lowest", "spe.one_step.msd_ratio.highest"),
        _diffusion,
        "06_electrolyte",
    ),
    Finding(
        "Structure of electrolytes",
        ("spe.contact_pairs.log2", "spe.coordination.error", "spe.rdf.over_perfect", "spe.bond.emd_over_std", "spe.angle.emd"),
        _structure,
        "06_electrolyte",
    ),
    Finding("Speed", ("speed.chain.refined", "speed.spe.refined_over_openmm"), _speed, "10_speed"),
)
"""What the first page says."""


def verdict(judged_by: Sequence[Row]) -> str:
    """Of :data:`VERDICTS`: all targets are met, some are, or none is."""
    reached = [bool(met(row)) for row in judged_by]
    return VERDICTS["holds" if all(reached) else "in part" if any(reached) else "fails"]


def findings(results: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    """Question, answer, verdict and name of the notebook of each of :data:`FINDINGS` that the results tell."""
    rows = {row["id"]: row for row in results}
    values = {name: row["value"] for name, row in rows.items()}
    found = []
    for finding in FINDINGS:
        if not set(finding.judged_by) <= set(rows):
            continue
        try:
            said = finding.answer(values)
        except KeyError:  # a number that its notebook left out
            continue
        found.append((finding.question, said, verdict([rows[name] for name in finding.judged_by]), finding.page))
    return found


def table(results: Sequence[Row]) -> str:
    """Markdown table of the :func:`findings`."""
    rows = findings(results)
    if not rows:
        return "No results yet: `make reproduce` measures them.\n"
    lines = ["| question | answer | verdict |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| **{asked}** | {said} | {judged} |" for asked, said, judged, _ in rows)]) + "\n"


def insert(text: str, markdown: str) -> str:
    """``text`` with ``markdown`` between its two markers.

    Raises:
        MlcgmdError: the markers are not there exactly once, in order.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or not pattern.search(text):
        raise MlcgmdError(f"the text needs the lines {BEGIN!r} and {END!r} once each, in this order")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{markdown}\n{END}", text)


def write(folder: Path = RESULTS, readme: Path = README) -> None:
    """Put the table of the findings into the README.

    Raises:
        FileNotFoundError: there is no README.
        MlcgmdError: the README lacks the markers.
    """
    text = insert(readme.read_text(encoding="utf-8"), table(load(folder)))
    with atomic(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")
