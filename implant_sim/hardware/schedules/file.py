"""A table of the user's own."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import field_validator
from typing_extensions import override

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order, refuse_shared_wires
from sbtt_models.errors import DataError, SpecError

__all__ = ["FromFile", "read_pattern"]

_LARGEST_B = 1 << 28
_MOST_STEPS = 1 << 40
_STEPS = re.compile(r"^#\s*steps\s*:\s*(\d{1,12})\s*$")


class FromFile(Schedule):
    """The steps of a table: what to sample when, as a user or another program has written it.

    CSV with the heading ``step,channel`` and a line for each sample, both counted from 0, or a
    matrix of 0 and 1 without a heading, a line for each step; or the same matrix as ``.npy``. In
    CSV, lines that begin with ``#`` are skipped; ``# steps: N`` says how many steps there are,
    where the last ones sample nothing.
    """

    kind: Literal["file"] = "file"
    path: Path
    """Ends in .csv or .npy."""
    repeat: bool = True
    """Start again where the table ends. False: the table must reach to the end."""

    @field_validator("path")
    @classmethod
    def _known_ending(cls, path: Path) -> Path:
        if path.suffix.lower() not in (".csv", ".npy"):
            raise ValueError(f"{path}: must end in .csv or .npy")
        return path

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        refuse_fixed_order(view, self.kind)
        pattern, n_steps = read_pattern(self.path, view.n_channels, view.n_steps)
        refuse_shared_wires(pattern, view, f"file ({self.path})")
        if n_steps < view.n_steps and not self.repeat:
            raise SpecError(
                f"schedule.path: {self.path} ends after {n_steps} steps, the recording takes "
                f"{view.n_steps}; make it longer, or set repeat: true"
            )
        return Plan(pattern[np.arange(view.n_steps) % len(pattern)])


def read_pattern(
    path: Path, n_channels: int, most: int
) -> tuple[Bool[np.ndarray, "step channel"], int]:
    """Read a table of samples.

    Parameters
    ----------
    path : pathlib.Path
        A table or a matrix, as :class:`FromFile` describes them.
    n_channels : int
        Channels of the recording.
    most : int
        Steps wanted; what the table holds beyond them is not kept.

    Returns
    -------
    numpy.ndarray, shape (step, channel)
        True where sampled.
    int
        Steps of the whole table.

    Raises
    ------
    DataError
        For a file that cannot be read, is empty or too large, holds anything but such a table, or
        one of other channels.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataError(f"{path}: is no file")
        if not 0 < size <= _LARGEST_B:
            raise DataError(
                f"{path}: {size} bytes; a table holds something, and {_LARGEST_B} bytes at most; "
                "give one period of it and set repeat: true"
            )
        if path.suffix.lower() == ".npy":
            return _read_npy(path, n_channels, most)
        return _read_csv(path, n_channels, most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_npy(path: Path, n_channels: int, most: int) -> tuple[np.ndarray, int]:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError, MemoryError, OverflowError) as error:
        raise DataError(f"{path}: is no .npy file of numbers: {error}") from error
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "biuf" or matrix.ndim != 2:
        what = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else "an archive"
        raise DataError(f"{path}: must hold a matrix (step, channel) of 0 and 1, holds {what}")
    return _checked_matrix(matrix, path, n_channels, most)


def _read_csv(path: Path, n_channels: int, most: int) -> tuple[np.ndarray, int]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text: {error.reason}") from error
    body = [line for line in lines if line and not line.startswith("#")]
    said = [int(m[1]) for line in lines if line.startswith("#") and (m := _STEPS.match(line))]
    heading = [cell.strip().lower() for cell in body[0].split(",")] if body else []
    table = heading == ["step", "channel"]
    if table and len(body) > 1:
        return _filled(_numbers(body[1:], path), said, path, n_channels, most)
    if table or not body:
        raise DataError(f"{path}: holds no sample")
    return _checked_matrix(_numbers(body, path), path, n_channels, most)


def _numbers(lines: list[str], path: Path) -> Float[np.ndarray, "line column"]:
    try:
        return np.loadtxt(io.StringIO("\n".join(lines)), delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise DataError(
            f"{path}: {error}; the table needs the heading step,channel and whole numbers, or "
            "equally long lines of 0 and 1"
        ) from error


def _filled(
    pairs: Float[np.ndarray, "line column"], said: list[int], path: Path, n: int, most: int
) -> tuple[np.ndarray, int]:
    """The matrix of a table of (step, channel)."""
    if pairs.shape[1] != 2:
        raise DataError(f"{path}: {pairs.shape[1]} columns under the heading step,channel")
    bad = ~np.isfinite(pairs) | (pairs < 0) | (pairs != np.floor(pairs)) | (pairs >= _MOST_STEPS)
    if bad.any():
        line, column = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(
            f"{path}: sample {line + 1}: {('step', 'channel')[column]} {pairs[line, column]:g} is "
            "no whole number from 0"
        )
    step, channel = pairs.T.astype(np.int64)
    if channel.max() >= n:
        line = int(np.argmax(channel >= n))
        raise DataError(
            f"{path}: sample {line + 1}: channel {channel[line]} of a recording with {n}, counted "
            "from 0"
        )
    n_steps = int(step.max()) + 1
    if said and said[0] < n_steps:
        raise DataError(f"{path}: says steps: {said[0]}, but samples in step {n_steps - 1}")
    n_steps = said[0] if said else n_steps
    pattern = np.zeros((min(n_steps, most), n), dtype=np.bool_)
    kept = step < len(pattern)
    pattern[step[kept], channel[kept]] = True
    if len(np.unique(step * n + channel)) < len(step):
        raise DataError(f"{path}: names a sample twice")
    return pattern, n_steps


def _checked_matrix(
    matrix: np.ndarray, path: Path, n_channels: int, most: int
) -> tuple[np.ndarray, int]:
    if matrix.shape[1] != n_channels or len(matrix) == 0:
        raise DataError(
            f"{path}: holds {matrix.shape[0]} steps of {matrix.shape[1]} channels, the recording "
            f"has {n_channels} channels"
        )
    rows = np.asarray(matrix[:most])
    bad = (rows != 0) & (rows != 1)  # NaN is neither
    if bad.any():
        step, channel = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(
            f"{path}: step {step}, channel {channel}: {rows[step, channel]!s} is neither 0 nor 1"
        )
    return rows.astype(np.bool_), len(matrix)
