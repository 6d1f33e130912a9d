"""How fast, and where the time goes: rates of this machine, of the networks and of MD engines, one core, process time."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ..analysis import statistics
from ..data.trajectory import make
from ..md.chain import ChainSpec
from ..model import stepper
from ..model.model import Model
from ..model.samplers import Sampler
from ..model.system import CoarseSystem, coarse_grain
from ..parallel import processor_time
from . import results
from .results import Row

REPORTED = {"chain": 40 * 5e6 / (2.6 * 3600), "spe": 50 * 50e3 / (4.6 * 3600)}
"""Simulated time per second of Fu et al. (2023) on one RTX 2080 Ti: 40 chains of 5e6 tau took 2.6 hours, 50 electrolytes of 50 ns 4.6."""

# The profiler's own library writes a line to stderr at each start and stop.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> pd.DataFrame:
    """Median, standard error, lowest and highest of several measurements, taken in turn: a busy moment of the machine meets all of them."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    table = pd.DataFrame(values)
    columns = {"median": table.median(), "error": table.sem(), "lowest": table.min(), "highest": table.max()}
    return pd.DataFrame(columns).rename_axis("engine").reset_index()


def matrix_rate(n: int = 1024) -> float:
    """Floating point operations per second of a float32 matrix product of this many rows and columns, on one core."""
    a, b = torch.rand(n, n), torch.rand(n, n)
    return 2 * n**3 / processor_time(lambda: a @ b, 5)


@torch.inference_mode()
def layer_rate(width: int, rows: int = 4096) -> float:
    """The same of a bare layer, linear and SiLU, on states of ``rows`` pairs: what a network of such layers can come near."""
    layer = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.SiLU(inplace=True))
    states = torch.rand(rows, width)
    return 2 * rows * width**2 / processor_time(lambda: layer(states), 20)


@torch.inference_mode()
def network_rate(model: Model, systems: Sequence[CoarseSystem], copies: int, sampler: Sampler) -> float:
    """Floating point operations of matrix products per second of one ML step: what else a step does counts as time only."""
    step = ml_step(model, systems, copies, sampler)

    def in_place(_: object, a: Sequence[int], b: Sequence[int], **__: object) -> int:
        """Of ``addmm_`` with matrices of these shapes, which torch does not count."""
        return 2 * a[0] * a[1] * b[1]

    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place}) as counter:
        step()
    return counter.get_total_flops() / processor_time(step)


@torch.inference_mode()
def where_time_goes(model: Model, systems: Sequence[CoarseSystem], copies: int, sampler: Sampler, most: int = 10) -> pd.DataFrame:
    """The operators of one ML step that take the most processor time of their own, as shares of all of it."""
    step = ml_step(model, systems, copies, sampler)
    step()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(3):
            step()
    events = record.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    rows = [{"operator": e.key, "share": e.self_cpu_time_total / total, "calls": e.count // 3} for e in events]
    return pd.DataFrame(rows).sort_values("share", ascending=False, ignore_index=True).head(most)


@torch.inference_mode()
def peak_memory(model: Model, systems: Sequence[CoarseSystem], copies: int, sampler: Sampler) -> int:
    """Bytes of all tensors that one ML step makes, when they are most; the model, the positions and the graph were there before."""
    step = ml_step(model, systems, copies, sampler)
    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    # Only the raw events have what is taken and given back, one by one.
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(taken).max())


def ml_step(model: Model, systems: Sequence[CoarseSystem], copies: int, sampler: Sampler) -> Callable[[], object]:
    """One ML step from the first frames, to be timed."""
    step, history = stepper.prepare_step(model, systems, copies, sampler)
    generator = torch.Generator().manual_seed(0)
    return lambda: step(history, generator)


def stretched_chain(units: int, model: Model) -> tuple[ChainSpec, CoarseSystem]:
    """A random chain of so many units, at rest at its start, to time a model and engines on sizes of which there are no data."""
    c = model.config
    sequence = "".join(np.random.default_rng(units).choice(list("abcd"), size=units))
    spec = ChainSpec(f"chain of {units} units", sequence, seed=units, length=c.time_step)
    kinds, mass, bond = spec.topology()
    fine = make(
        np.repeat(spec.start()[None], c.history, axis=0),
        time=c.time_step * np.arange(c.history),
        particle_type=kinds,
        type_name=spec.type_name,
        mass=mass,
        bond=bond,
        system=spec.name,
        units=spec.units,
    )
    return spec, coarse_grain(fine, c.level)


def rows(
    engines: pd.DataFrame, by_copies: pd.DataFrame, by_size: pd.DataFrame, by_rate: pd.DataFrame, units: int, rounds: int
) -> Iterator[Row]:
    """What notebook 10 records.

    Args:
        engines: of :func:`interleaved`; without LAMMPS or GROMACS nothing is said of them.
        by_copies: ``speed`` and ``memory`` of each ``system``, ``refinement`` and number of ``copies``.
        by_size: ``seconds`` of an ML step of systems of so many ``beads``.
        by_rate: shares of the machine's matrix rate, ``fraction`` and ``layer_fraction``, in each round.
        units: of the long chain.
        rounds: of :func:`interleaved`.
    """
    table = engines.set_index("engine")
    relative = table.error / table["median"]
    chain, long, spe = "chain, learned", f"chain of {units} units, learned", "electrolyte, learned"

    def of(name: str, engine: str, quantity: str, unit: str, target: str = "", reported: str = "") -> Row:
        value, error = table["median"][engine], table.error[engine]
        words = f"{quantity}: speed on one core"
        return results.make(f"speed.{name}", words, value, n=rounds, error=error, target=target, unit=unit, reported=reported)

    def over(name: str, engine: str, other: str, target: str = "") -> Row:
        ratio = table["median"][engine] / table["median"][other]
        words = f"{engine}: speed over {other.rsplit(', ', maxsplit=1)[1]}'s"
        error = ratio * (relative[engine] ** 2 + relative[other] ** 2) ** 0.5
        return results.make(f"speed.{name}", words, ratio, n=rounds, error=error, target=target)

    def share(name: str, system: str, what: str, column: str = "fraction", target: str = "") -> Row:
        of_rounds = by_rate[by_rate.system == system][column]
        words = f"share of the machine's matrix rate, {what}"
        return results.make(f"speed.{name}", words, of_rounds.median(), n=len(of_rounds), error=of_rounds.sem(), target=target)

    theirs = {
        "chain": f"{REPORTED['chain']:,.0f} tau/s, chains of 600 units, on an RTX 2080 Ti",
        "spe": f"{REPORTED['spe']:,.0f} ps/s, 6,000 atoms, on an RTX 2080 Ti",
    }
    yield of("chain.refined", f"{chain}, refined", f"{chain}, refined", "tau/s", ">= 400000")
    yield of("chain.unrefined", f"{chain}, not refined", f"{chain}, not refined", "tau/s", ">= 200000")
    yield of(f"chain.refined.n{units}", f"{long}, refined", f"{long}, refined", "tau/s")
    yield of(f"chain.unrefined.n{units}", f"{long}, not refined", f"{long}, not refined", "tau/s", reported=theirs["chain"])
    yield of("spe.refined", f"{spe}, refined", "electrolyte of 430 atoms, learned, refined", "ps/s", reported=theirs["spe"])
    yield over("chain.refined_over_openmm", f"{chain}, refined", "chain, OpenMM")
    yield over("spe.refined_over_openmm", f"{spe}, refined", "electrolyte, OpenMM", ">= 500")
    if "electrolyte, GROMACS" in table.index:
        yield over("spe.refined_over_gromacs", f"{spe}, refined", "electrolyte, GROMACS", ">= 200")
    if "chain, LAMMPS" in table.index:
        yield over("chain.refined_over_lammps", f"{chain}, refined", "chain, LAMMPS")
        yield over(f"chain.n{units}_over_lammps", f"{long}, refined", f"chain of {units} units, LAMMPS", ">= 1000")
        alone = by_copies[(by_copies.system == "chain") & (by_copies.refinement == "refined")].speed.iloc[0]
        words = "one chain alone, learned, refined: speed over LAMMPS's"
        yield results.make("speed.chain.alone_over_lammps", words, alone / table["median"]["chain, LAMMPS"], n=1)
    largest = by_copies[by_copies.refinement == "refined"].groupby("system").tail(1)
    for name, copies, memory in largest[["system", "copies", "memory"]].itertuples(index=False):
        words = f"{name}, refined: memory of one ML step of {copies} copies"
        yield results.make(f"speed.{name}.memory", words, memory, n=1, unit="MB")
    yield share("gemm_fraction", "chain", "chain, refined", target=">= 0.5")
    yield share("spe.gemm_fraction", "spe", "electrolyte, refined")
    yield share("layer_fraction", "chain", "a bare layer", "layer_fraction")
    words = "exponent of the cost of an ML step against the number of beads"
    for name, label, system, least in (("scaling.exponent", "electrolyte", "spe", 0), ("chain.scaling_exponent", "chain", "chain", 3)):
        some = by_size[by_size.system == system]
        if len(some) >= least:
            exponent, error = statistics.power_law(some.beads, some.seconds)
            yield results.make(f"speed.{name}", f"{label}: {words}", exponent, n=len(some), error=error, target="<= 1.1")
