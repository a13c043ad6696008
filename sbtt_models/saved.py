"""A fitted decoder in a folder: weights, history, and a manifest that vouches for both.

``weights.safetensors`` holds the arrays, ``history.csv`` one row per epoch, and ``decoder.json``
the decoder as YAML would spell it, what else was found, and the digest of each file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from sbtt_models import kept
from sbtt_models.errors import DataError

if TYPE_CHECKING:
    from sbtt_models.decoders.base import DecoderSpec, Fitted

__all__ = ["Saved", "load", "save"]

_FORMAT = "sbtt_models decoder 1"
_MANIFEST, _WEIGHTS, _HISTORY = "decoder.json", "weights.safetensors", "history.csv"
_MOST = 2**31  # of any whole number in a manifest


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """All that a fitted decoder is, without code."""

    decoder: DecoderSpec
    arrays: kept.Arrays
    facts: Mapping[str, Any]
    """Numbers and texts that JSON can hold."""
    history: Sequence[Mapping[str, float]] = ()
    where: Path = Path()
    """The folder it was read from, for errors."""

    @property
    def bin_s(self) -> float | None:
        """Bin width that it was fitted on. [s] None in files that were written without it."""
        return None if self.facts.get("bin_s") is None else self.number("bin_s")

    def array(self, name: str, dtype: str, *shape: int | None) -> Shaped[np.ndarray, "..."]:
        """An array of a known type and shape; None allows any length.

        Raises
        ------
        DataError
            If it is missing or another.
        """
        found = self.arrays.get(name)
        fits = found is not None and found.dtype.name == dtype and found.ndim == len(shape)
        if (
            found is None
            or not fits
            or any(want not in (None, got) for want, got in zip(shape, found.shape, strict=True))
        ):
            got = "missing" if found is None else f"{found.dtype} of shape {found.shape}"
            want = ", ".join("any" if n is None else str(n) for n in shape)
            raise DataError(
                f"{self.where / _WEIGHTS}: {name} is {got}, a {self.decoder.kind} decoder needs "
                f"{dtype} of shape ({want})"
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise DataError(f"{self.where / _WEIGHTS}: {name} holds NaN or infinite values")
        return found

    def chosen(self, names: Sequence[str], *shape: int | None) -> dict[str, Any]:
        """Arrays of double precision and one shape, by name; see :meth:`array`."""
        return {name: self.array(name, "float64", *shape) for name in names}

    def whole(self, name: str, least: int = 0) -> int:
        """A whole number among the facts.

        Raises
        ------
        DataError
            If it is missing or out of bounds.
        """
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _MOST:
            raise self._odd(name, value, f"a whole number from {least} on")
        return value

    def number(self, name: str) -> float:
        """A number among the facts, 0 or above.

        Raises
        ------
        DataError
            If it is missing, negative or none.
        """
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise self._odd(name, value, "a number, at least 0")
        return float(value)

    def _odd(self, name: str, value: object, want: str) -> DataError:
        return DataError(f"{self.where / _MANIFEST}: {name} is {value!r:.40}, must be {want}")


def save(saved: Saved, folder: Path) -> tuple[Path, ...]:
    """Write a decoder into a folder that exists; name the files.

    Raises
    ------
    SimError
        If a file cannot be written.
    """
    contents = {
        _WEIGHTS: kept.pack(saved.arrays),
        _HISTORY: kept.rows_text(saved.history).encode(),
    }
    for name, data in contents.items():
        kept.write_file(folder / name, data)
    manifest = {
        "format": _FORMAT,
        "decoder": saved.decoder.model_dump(mode="json"),
        "facts": dict(saved.facts),
        "files": {
            name: {"sha256": kept.digest_of(data), "bytes": len(data)}
            for name, data in contents.items()
        },
    }
    kept.write_file(folder / _MANIFEST, kept.sealed(manifest))
    return tuple(folder / name for name in (*contents, _MANIFEST))


def load(folder: str | Path, *, device: str = "auto") -> Fitted:
    """Read a fitted decoder back; its rates are those of the one that was saved, bit for bit.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where ``Fitted.save`` wrote it; a point of a study keeps its decoder so, too.
    device : {"auto", "cpu", "cuda"}
        Where a network will infer.

    Returns
    -------
    Fitted

    Raises
    ------
    DataError
        If a file is missing, damaged or swapped, or does not fit the others. Nothing in the
        files is ever run.
    SpecError
        For a device that is not there.
    """
    from pydantic import TypeAdapter, ValidationError

    from sbtt_models.decoders import AnyDecoder

    folder = Path(folder)
    manifest = kept.read_sealed(folder / _MANIFEST)
    if manifest.get("format") != _FORMAT:
        raise DataError(
            f"{folder / _MANIFEST}: format {manifest.get('format')!r:.40} is not {_FORMAT!r}"
        )
    named = manifest.get("decoder")
    if isinstance(named, dict) and named.get("causal") is False:
        named["lookahead_bins"] = 0  # once taken without causal, where it changed nothing
    try:
        decoder: DecoderSpec = TypeAdapter(AnyDecoder).validate_python(named)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("decoder", *first["loc"]))
        raise DataError(f"{folder / _MANIFEST}: {place}: {first['msg']}") from None
    files, facts = manifest.get("files"), manifest.get("facts")
    if not isinstance(files, dict) or not isinstance(facts, dict):
        raise DataError(f"{folder / _MANIFEST}: names no files or facts")
    data = {name: _read(folder, name, files.get(name)) for name in (_WEIGHTS, _HISTORY)}
    history = kept.read_rows(data[_HISTORY].decode("utf-8", "replace"), folder / _HISTORY)
    arrays = kept.unpack(data[_WEIGHTS], folder / _WEIGHTS)
    return decoder.restore(Saved(decoder, arrays, facts, history, folder), device)


def _read(folder: Path, name: str, entry: object) -> bytes:
    if not isinstance(entry, dict):
        raise DataError(f"{folder / _MANIFEST}: names no {name}")
    return kept.read_file(folder / name, str(entry.get("sha256")), entry.get("bytes", -1))
