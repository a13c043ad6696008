"""JSON with a digest of itself, so that a flipped bit is noticed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sbtt_models import kept

__all__ = ["compact", "in_lines", "jsonable", "sealed", "sha256", "unsealed"]


def sealed(content: Mapping[str, Any], indent: int | None = 1) -> str:
    """The text of a sealed file; without indent it is written and read a few times faster."""
    if indent is None:
        body = compact(content)
    else:
        body = json.dumps(jsonable(content), indent=indent, ensure_ascii=False, allow_nan=False)
    return kept.seal(body).decode()


def compact(content: Any) -> str:
    """JSON on one line, as :func:`jsonable` has it."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # numpy's whole numbers, or what is not finite
        return json.dumps(jsonable(content), ensure_ascii=False, allow_nan=False)


def in_lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each key, and for each record of a list of records.

    As quickly written as on one line, and read by people, too.
    """
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(compact(record) for record in value) + "\n ]"
        else:
            text = compact(value)
        parts.append(f"{compact(str(key))}: {text}")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def unsealed(path: Path) -> dict[str, Any] | None:
    """The content of a sealed file; None if it is missing or damaged."""
    try:
        return kept.unseal(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def sha256(file: Path) -> str:
    """Digest of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def jsonable(value: Any) -> Any:
    """Plain JSON: numpy scalars become Python's, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(child) for child in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
