"""Schedules as command lists for Intan RHD2000 chips, which convert any channel at any time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from implant_sim.hardware.components.base import Source
from sbtt_models.errors import DataError, SpecError

__all__ = ["CHIP_CHANNELS", "SLOTS", "convert", "from_rhd", "power_writes", "read", "rhd", "write"]

SOURCE = Source(
    text="Intan Technologies, RHD2000 series datasheet, 2013: 1.05 MS/s, 32 channels at 30 kS/s "
    "each (read on its first page); commands and registers 14 to 17 as recalled, and as in "
    "published firmware",
    kind="recalled",
)
CHIP_CHANNELS = 32
"""Amplifiers of an RHD2132; an RHD2164 behaves as two of them on one clock."""
SLOTS = 35
"""Commands in one sample period: 32 amplifiers and 3 for everything else."""
_FASTEST_HZ = 1.05e6
"""Commands per second, at most."""
_POWER_REGISTER = 14  # to 17: one bit for each amplifier, from the lowest
_CHIP_ID = 63  # a register to read in slots that nothing else needs

Mask = Bool[np.ndarray, "step channel"]


def convert(channel: int) -> int:
    """The word that converts a channel: 00 C[5:0] 0000000 H, with H = 0.

    Examples
    --------
    >>> f"{convert(5):04X}"
    '0500'
    """
    return channel << 8


def write(register: int, value: int) -> int:
    """The word that writes a register: 10 R[5:0] D[7:0].

    Examples
    --------
    >>> f"{write(14, 0xFF):04X}"
    '8EFF'
    """
    return 0x8000 | register << 8 | value


def read(register: int) -> int:
    """The word that reads a register: 11 R[5:0] 00000000.

    Examples
    --------
    >>> f"{read(63):04X}"
    'FF00'
    """
    return 0xC000 | register << 8


def power_writes(used: Bool[np.ndarray, " amplifier"]) -> list[int]:
    """Words that power the amplifiers of one chip that are used, and no others."""
    on = np.zeros(CHIP_CHANNELS, dtype=np.bool_)
    on[: len(used)] = used
    values = np.packbits(on, bitorder="little").tolist()
    return [write(_POWER_REGISTER + i, value) for i, value in enumerate(values)]


def rhd(sampled: Mask, step_s: float, sample_rate_hz: float) -> str:
    """Write a mask as SPI commands, a list for each chip of 32 channels.

    Each sample period has 35 slots. In a step they hold CONVERT(c) for the channels sampled, in
    ascending order, then reads of the chip's identity, which do nothing. Amplifiers that the mask
    never uses are powered down once, at the start: these chips couple through capacitors, so that
    an amplifier would not settle within a step. A result comes back two commands after its own.

    The text has a line for each chip and step, ``chip,step,periods,WORD,...``: send these 16-bit
    words, in hexadecimal, for so many sample periods. Lines of step -1 come first, once.

    Parameters
    ----------
    sampled : numpy.ndarray, shape (step, channel)
        The mask: one period of it, if it has one.
    step_s : float
        Length of a step. [s]
    sample_rate_hz : float
        Of each channel. [Hz]

    Returns
    -------
    str

    Raises
    ------
    SpecError
        For more commands a second than the chip takes, or a step that is no whole number of
        sample periods.

    References
    ----------
    .. [1] Intan Technologies, "RHD2000 Series Digital Electrophysiology Interface Chips", 2013.
    """
    if SLOTS * sample_rate_hz > _FASTEST_HZ * (1 + 1e-9):
        raise SpecError(
            f"implant.adc.sample_rate: {sample_rate_hz:g} Hz makes {SLOTS * sample_rate_hz:g} "
            f"commands per second in {SLOTS} slots; an RHD2000 takes {_FASTEST_HZ:g}, so "
            f"{_FASTEST_HZ / SLOTS:g} Hz at most"
        )
    periods = max(1, round(step_s * sample_rate_hz))
    if abs(periods - step_s * sample_rate_hz) > 1e-6 * periods:
        raise SpecError(
            f"schedule.dwell: a step of {step_s:g} s is {step_s * sample_rate_hz:g} periods of "
            f"{sample_rate_hz:g} Hz; it must be a whole number of them"
        )
    n_steps, n_channels = sampled.shape
    lines = [
        f"# Intan RHD2000, {SLOTS} slots at {sample_rate_hz:.12g} Hz, step {step_s:.12g} s",
        f"# steps: {n_steps}",
        f"# channels: {n_channels}",
        "chip,step,periods,words",
    ]
    parts = [sampled[:, c : c + CHIP_CHANNELS] for c in range(0, n_channels, CHIP_CHANNELS)]
    lines += [
        _line(i, -1, 1, power_writes(np.logical_or.reduce(part, axis=0)))
        for i, part in enumerate(parts)
    ]
    for step in range(n_steps):
        for i, part in enumerate(parts):
            words = [convert(c) for c in np.flatnonzero(part[step]).tolist()]
            lines.append(_line(i, step, periods, words))
    return "\n".join(lines) + "\n"


def _line(chip: int, step: int, periods: int, words: list[int]) -> str:
    full = [*words, *[read(_CHIP_ID)] * (SLOTS - len(words))]
    return f"{chip},{step},{periods}," + ",".join(f"{word:04X}" for word in full)


def from_rhd(text: str) -> Mask:
    """Read the mask back from commands of :func:`rhd`.

    Raises
    ------
    DataError
        For any other text, or a conversion of an amplifier without power.
    """
    try:
        lines = text.splitlines()
        n_steps, n_channels = (int(line.split(":")[1]) for line in lines[1:3])
        sampled = np.zeros((n_steps, n_channels), dtype=np.bool_)
        powered = np.zeros(-(-n_channels // CHIP_CHANNELS) * CHIP_CHANNELS, dtype=np.bool_)
        for line in lines[4:]:
            chip, step, _, *words = line.split(",")
            first = int(chip) * CHIP_CHANNELS
            for word in (int(w, 16) for w in words):
                code, place, value = word >> 14, word >> 8 & 0x3F, word & 0xFF
                if code == 2:
                    bits = np.unpackbits(np.array([value], np.uint8), bitorder="little")
                    at = first + 8 * (place - _POWER_REGISTER)
                    powered[at : at + 8] = bits
                elif code == 0:
                    if not powered[first + place]:
                        raise DataError(f"RHD commands: channel {first + place} has no power")
                    sampled[int(step), first + place] = True
    except (ValueError, IndexError) as error:
        raise DataError(f"RHD commands: these are none: {error}") from error
    return sampled
