"""Opening files that may be damaged or of another kind: one DataError, with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbtt_models.errors import DataError, LimitError

__all__ = ["opening", "plain", "reading"]

_SIGNATURES = {
    b"\x89HDF\r\n\x1a\n": ("HDF5", "an HDF5 file: `kind: hdf5`, or nwb, nlb, lfads_h5"),
    b"PK\x03\x04": ("NPZ", "a zip archive: `kind: npz` if NumPy made it, else unpack it"),
    b"MATLAB": ("MATLAB file", "a MATLAB file: `kind: mat`"),
    b"\x93NUMPY": ("NPY", "a single NumPy array: save it anew with numpy.savez, for `kind: npz`"),
    b"\x1f\x8b": ("gzip", "compressed by gzip: unpack it"),
}
"""How files begin; what they are, and the way out where another kind was expected."""


def plain(text: str) -> str:
    """Text of a file without line breaks and terminal codes."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn whatever a file library throws at a damaged file into one DataError."""
    try:
        yield
    except (DataError, LimitError):
        raise
    except MemoryError:
        raise DataError(f"{where}: does not fit into memory; cut it into several files") from None
    except Exception as error:  # a damaged file may raise nearly anything inside the library
        text = plain(str(error))[:200]
        raise DataError(
            f"{where}: cannot be read, the file may be truncated, damaged or of another kind "
            f"({type(error).__name__}: {text})"
        ) from None


@contextmanager
def opening(path: Path, form: str) -> Iterator[None]:
    """As :func:`reading`, of a file that is opened as `form`; says what else it looks like."""
    try:
        with reading(f"{path.name}: as {form}"):
            yield
    except DataError as error:
        raise DataError(f"{error}{_other_form(path, form)}") from None


def _other_form(path: Path, form: str) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return ""
    for signature, (found, advice) in _SIGNATURES.items():
        if head.startswith(signature):
            return "" if found == form else f". It looks like {advice}"
    text = bool(head) and all(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return ". It looks like text: save its table with numpy.savez, for `kind: npz`" * text
