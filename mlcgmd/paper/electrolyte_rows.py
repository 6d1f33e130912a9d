"""What notebook 6 records of electrolytes: of each number its id, words, target and error. How it is measured is in ``mlcgmd.analysis``."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ..analysis import statistics
from ..analysis.distances import expected_difference, expected_log2
from ..analysis.ensemble import Case, Ensemble
from ..analysis.scores import log_ratio
from .headlines import ION, KEYS, SHELL, SOLVENTS
from .results import Row, make
from .rows import REFINED, UNREFINED

PERFECT = 1.5
"""A target below this multiple of what a perfect model would read is raised to it."""


def _electrolyte(name: str, quantity: str, value: float, n: int, target: str = "", unit: str = "", error: float | None = None) -> Row:
    return make(f"spe.{name}", f"electrolyte, {quantity}", value, n=n, target=target, unit=unit, error=error)


def structure(table: pd.DataFrame, local: pd.DataFrame) -> Iterator[Row]:
    """Contacts, g(r), bonds, angles and steps, each with what a perfect model would read.

    Args:
        table: of :func:`.compare.compare` with :data:`.headlines.STRUCTURE`.
        local: of :func:`.scores.local_structure`, a row for each composition.
    """
    table = table.dropna(subset=["value"])
    of = {name: table[table.measure.str.startswith(f"{name}.")] for name in ("neighbours", "rdf", "bond.emd_over_std", "angle.emd", "step")}
    names = {f"neighbours.{ION}-{other}": other for other in SOLVENTS}
    shell = of["neighbours"][of["neighbours"].measure.isin(names)]
    pairs = shell[shell.measure == f"neighbours.{ION}-TFSI"]
    if len(pairs):
        off = np.log2(pairs.value / pairs.md).abs()
        perfect = float(np.mean([expected_log2(*x) for x in pairs[["md", "md_error", "value", "error"]].to_numpy(float)]))
        words = f"pairs of Li and TFSI beads within {SHELL:g} Å"
        target = f"<= {max(0.3, PERFECT * perfect):.2g}"
        yield _electrolyte("contact_pairs.log2", f"{REFINED}: |log2| of the number of {words}", off.mean(), len(off), target)
        yield _electrolyte("contact_pairs.perfect", f"a perfect model: |log2| of the number of {words}", perfect, len(off))
        worst = shell.loc[shell.difference.idxmax()]
        words = f"largest error of the number of beads within {SHELL:g} Å of a Li, {names[worst.measure]} in {worst.system}"
        yield _electrolyte("coordination.error", f"{REFINED}: {words}", worst.difference, len(shell), "<= 0.25")
        yield _electrolyte("coordination.perfect", f"a perfect model: {words}", worst.perfect, 1)
    ratio = of["rdf"].difference / of["rdf"].perfect
    if len(ratio):
        words = "distance of g(r) to MD over that of a perfect model"
        yield _electrolyte("rdf.over_perfect", f"{words}, mean over pairs and compositions", ratio.mean(), len(ratio), "<= 2")
        worst = of["rdf"].loc[ratio.idxmax()]
        yield _electrolyte("rdf.over_perfect.worst", f"{words}, {worst.measure[4:]} in {worst.system}", ratio.max(), 1)
    for name, words, target, unit in (
        ("bond.emd_over_std", "EMD of the length of a CG bond / standard deviation", "<= 0.15", ""),
        ("angle.emd", "EMD of an angle between CG bonds", "<= 3", "degrees"),
    ):
        part = of[name]
        if len(part):
            worst = part.loc[part.value.idxmax()]
            words = f"{words}, mean over those of {worst.measure.split('.')[-1]} in {worst.system}, the worst"
            yield _electrolyte(name, words, worst.value, len(part), target, unit)
            yield _electrolyte(f"{name}.perfect", f"a perfect model: {words}", worst.perfect, 1, unit=unit)
    yield _electrolyte("bond.emd", "EMD of CG bond lengths / mean", local.bond_emd.mean(), len(local), "<= 0.02")
    yield _electrolyte("md.bond.emd", "two MD samples: EMD of CG bond lengths / mean", local.bond_emd_md.mean(), len(local))
    step = of["step"].assign(ratio=(of["step"].value / of["step"].md) ** 2)
    for end, k in (("lowest", step.ratio.argmin()), ("highest", step.ratio.argmax())) if len(step) else ():
        one = step.iloc[k]
        error = 2 * one.ratio * float(np.hypot(one.error / one.value, one.md_error / one.md))
        words = f"{end} mean squared displacement in one step over MD's, {one.measure.split('.')[-1]} in {one.system}"
        yield _electrolyte(f"one_step.msd_ratio.{end}", words, one.ratio, len(step), "0.9 to 1.1", error=error)


def stability(tables: Mapping[str, pd.DataFrame], by_name: Mapping[str, Case], unrefined: Mapping[str, Ensemble]) -> Iterator[Row]:
    """Replicas of electrolytes that lived, and what became of those without refinement.

    Args:
        tables: of :func:`.scores.stability`: of "refined" and, where there is one, "unrefined".
        by_name: the compositions.
        unrefined: their unrefined simulations until they failed.
    """
    refined = tables["refined"]
    share = 1 - refined.failed.mean()
    yield _electrolyte("stable_fraction", f"{REFINED}: replicas without blow-up", share, len(refined), "== 1")
    if not unrefined:
        return
    plain = tables["unrefined"]
    words = f"{UNREFINED}: median time to failure or the end"
    yield _electrolyte("time_to_failure_unrefined", words, plain.time.median(), len(plain), unit="ps")
    yield _electrolyte("failed_unrefined", f"{UNREFINED}: share of failed replicas", plain.failed.mean(), len(plain))
    astray = []
    for name, sample in unrefined.items():
        bonds = np.concatenate([run.bonds().ravel() for run in by_name[name].md])
        astray.append(statistics.emd(bonds, sample.bonds()) / bonds.mean())
    words = f"{UNREFINED}: EMD of CG bond lengths / mean"
    yield _electrolyte("bond.emd_unrefined", words, float(np.mean(astray)), len(by_name))


def diffusion(table: pd.DataFrame, regression: pd.DataFrame | None = None) -> Iterator[Row]:
    """D of each species against MD's, with standard errors over compositions.

    Where MD is diffusive and its seeds agree, D has a target: 0.08, or :data:`PERFECT` times what a perfect model reads if that is
    larger. Where it is not, it is an apparent one.

    Args:
        table: of :func:`.scores.diffusion`.
        regression: D of a regression on salt and temperature, compositions x species; None if there is none.
    """
    comparisons = {
        "": (REFINED, "model", "md"),
        "md.": ("two MD samples", "md a", "md b"),
        "short_md.": ("first 5 % of MD", "short_md", "md"),
        "equal_cost.": ("MD of equal cost", "equal_cost", "md"),
    }
    values = table.set_index(["source", "species", "composition"])
    baseline = {}
    for species, key in KEYS.items():
        md, model = (values.loc[source].loc[species] for source in ("md", "model"))
        free = md.diffusive.astype(bool).reindex(model.index, fill_value=False)
        relative = [(side.error / side.value).to_numpy(float) for side in (md.loc[model.index], model)]
        perfect = np.array([expected_difference(*x) / np.log(10) for x in zip(*relative, strict=True)])
        for prefix, (label, source, against) in comparisons.items():
            for column, how in (("value", ""), ("endpoint", " by endpoints")):
                if source not in values.index.get_level_values("source"):
                    continue
                ratios = log_ratio(table, source, against, column)[species].dropna()
                name = f"{prefix}D.{key}" + (".endpoint" if how else "")
                parts = {"": ratios} if prefix or how else {"": ratios[free[ratios.index]], ".apparent": ratios[~free[ratios.index]]}
                for ending, some in parts.items():
                    target = ""
                    if not (prefix or how or ending):
                        target = f"<= {max(0.08, PERFECT * float(np.nanmean(perfect[free]))):.2g}" if free.any() else ""
                    what = "apparent D" if ending or prefix or how else "D"
                    words = f"{label}: |log10| of {what} of {species}{how}"
                    yield _electrolyte(name + ending, words, some.mean(), len(some), target, error=some.sem())
        if np.isfinite(perfect).any():
            words = f"a perfect model: |log10| of D of {species}"
            yield _electrolyte(f"D.{key}.perfect", words, float(np.nanmean(perfect)), int(np.isfinite(perfect).sum()))
        if regression is not None:
            baseline[species] = np.log10(regression[species] / md.value[regression.index]).abs()
            words = f"regression on salt and temperature: |log10| of D of {species}"
            yield _electrolyte(f"D.{key}.regression", words, baseline[species].mean(), len(regression))
    if baseline:
        learned = log_ratio(table, "model", "md")[list(KEYS)].dropna()
        ratio = learned.to_numpy().mean() / pd.DataFrame(baseline).loc[learned.index].to_numpy().mean()
        words = "|log10| of D over that of a regression on salt and temperature, mean over species"
        yield _electrolyte("D.over_regression", f"{REFINED}: {words}", ratio, learned.size, "<= 0.7")


def conductivity(table: pd.DataFrame) -> Iterator[Row]:
    """Conductivities, transference numbers and Haven ratios, means over compositions, of :func:`.scores.conductivity`.

    The Haven ratio is that of the means; there is none where the error of the collective conductivity is more than half of it.
    """
    for source, prefix, label in (("md", "md.", "MD"), ("model", "", REFINED)):
        some, mean = table[table.source == source], {}
        for name, how, transference in (
            ("nernst_einstein", "Nernst-Einstein", "transference"),
            ("collective", "collective", "collective_transference"),
        ):
            error = float(np.linalg.norm(some[f"{name}_error"])) / max(1, len(some))
            mean[name] = statistics.Estimate(some[name].mean(), error)
            words = f"{label}: {how} conductivity, mean"
            yield _electrolyte(f"{prefix}conductivity.{name}", words, some[name].mean(), len(some), unit="S/cm", error=error)
            words = f"{label}: {how} transference number of Li, mean"
            yield _electrolyte(f"{prefix}{transference}", words, some[transference].mean(), len(some))
        above, below = mean["nernst_einstein"], mean["collective"]
        if below.error < 0.5 * below.value:
            ratio = above.value / below.value
            error = ratio * float(np.hypot(above.error / above.value, below.error / below.value))
            yield _electrolyte(f"{prefix}haven_ratio", f"{label}: Haven ratio", ratio, len(some), error=error)


def published_definition(worst: float, n: int) -> Row:
    """D of a published sample of LAMMPS output against what its authors' program gives."""
    words = "D of a published sample against htp_md: largest relative difference"
    return _electrolyte("htpmd.max_relative_error", words, worst, n, "<= 1e-6")
