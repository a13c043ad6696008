"""A table of published chips: read whole, every cell checked, nothing guessed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from implant_sim.study.yaml_loader import printable
from sbtt_models.errors import DataError, LimitError

__all__ = ["SCOPES", "Chip", "packaged", "read"]

SCOPES = ("amp", "afe", "afe_adc", "asic", "soc", "implant", "tx")
"""What a published power covers: an amplifier; the analogue front end; that and the ADC; the chip
without radio; with radio; the whole implant; a transmitter alone."""

_NUMBERS = (
    "channels_simultaneous", "p_ch_uW", "p_total_mW", "fs_kSps", "data_rate_Mbps", "e_bit_pJ",
    "irn_uVrms", "bw_lo_Hz", "bw_hi_Hz", "vdd_V", "tech_nm", "nef",
)  # fmt: skip
_NEEDED = ("id", "scope", "p_is_upper_bound", *_NUMBERS)
_MAY_BE_ZERO = {"bw_lo_Hz"}
_MAX_BYTE = 10_000_000
_MAX_ROWS = 10_000
_MAX_NUMBER = 1e12  # beyond any chip in any of the columns
_YES_NO = {"": False, "0": False, "0.0": False, "false": False, "no": False,
           "1": True, "1.0": True, "true": True, "yes": True}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chip:
    """One row: what is published of a chip. Empty cells are None."""

    id: str
    scope: str
    numbers: Mapping[str, float | None]
    """By column, in the units of the column's name."""
    upper_bound: bool = False
    """The power is published as 'less than'."""
    name: str = ""
    family: str = ""
    """Chips that share one are never each other's prior: a successor, a second report."""
    kind: str = ""
    fault: str = ""
    """Why the row cannot be trusted; empty if it can."""

    def get(self, column: str) -> float | None:
        """A number of the row, in the unit of its column."""
        return self.numbers.get(column)

    @property
    def channels(self) -> float | None:
        """Channels that the power is shared by; 1 where only the power of a channel is given."""
        if (given := self.get("channels_simultaneous")) is not None:
            return given
        only_per_channel = self.get("p_ch_uW") is not None and self.get("p_total_mW") is None
        return 1.0 if only_per_channel else None

    @property
    def published_w(self) -> float | None:
        """Power of the row's whole scope; the total, else channels times a channel's. [W]"""
        if (total := self.get("p_total_mW")) is not None:
            return total * 1e-3
        per_channel, n = self.get("p_ch_uW"), self.channels
        return None if per_channel is None or n is None else per_channel * 1e-6 * n

    @property
    def band_hz(self) -> float | None:
        """Upper corner, but never beyond what the samples can hold; from their rate if alone."""
        corner, rate = self.get("bw_hi_Hz"), self.get("fs_kSps")
        if corner is None:
            # usual oversampling of a band: 30 kS/s for 10 to 12 kHz
            return None if rate is None else rate * 1e3 / 2.5
        return corner if rate is None else min(corner, rate * 1e3 / 2)


def packaged() -> tuple[Chip, ...]:
    """The table that comes with the package; its rows make the priors."""
    return read(Path(str(files("implant_sim.study.silicon").joinpath("devices.csv"))))


def read(path: Path) -> tuple[Chip, ...]:
    """Read a table of chips.

    Parameters
    ----------
    path : pathlib.Path
        CSV in UTF-8, with or without byte-order mark. The columns are those of the packaged table;
        any cell may be empty; further columns are ignored.

    Returns
    -------
    tuple of Chip
        In the order of the file. A row with a cell that is no number, negative or not finite
        carries a `fault`.

    Raises
    ------
    DataError
        For a file that cannot be read, lacks a column, or names a chip twice.
    LimitError
        For a file of more than 10 MB or 10,000 rows.
    """
    name = printable(str(path))
    rows = list(_rows(_text(path, name), name))
    if not rows:
        raise DataError(f"{name}: no row of a chip below the header")
    seen: dict[str, int] = {}
    for line, row in rows:
        key = row["id"].strip()
        if not key:
            raise DataError(f"{name}:{line}: id is empty; give each chip one")
        if key in seen:
            raise DataError(
                f"{name}:{line}: id {_short(key)} is given twice (first in line {seen[key]}); "
                "rename or remove one"
            )
        seen[key] = line
    return tuple(_chip(row) for _, row in rows)


def _text(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTE:
            raise LimitError(f"{name}: {size / 1e6:.0f} MB; a table of chips has at most 10 MB")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8 CSV") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be read: {error}") from None
    if "\0" in text:
        raise DataError(f"{name}: holds a NUL character, so it is no text; save it as UTF-8 CSV")
    return text


def _rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(header, name)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise DataError(
                    f"{name}:{reader.line_num}: {len(cells)} cells below {len(header)} columns; "
                    "quote the cells that hold a comma"
                )
            if reader.line_num > _MAX_ROWS + 1:
                raise LimitError(f"{name}: more than {_MAX_ROWS} rows; split the table")
            padded = cells + [""] * (len(header) - len(cells))
            yield reader.line_num, dict(zip(header, padded, strict=True))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: no CSV: {error}") from None


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DataError(f"{name}:1: column {printable(twice[0])!r} is there twice; remove one")
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        hint = "; the cells seem to be parted by ';', use ','" if ";" in "".join(header) else ""
        raise DataError(
            f"{name}:1: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}{hint}. "
            "Cells may be empty, but the columns must be there"
        )


def _chip(row: Mapping[str, str]) -> Chip:
    numbers: dict[str, float | None] = {}
    faults = []
    for column in _NUMBERS:
        try:
            numbers[column] = _number(column, row[column].strip())
        except ValueError as error:
            numbers[column] = None
            faults.append(f"{column}: {error}")
    flag, scope = row["p_is_upper_bound"].strip().lower(), row["scope"].strip().lower()
    if flag not in _YES_NO:
        faults.append(f"p_is_upper_bound: {_short(flag)} is neither 0 nor 1")
    if scope and scope not in SCOPES:
        faults.append(f"scope: {_short(scope)} is none of {', '.join(SCOPES)}")
    low, high = numbers["bw_lo_Hz"], numbers["bw_hi_Hz"]
    if low is not None and high is not None and low >= high:
        faults.append(f"bw_lo_Hz: {low:g} is not below bw_hi_Hz, {high:g}")
    return Chip(
        row["id"].strip(), scope, numbers, _YES_NO.get(flag, False),
        row.get("device", "").strip(), row.get("family", "").strip(),
        row.get("status", "").strip(), "; ".join(faults),
    )  # fmt: skip


def _number(column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        raise ValueError(f"{_short(text)} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{_short(text)} is no finite number")
    if value < 0 or (value == 0 and column not in _MAY_BE_ZERO):
        raise ValueError(f"{value:g} must be above 0; leave the cell empty where it is unknown")
    if value > _MAX_NUMBER:
        raise ValueError(f"{value:g} is beyond any chip")
    return value


def _short(text: str) -> str:
    return repr(printable(text[:40]))
