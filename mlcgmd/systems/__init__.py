"""Molecular dynamics of the two model systems, from small frozen specs."""
