"""The checker of shape annotations: beartype, with ints taken for floats as PEP 484 does."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
