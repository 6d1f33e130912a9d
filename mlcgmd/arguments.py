"""What a number that comes in from outside may be: said once for the fields of configurations and for arguments of functions.

>>> COUNT("steps", 0)
Traceback (most recent call last):
mlcgmd.errors.MlcgmdError: steps is 0; give a whole number from 1 on
"""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import MlcgmdError


@dataclass(frozen=True)
class Number:
    """A finite number (no text, no truth value) in a range.

    Attributes:
        least, most: bounds.
        above: ``least`` itself is left out.
        whole: no fraction, and no float.
        optional: or None.
        unit: of the number, for the message.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    whole: bool = False
    optional: bool = False
    unit: str = ""

    def __str__(self) -> str:
        bounds = [f"{'above' if self.above else 'from'} {self.least:g}"] * math.isfinite(self.least)
        bounds += [f"to {self.most:g}"] if math.isfinite(self.most) else ["on"] * (math.isfinite(self.least) and not self.above)
        kind = f"a {'whole' if self.whole else 'finite'} number"
        unit = f", in {self.unit}" if self.unit else ""
        return " ".join((kind, *bounds)) + unit + (", or None" if self.optional else "")

    def __call__(self, name: str, value: Any) -> Any:
        """``value``, a NumPy scalar as Python's.

        Raises:
            MlcgmdError: it is no such number.
        """
        value = value.item() if isinstance(value, np.generic) else value
        if value is None and self.optional:
            return value
        number = isinstance(value, numbers.Integral if self.whole else numbers.Real) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and self.least <= value <= self.most and not (self.above and value == self.least)):
            raise MlcgmdError(f"{name} is {value!r}; give {self}")
        return value


COUNT = Number(least=1, whole=True)
NATURAL = Number(least=0, whole=True)
SEED = Number(least=0, most=2**63 - 1, whole=True)
NOT_NEGATIVE = Number(least=0)
SHARE = Number(least=0, most=1)


def positive(unit: str = "", optional: bool = False) -> Number:
    """A number above 0."""
    return Number(least=0, above=True, unit=unit, optional=optional)


def check(owner: Any, **rules: Number) -> None:
    """Hold fields of a (frozen) dataclass to ``rules``, in its ``__post_init__``.

    Raises:
        MlcgmdError: the first that is not as it should be.
    """
    for name, rule in rules.items():
        object.__setattr__(owner, name, rule(f"{type(owner).__name__}: {name}", getattr(owner, name)))


def known(what: str, given: dict[str, Any], kind: type) -> None:
    """Refuse names in ``given`` that are no fields of the dataclass ``kind``, or lack one that it needs.

    Raises:
        MlcgmdError: naming them.
    """
    fields = dataclasses.fields(kind)
    if unknown := sorted(map(str, set(given) - {field.name for field in fields})):
        raise MlcgmdError(f"{what} has unknown fields {unknown}; those of {kind.__name__} are {[field.name for field in fields]}")
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if missing := sorted(needed - set(given)):
        raise MlcgmdError(f"{what} lacks {missing}")


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a ``value`` that is none of ``choices``.

    Raises:
        MlcgmdError: naming them.
    """
    if value not in choices:
        raise MlcgmdError(f"there is no {name} {value!r}; give {', '.join(choices)}")
