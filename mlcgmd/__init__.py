"""Learned simulators of coarse-grained molecular dynamics with very large time steps.

The modules follow the data: :mod:`~mlcgmd.trajectory` (the data type), :mod:`~mlcgmd.readers` and
:mod:`~mlcgmd.readers_spe` (foreign files), :mod:`~mlcgmd.systems` (molecular dynamics),
:mod:`~mlcgmd.published` and :mod:`~mlcgmd.datasets`, :mod:`~mlcgmd.mapping` (coarse-graining),
:mod:`~mlcgmd.incidence`, :mod:`~mlcgmd.graph`, :mod:`~mlcgmd.networks`, :mod:`~mlcgmd.simulator`, :mod:`~mlcgmd.refiner`,
:mod:`~mlcgmd.checkpoint`, :mod:`~mlcgmd.windows`, :mod:`~mlcgmd.train`, :mod:`~mlcgmd.rollout`, :mod:`~mlcgmd.observables`,
:mod:`~mlcgmd.structure`, :mod:`~mlcgmd.transport`, :mod:`~mlcgmd.statistics`, :mod:`~mlcgmd.evaluation`,
:mod:`~mlcgmd.evaluation_spe`, :mod:`~mlcgmd.ablation`, :mod:`~mlcgmd.speed`, :mod:`~mlcgmd.figures`,
:mod:`~mlcgmd.figures_spe`, :mod:`~mlcgmd.render`, :mod:`~mlcgmd.results`. A module imports only from those before it.
"""

__version__ = "0.1.0"
