"""Learned simulators of coarse-grained molecular dynamics with very large time steps.

Five folders, in the order in which data flow; each imports only from those before it and from itself:
:mod:`~mlcgmd.data` (the trajectory, readers, coarse-graining), :mod:`~mlcgmd.analysis` (what is measured), :mod:`~mlcgmd.md` (molecular
dynamics), :mod:`~mlcgmd.model` (the learned simulator), :mod:`~mlcgmd.paper` (this paper's data sets, experiments and figures).
:mod:`~mlcgmd.data`, :mod:`~mlcgmd.analysis` and :mod:`~mlcgmd.model` know no system by name. Beneath all are :mod:`~mlcgmd.paths` and
:mod:`~mlcgmd.parallel`.
"""

__version__ = "0.1.0"
