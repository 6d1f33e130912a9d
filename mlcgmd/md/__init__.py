"""Molecular dynamics: the systems of the paper and the engines that run them."""
