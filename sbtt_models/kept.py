"""Files that this library writes and trusts again: arrays in safetensors, facts in sealed JSON.

A file appears whole or not at all. What is read is compared with a digest and a length first, and
nothing in it is ever run. Torch-free.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from sbtt_models import atomic
from sbtt_models.errors import DataError, SimError

__all__ = [
    "Arrays",
    "digest_of",
    "pack",
    "read_file",
    "read_rows",
    "read_sealed",
    "rows_text",
    "seal",
    "sealed",
    "unpack",
    "unseal",
    "write_file",
]

_MAX_JSON = 64 * 2**20  # [bytes] a history of 100,000 epochs takes a third of it
_MAX_HEADER = 2**20  # [bytes] names and shapes of some ten thousand arrays
_DTYPES = ("float32", "float64", "int64", "uint8")

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def digest_of(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, all or nothing, and keep it through a crash.

    Raises
    ------
    SimError
        If it cannot be written; names the path and why.
    """
    try:
        atomic.put(path, data)
    except OSError as error:
        raise SimError(
            f"cannot write {path}: {error.strerror or error}; make room, or choose another folder"
        ) from error


def read_file(path: Path, digest: str, size: int) -> bytes:
    """Read what was written.

    Raises
    ------
    DataError
        If the file is missing, longer or shorter, or another.
    """
    try:
        found = path.stat().st_size
        if found != size:
            raise DataError(
                f"{path}: {found} bytes, its manifest says {size}; the file is damaged or another"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if digest_of(data) != digest:
        raise DataError(
            f"{path}: its SHA-256 is not the one in the manifest; the file is damaged or another"
        )
    return data


def sealed(content: Mapping[str, Any]) -> bytes:
    """JSON with a digest of itself, so that a flipped bit is noticed."""
    return seal(json.dumps(content, indent=1, allow_nan=False))


def seal(body: str) -> bytes:
    """A text of JSON with its digest."""
    return f'{{"digest": "{digest_of(body.encode())}", "content":\n{body}}}\n'.encode()


def unseal(text: str) -> dict[str, Any] | None:
    """The content of what :func:`seal` made; None where it does not agree with its digest.

    Raises
    ------
    ValueError, RecursionError
        For a body that is no JSON, or none that can be read.
    """
    body = text.partition("\n")[2].removesuffix("}\n")
    content = json.loads(body) if seal(body) == text.encode() else None
    return content if isinstance(content, dict) else None


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what :func:`sealed` made.

    Raises
    ------
    DataError
        If the file is missing, too long, damaged or something else.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise DataError(f"{path}: more than {_MAX_JSON} bytes; this is no manifest")
        content = unseal(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if content is None:
        raise DataError(f"{path}: does not agree with its own digest; the file is damaged")
    return content


def pack(arrays: Arrays) -> bytes:
    """Arrays as the bytes of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def unpack(data: bytes, where: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Arrays out of the bytes of a safetensors file.

    Raises
    ------
    DataError
        If the bytes are something else, or their header is out of proportion.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(_MAX_HEADER, len(data) - 8):
        raise DataError(
            f"{where}: no safetensors file, or one with a header of {header} bytes; at most "
            f"{_MAX_HEADER} are read"
        )
    try:
        arrays = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: no safetensors file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise DataError(f"{where}: {name} holds {array.dtype}, not {', '.join(_DTYPES)}")
    # copies of their own, aligned as products want them
    return {name: array.copy() for name, array in arrays.items()}


def rows_text(rows: Sequence[Mapping[str, float]]) -> str:
    """Rows of numbers as CSV; a column that a row lacks stays empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: repr(float(v)) for k, v in row.items()} for row in rows)
    return text.getvalue()


def read_rows(text: str, where: Path) -> tuple[dict[str, float], ...]:
    """Read what :func:`rows_text` wrote, number for number.

    Raises
    ------
    DataError
        If a cell holds no number.
    """
    try:
        rows = tuple(
            {str(k): float(v) for k, v in row.items() if v}
            for row in csv.DictReader(io.StringIO(text))
        )
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{where}: not a table of numbers: {error}") from error
    if any(not math.isfinite(v) for row in rows for v in row.values()):
        raise DataError(f"{where}: a number of the history is not finite")
    return rows
