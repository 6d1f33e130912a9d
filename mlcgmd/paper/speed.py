"""How fast, and where the time goes: rates of this machine, of the networks and of MD engines, one core, process time."""

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ..data.trajectory import make
from ..md.chain import ChainSpec
from ..model import stepper
from ..model.model import Model
from ..model.samplers import Sampler
from ..model.system import CoarseSystem, coarse_grain
from ..parallel import processor_time

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
