"""Units of a trajectory or a simulation: those of Lennard-Jones, or those of chemists."""

import xarray as xr

UNITS = {"lj": ("sigma", "tau", "m"), "real": ("angstrom", "ps", "amu")}
"""The two unit systems of the project: (length, time, mass)."""


def as_attributes(units: str) -> dict[str, str]:
    """The attributes of a data set in ``units``, a key of :data:`UNITS`."""
    return dict(zip(("length_unit", "time_unit", "mass_unit"), UNITS[units], strict=True))


def units_of(dataset: xr.Dataset) -> tuple[str, str, str]:
    """Its units of length, time and mass.

    >>> import xarray as xr
    >>> units_of(xr.Dataset(attrs=as_attributes("real")))
    ('angstrom', 'ps', 'amu')
    """
    length, time, mass = (str(dataset.attrs.get(name)) for name in as_attributes("lj"))
    return length, time, mass


def system_of(dataset: xr.Dataset) -> str:
    """Which key of :data:`UNITS` its units are.

    >>> import xarray as xr
    >>> system_of(xr.Dataset(attrs=as_attributes("lj")))
    'lj'
    """
    return next(name for name, units in UNITS.items() if units == units_of(dataset))
