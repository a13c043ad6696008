"""The one family of exceptions that a user may meet."""

from __future__ import annotations

__all__ = ["DataError", "DivergedError", "LimitError", "SimError", "SpecError"]


class SimError(Exception):
    """Something the user can mend: the text names the thing, the value, the bound, the way out."""

    exit_code = 2


class SpecError(SimError):
    """A scenario, schedule, implant or decoder that cannot be."""


class DataError(SimError):
    """A recording that cannot be read or trusted."""


class LimitError(SimError):
    """A run refused beforehand, because memory, time or disk would not suffice."""

    exit_code = 3


class DivergedError(SimError):
    """A training whose loss or gradient stopped being finite; the text names the guilty term."""

    exit_code = 1
