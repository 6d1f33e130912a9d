"""What the library says of input that it cannot take: one base class, so that a caller tells it from a bug of the library.

Files that are not there, or that may not be read or written, stay the system's own errors (``OSError``), as a caller expects.
"""


class MlcgmdError(ValueError):
    """Wrong input; the message tells what, where and what to do. Its subclasses stand beside what raises them.

    >>> from mlcgmd import load
    >>> load("run.docx")
    Traceback (most recent call last):
    mlcgmd.data.trajectory.TrajectoryError: run.docx: the ending '.docx' is not known; ...
    >>> from mlcgmd.data.trajectory import TrajectoryError
    >>> issubclass(TrajectoryError, MlcgmdError)
    True
    """


class DivergedError(MlcgmdError, ArithmeticError):
    """A training or an MD run whose numbers ceased to be finite."""


class MissingPackageError(MlcgmdError, ImportError):
    """An optional package is not installed."""
