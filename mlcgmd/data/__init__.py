"""Trajectories: the data type, files of other programs, coarse-graining."""
