"""arrays.h5 of one point: what was recorded, what was inferred, what is true."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32, Shaped

from sbtt_models.errors import DataError
from sbtt_models.signals import MaskedStream, Recording

__all__ = ["collect", "pack", "read", "rounded"]

Array = Shaped[np.ndarray, " ..."]
_KEPT_BITS = 12


def rounded(values: Shaped[np.ndarray, " ..."]) -> Float32[np.ndarray, " ..."]:
    """Floats of 12 mantissa bits (relative error below 1.3e-4): half the size on disk.

    Examples
    --------
    >>> float(rounded(np.array([1 / 3]))[0])
    0.33331298828125
    """
    drop = 23 - _KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (drop - 1))
    mask = np.uint32(0xFFFFFFFF & ~((1 << drop) - 1))
    return ((bits + half) & mask).view(np.float32)


def collect(
    recording: Recording,
    stream: MaskedStream,
    rates: Shaped[np.ndarray, "trial bin channel"],
    decoded: Shaped[np.ndarray, "trial bin dim"] | None = None,
) -> dict[str, Array]:
    """Gather the arrays of a point under their names in the file.

    Parameters
    ----------
    recording : Recording
        The truth, through the channels that the implant sees.
    stream : MaskedStream
        What was delivered.
    rates : numpy.ndarray, shape (trial, bin, channel)
        Inferred. [spikes/bin]
    decoded : numpy.ndarray, shape (trial, bin, dim), optional
        Behaviour read out of the rates.
    """
    arrays: dict[str, Array] = {
        "counts": compact(stream.counts),
        "observed": stream.observed,
        "exposure": stream.exposure.astype(np.float32),
        "rates": rounded(rates),
        "lengths": recording.lengths.astype(np.int32),
        "true_counts": compact(recording.counts),
    }
    for part in ("train", "valid", "test"):
        arrays[f"split/{part}"] = getattr(recording.split, part).astype(np.int32)
    if recording.expected is not None:
        arrays["expected"] = rounded(recording.expected)
    if recording.rates_hz is not None:
        arrays["rates_hz"] = rounded(recording.rates_hz)
    if recording.behaviour is not None:
        arrays["behaviour"] = recording.behaviour.values.astype(np.float32)
        arrays["behaviour_valid"] = recording.behaviour.valid
    if decoded is not None:
        arrays["decoded"] = decoded.astype(np.float32)
    if recording.condition is not None:
        arrays["condition"] = recording.condition.astype(np.int32)
    return arrays


def compact(counts: Shaped[np.ndarray, " ..."]) -> Shaped[np.ndarray, " ..."]:
    """Non-negative integers in the smallest type that holds them; real values rounded."""
    if counts.dtype.kind == "f":
        return rounded(counts)
    top = int(counts.max()) if counts.size else 0
    return counts.astype(np.min_scalar_type(top))


def pack(arrays: Mapping[str, Array], attrs: Mapping[str, float | int | str]) -> bytes:
    """An HDF5 file in memory: compressed, each chunk with a checksum."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            packed = {} if array.ndim == 0 or array.size == 0 else {
                "compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True,
            }  # fmt: skip
            file.create_dataset(name, data=array, **packed)
        file.attrs.update(attrs)
    return buffer.getvalue()


def read(path: Path) -> tuple[dict[str, Array], dict[str, float | int | str]]:
    """The arrays and attributes of an ``arrays.h5``.

    Raises
    ------
    DataError
        For a file that is missing or damaged.
    """
    arrays: dict[str, Array] = {}
    try:
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda name, item: (
                    arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            attrs = {k: v.item() if hasattr(v, "item") else v for k, v in file.attrs.items()}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as HDF5: {error}") from error
    return arrays, attrs
