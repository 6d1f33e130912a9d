"""Tables of MD against simulations, a row per system: what the headline numbers are means over.

:func:`conformations` is of lone molecules, the others of compositions in a periodic box. For any system and any measure at
once there is :mod:`.compare`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import MlcgmdError
from . import estimates, liquids, molecules, statistics, transport
from .distances import RELATIVE, STANDARDISED, expected_log2
from .ensemble import Case, Ensemble, Species, composition

SCORES = (
    *("rg2_md", "rg2_md_error", "rg2", "rg2_error", "rg2_emd", "rg2_emd_md", "rg2_emd_perfect", "rg2_particle_md", "rg2_particle"),
    *("tail_md", "tail_model", "bond_emd", "bond_emd_over_std", "contact_correlation"),
    *("relaxation_md", "relaxation_md_error", "relaxation_model", "relaxation_model_error", "relaxation_perfect"),
    *("mass", "diffusion_md", "diffusion_md_error", "diffusion_model", "diffusion_model_error"),
)
"""What :func:`conformation` measures."""
SOURCES = ("md", "md a", "md b", "model")
"""All MD runs of a composition, its two MD samples, the simulation."""
AGREE = 2.0
"""Two runs agree whose difference is within this multiple of its standard error."""
TAIL = 2.0
"""Standard deviations of MD above MD's mean from which on a conformation counts as open."""


def conformation(md: Ensemble, model: Ensemble) -> dict[str, float]:
    """Scores of one molecule: mean and distribution of Rg^2, CG bonds, contacts, relaxation, diffusion; MD's own errors beside them.

    ``md`` is one run, or several as replicas (:func:`.ensemble.pooled`). EMDs are relative to MD's mean, that of bonds to their
    standard deviation too. ``..._perfect``: what a perfect model would read, sampled as this one and against this MD, for the EMD and
    for the abs log2 of the ratio of relaxation times. ``tail_...``: share of frames in which Rg^2 is :data:`TAIL` of MD's standard
    deviations above MD's mean. ``diffusion_...``: D of the centre of mass (length^2 over time); ``mass``: that of the molecule.
    Relaxation times and D are NaN where a series is too short for one, the correlation of contacts where a map of few beads does not
    vary.
    """
    a, b = md.rg2(), model.rg2()
    fine_a, fine_b = md.rg2_particle(), model.rg2_particle()
    bond_a, bond_b = md.bonds(), model.bonds()
    cutoff = estimates.CONTACT * float(bond_a.mean())
    scores = {
        "rg2_md": a.mean(),
        "rg2_md_error": estimates.standard_error(a),
        "rg2": b.mean(),
        "rg2_error": estimates.standard_error(b),
        "rg2_emd": RELATIVE.between(a.ravel(), b.ravel()),
        "rg2_emd_md": (statistics.emd_halves(a[0]) if len(a) == 1 else statistics.emd(*np.array_split(a, 2))) / a.mean(),
        "rg2_emd_perfect": estimates.perfect_emd(a, md.interval, b, model.interval),
        "rg2_particle_md": fine_a.mean(),
        "rg2_particle": fine_b.mean(),
        "bond_emd": RELATIVE.between(bond_a.ravel(), bond_b.ravel()),
        "bond_emd_over_std": STANDARDISED.between(bond_a.ravel(), bond_b.ravel()),
        "contact_correlation": _contacts(md, model, cutoff),
        "mass": md.mass.sum(),
    }
    times = [estimates.relaxation(a, md.interval), estimates.relaxation(b, model.interval)]
    scores["relaxation_perfect"] = expected_log2(*times[0], *times[1])
    for key, values, run, time in zip(("md", "model"), (a, b), (md, model), times, strict=True):
        fit = estimates.centre_diffusion(run, [md], model.interval)
        scores[f"tail_{key}"] = np.mean(values > a.mean() + TAIL * a.std())
        scores |= {f"relaxation_{key}": time.value, f"relaxation_{key}_error": time.error}
        scores |= {f"diffusion_{key}": fit.value, f"diffusion_{key}_error": fit.error}
    return {name: float(value) for name, value in scores.items()}


def _contacts(md: Ensemble, model: Ensemble, cutoff: float) -> float:
    try:
        return molecules.contact_correlation(md.contacts(cutoff), model.contacts(cutoff), md.bond)
    except molecules.ConstantMapError:
        return np.nan


def conformations(md: Sequence[Ensemble], models: Sequence[Ensemble]) -> pd.DataFrame:
    """:func:`conformation` of each molecule with its simulation; a row per molecule, with the number of replicas that failed.

    A molecule of which every replica failed has NaN scores.
    """
    rows = []
    for one, model in zip(md, models, strict=True):
        scores = conformation(one, model) if len(model.position) else {}
        rows.append({"system": one.name, "failed": model.failed, **scores})
    return pd.DataFrame(rows).reindex(columns=["system", "failed", *SCORES])


def stability(runs: Sequence[xr.Dataset]) -> pd.DataFrame:
    """A row per replica: whether it failed, and for how long it ran (time unit): to its failure, else to the end of the run."""
    rows = []
    for run in runs:
        interval = float(run.time[1] - run.time[0])
        good = np.isfinite(run.position.values).all(axis=(2, 3)).sum(axis=1)
        for replica, (why, frames) in enumerate(zip(run.failure.values, good, strict=True)):
            row: dict[str, object] = {"composition": composition(run.attrs["system"]), "replica": replica, "failed": why != ""}
            rows.append(row | {"time": interval * frames})
    return pd.DataFrame(rows)


def mean_rdf(samples: Sequence[Ensemble], pair: tuple[str, str], longest: float, width: float = liquids.BIN) -> liquids.Rdf:
    """Mean of the samples' radial distribution functions; each has its own box."""
    curves = [s.rdf(*pair, longest, width) for s in samples]
    return liquids.Rdf(curves[0].r, *(np.mean([getattr(c, name) for c in curves], axis=0) for name in ("g", "coordination")))


def structures(by_name: Mapping[str, Case], pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """A row per composition and pair: distance of g(r) to MD, and that of MD's two samples; NaN where there is no model.

    Args:
        by_name: of :func:`.ensemble.cases`.
        pairs: label of a pair to its two components.
    """
    rows = []
    for name, case in by_name.items():
        longest = case.r_max()
        for label, pair in pairs.items():
            a, b = (s.rdf(*pair, longest) for s in case.samples)
            row: dict[str, object] = {"composition": name, "pair": label, "distance_md": liquids.distance(a, b)}
            if case.model:
                row["distance"] = liquids.distance(case.model.rdf(*pair, longest), mean_rdf(case.md, pair, longest))
            rows.append(row)
    return pd.DataFrame(rows).reindex(columns=["composition", "pair", "distance", "distance_md"])


def local_structure(by_name: Mapping[str, Case]) -> pd.DataFrame:
    """A row per composition: earth mover's distance of CG bond lengths, over MD's mean, and of bond angles in degrees."""
    rows = []
    for name, case in by_name.items():
        bond, angle = [np.concatenate([f(s).ravel() for s in case.md]) for f in (Ensemble.bonds, Ensemble.angles)]
        a, b = case.samples
        row: dict[str, object] = {"composition": name, "bond_emd_md": statistics.emd(a.bonds(), b.bonds()) / bond.mean()}
        row |= {"angle_emd_md": statistics.emd(a.angles(), b.angles())}
        if case.model:
            row |= {"bond_emd": statistics.emd(bond, case.model.bonds()) / bond.mean()}
            row |= {"angle_emd": statistics.emd(angle, case.model.angles())}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=["composition", "bond_emd", "bond_emd_md", "angle_emd", "angle_emd_md"])


def _sources(case: Case, short: Mapping[str, float]) -> dict[str, list[Ensemble]]:
    """What is measured: each source's runs, whose values are averaged."""
    first = case.md[0]
    cut = {label: [first.part(slice(0, round(length / first.interval) + 1))] for label, length in short.items()}
    return {"md": case.md, "md a": [case.samples[0]], "md b": [case.samples[1]], "model": [case.model] if case.model else [], **cut}


def diffusion(by_name: Mapping[str, Case], short: Mapping[str, float], species: Mapping[str, Species]) -> pd.DataFrame:
    """A row per composition, species and source: D in cm^2/s with error, fit range (ps), exponent, and D by its ends.

    ``diffusive``: the exponent of each run is 1 within its error, and the runs agree within :data:`AGREE` of theirs.

    Sources: "md" (all seeds), "md a" and "md b" (the two MD samples), "model", and the keys of ``short``. MD and model are fitted
    over the same lags, :func:`.estimates.md_window`; a run that is shorter than twice the longest of them chooses its own, as anyone who
    had no more than it would.

    Args:
        by_name: of :func:`.ensemble.cases`.
        short: label to time: MD of the first seed, cut to so much.
        species: label to what diffuses, such as :meth:`.Ensemble.species`.
    """
    rows = []
    for name, case in by_name.items():
        for label, kind in species.items():
            window = estimates.md_window(case.md, kind)
            for source, runs in _sources(case, short).items():
                row: dict[str, object] = {"composition": name, "species": label, "source": source}
                found = estimates.fits(runs, kind, (window.low, window.high))
                if found:
                    value, error = estimates.mean([(f.value, f.error) for f in found])
                    low, high = found[0].window
                    row |= {"value": value, "error": error, "low": low, "high": high}
                    differ = estimates.scatter([(f.value, f.error) for f in found]) > AGREE
                    row |= {"exponent": np.mean([f.exponent for f in found]), "diffusive": not differ and all(f.diffusive for f in found)}
                ends = [transport.endpoint_diffusion(r, run.length) for run in runs for r in run.sites(kind, drift=True) if len(r) > 1]
                rows.append(row | {"endpoint": np.mean(ends) if ends else np.nan})
    columns = ["composition", "species", "source", "value", "error", "low", "high", "exponent", "diffusive", "endpoint"]
    return pd.DataFrame(rows).reindex(columns=columns)


def conductivity(by_name: Mapping[str, Case], table: pd.DataFrame, temperature: float, species: Mapping[str, Species]) -> pd.DataFrame:
    """A row per composition and source, MD and model: conductivity (S/cm) by Nernst-Einstein and collective, transference of the cations.

    Collective values are fitted over the range of the ion that carries most of MD's current. Errors come from those of D (for
    Nernst-Einstein) and from blocks. No rows of a composition whose charges are not known, or not neutral.

    Args:
        by_name: of :func:`.ensemble.cases`.
        table: of :func:`diffusion`, with the same species.
        temperature: K.
        species: label to what diffuses; ions as whole molecules.
    """
    rows = []
    for name, case in by_name.items():
        charges = estimates.ions(case.md[0], species)
        if not charges:
            continue
        charge = list(charges.values())
        of_one = table[table.composition == name].set_index(["source", "species"])
        carried = [of_one.value["md", s] * len(case.md[0].molecules(species[s].component)) * z**2 for s, z in charges.items()]
        carrier = list(charges)[int(np.argmax(carried))]
        for source in SOURCES:
            runs = _sources(case, {})[source]
            part = of_one.loc[source].loc[list(charges)]
            if not runs or part.value.isna().any():
                continue
            volume = float(np.mean([_volume(run) for run in runs]))
            moving = [np.concatenate([run.sites(species[s]) for s in charges], axis=2) for run in runs]
            count = [runs[0].sites(species[s]).shape[2] for s in charges]
            each = np.repeat(charge, count).astype(float)
            window = (part.low[carrier], part.high[carrier])
            collective, error = estimates.mean(
                [
                    (fit.value, fit.error)
                    for x, run in zip(moving, runs, strict=True)
                    for fit in [transport.collective_conductivity(x, each, run.interval, _volume(run), temperature, window)]
                ]
            )
            currents = zip(part.error, count, charge, strict=True)
            errors = [transport.nernst_einstein([d], [n], [z], volume, temperature) for d, n, z in currents]
            shares = [transport.collective_transference(x, each, run.interval, window) for x, run in zip(moving, runs, strict=True)]
            rows.append(
                {
                    "composition": name,
                    "source": source,
                    "nernst_einstein": transport.nernst_einstein(part.value, count, charge, volume, temperature),
                    "nernst_einstein_error": float(np.linalg.norm(errors)),
                    "collective": collective,
                    "collective_error": error,
                    "transference": transport.transference(part.value, count, charge)[np.array(charge) > 0].sum(),
                    "collective_transference": np.mean(shares),
                }
            )
    names = ("nernst_einstein", "nernst_einstein_error", "collective", "collective_error", "transference", "collective_transference")
    return pd.DataFrame(rows).reindex(columns=["composition", "source", *names])


def _volume(ensemble: Ensemble) -> float:
    if ensemble.box is None:
        raise MlcgmdError(f"{ensemble.name} is in no periodic box, so that it has no conductivity")
    return ensemble.box.prod()


def log_ratio(table: pd.DataFrame, source: str, against: str, column: str = "value") -> pd.DataFrame:
    """|log10| of the ratio of two sources' coefficients in a table of :func:`diffusion`: compositions x species, in its order."""
    values = table.pivot(index="composition", columns=["source", "species"], values=column).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A negative slope has no logarithm; it gives NaN.
        return np.log10(values[source] / values[against]).abs()[list(dict.fromkeys(table.species))]
