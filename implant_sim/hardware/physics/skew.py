"""When each channel of a multiplexed chip is sampled within its sample period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

__all__ = ["READOUTS", "Grouping", "Readout", "adc_of", "turn_of"]

Grouping = Literal["contiguous", "interleaved", "even_odd"]


def adc_of(
    n_channels: int, ways: int, n_adcs: int, grouping: Grouping
) -> Int[np.ndarray, " channel"]:
    """The wire or ADC of each channel.

    Parameters
    ----------
    n_channels : int
        Channels, numbered from 0.
    ways : int
        Channels of one ADC.
    n_adcs : int
        ADCs in all; `interleaved` deals the channels out to them.
    grouping : str
        `contiguous`: the first `ways` channels share an ADC; `interleaved`: every `n_adcs`-th do;
        `even_odd`: of each ``2 * ways`` channels the even ones share one, the odd ones the next.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        Number of the ADC.

    References
    ----------
    .. [1] `even_odd`: multiplexer tables of billkarsh/ProbeTable, Neuropixels 1.0, 2.0 and later.

    Examples
    --------
    >>> adc_of(26, 12, 4, "even_odd")[[0, 1, 2, 23, 24]].tolist()
    [0, 1, 0, 1, 2]
    """
    channel = np.arange(n_channels)
    if grouping == "contiguous":
        return channel // ways
    if grouping == "interleaved":
        return channel % n_adcs
    return 2 * (channel // (2 * ways)) + channel % 2


def turn_of(
    n_channels: int, ways: int, n_adcs: int, grouping: Grouping
) -> Int[np.ndarray, " channel"]:
    """The turn of each channel on its ADC, from 0.

    Parameters
    ----------
    n_channels : int
        Channels, numbered from 0.
    ways : int
        Channels of one ADC.
    n_adcs : int
        ADCs in all.
    grouping : str
        As in `adc_of`.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        Turn, below `ways`.

    References
    ----------
    .. [1] As `adc_of`.

    Examples
    --------
    >>> turn_of(26, 12, 4, "even_odd")[[0, 1, 2, 23, 24]].tolist()
    [0, 0, 1, 11, 0]
    """
    channel = np.arange(n_channels)
    if grouping == "contiguous":
        return channel % ways
    if grouping == "interleaved":
        return channel // n_adcs
    return channel % (2 * ways) // 2


@dataclass(frozen=True, slots=True)
class Readout:
    """How a published chip takes its channels in turn."""

    n_channels: int
    n_adcs: int
    ways: int
    """Channels of one ADC."""
    slots: int
    """Turns in a cycle: more than `ways` where some serve other inputs."""
    sample_rate_hz: float
    grouping: Grouping
    source: str

    @property
    def clock_hz(self) -> float:
        """Turns in a second."""
        return self.slots * self.sample_rate_hz

    def delays_s(self) -> Float[np.ndarray, " channel"]:
        """Delay of each channel behind the start of the sample period: ``turn / clock``. [s]

        Examples
        --------
        The last of 12 turns of Neuropixels 1.0, whose clock runs at 13 times 30 kHz:

        >>> f"{1e9 * READOUTS['neuropixels_1'].delays_s().max():.0f} ns"
        '28205 ns'
        """
        turn = turn_of(self.n_channels, self.ways, self.n_adcs, self.grouping)
        return turn / self.clock_hz


_PROBE_TABLE = "billkarsh/ProbeTable 1.5, multiplexer table {}"
_INTAN = "Intan {}: {} MS/s for 32 amplifiers and 3 other inputs at 30 kS/s"

READOUTS: Mapping[str, Readout] = MappingProxyType(
    {
        "neuropixels_1": Readout(
            384, 32, 12, 13, 30e3, "even_odd",
            _PROBE_TABLE.format("NP1000") + "; 12 turns for spikes, one for slow potentials",
        ),
        "neuropixels_2": Readout(
            384, 24, 16, 16, 30e3, "even_odd", _PROBE_TABLE.format("NP2000")
        ),
        "neuropixels_2_quad": Readout(
            1536, 96, 16, 16, 30e3, "even_odd", _PROBE_TABLE.format("NP2020, NP3020")
        ),
        "neuropixels_nxt": Readout(
            912, 58, 16, 16, 30e3, "even_odd", _PROBE_TABLE.format("NP3010")
        ),
        "intan_rhd2132": Readout(
            32, 1, 32, 35, 30e3, "contiguous", _INTAN.format("RHD2132", "1.05")
        ),
        "intan_rhd2164": Readout(
            64, 2, 32, 35, 30e3, "contiguous", _INTAN.format("RHD2164", "2.10 in all, 2 ADCs,")
        ),
    }
)  # fmt: skip
"""Published chips, by name."""
