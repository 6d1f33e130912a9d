"""Learned simulators of coarse-grained molecular dynamics with very large time steps.

The modules follow the data. Beneath them all are :mod:`~mlcgmd.paths`, :mod:`~mlcgmd.statistics`, :mod:`~mlcgmd.observables`,
:mod:`~mlcgmd.structure` and :mod:`~mlcgmd.transport`, which know arrays only, and :mod:`~mlcgmd.parallel`. Then come
:mod:`~mlcgmd.trajectory` (the data type), :mod:`~mlcgmd.systems` (molecular dynamics), :mod:`~mlcgmd.readers` and
:mod:`~mlcgmd.readers_spe` (foreign files), :mod:`~mlcgmd.published` and :mod:`~mlcgmd.datasets`,
:mod:`~mlcgmd.mapping` (coarse-graining), :mod:`~mlcgmd.incidence`, :mod:`~mlcgmd.graph`, :mod:`~mlcgmd.neighbours`,
:mod:`~mlcgmd.networks`, :mod:`~mlcgmd.simulator`, :mod:`~mlcgmd.refiner`, :mod:`~mlcgmd.checkpoint`, :mod:`~mlcgmd.windows`,
:mod:`~mlcgmd.train`, :mod:`~mlcgmd.rollout`, :mod:`~mlcgmd.evaluation`, :mod:`~mlcgmd.evaluation_spe`, :mod:`~mlcgmd.ablation`,
:mod:`~mlcgmd.speed`, :mod:`~mlcgmd.pictures`, :mod:`~mlcgmd.figures`, :mod:`~mlcgmd.figures_spe`, :mod:`~mlcgmd.render`,
:mod:`~mlcgmd.results`. A module imports only from those before it.
"""

__version__ = "0.1.0"
