"""Learned simulators of coarse-grained molecular dynamics with very large time steps.

From a trajectory to a verdict::

    import mlcgmd

    runs = [mlcgmd.load(path) for path in paths]                              # your MD
    systems = [mlcgmd.coarse_grain(run, level=10) for run in runs]            # beads of 10 particles
    config = mlcgmd.TrainConfig(time_step=80, steps=6000)
    model, curves = mlcgmd.train(systems[:-1], [], config, "runs/mine")
    simulated = mlcgmd.simulate(model, systems[-1:], steps=1000, replicas=8)
    mlcgmd.compare(systems[-1:], simulated)                                   # beside MD and its own error
    mlcgmd.export(simulated[0], "mine.xtc")                                   # into your viewer
    lifted = mlcgmd.lift(mlcgmd.Lifter.load(path), simulated[0], runs[-1])    # back to particles

Five folders, in the order in which data flow; each imports only from those before it and from itself: ``mlcgmd.data`` (the
trajectory, readers, coarse-graining), ``mlcgmd.analysis`` (what is measured), ``mlcgmd.md`` (molecular dynamics),
``mlcgmd.model`` (the learned simulator), ``mlcgmd.paper`` (this paper's data sets, experiments and figures). The first,
second and fourth know no system by name. Beneath all are ``mlcgmd.errors``, ``mlcgmd.paths`` and
``mlcgmd.parallel``. What is wrong with input is said by an ``mlcgmd.MlcgmdError``.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "load": "data.readers",
    "coarse_grain": "model.system",
    "check": "analysis.check",
    "TrainConfig": "model.objectives",
    "train": "model.training",
    "Model": "model.model",
    "simulate": "model.rollout",
    "Lifter": "model.lifter",
    "lift": "model.lifting",
    "Flow": "model.samplers",
    "Distilled": "model.samplers",
    "Multistep": "model.samplers",
    "Langevin": "model.samplers",
    "Gaussian": "model.samplers",
    "Ensemble": "analysis.ensemble",
    "compare": "analysis.compare",
    "report": "paper.report",
    "export": "data.export",
    "MlcgmdError": "errors",
}
"""The module of each name of the front door; it is imported when the name is first used, for torch alone takes seconds."""
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"mlcgmd has no {name!r}; it has {', '.join(_HOME)}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
