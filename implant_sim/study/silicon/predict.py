"""Predict a chip's power from published chips: scope, bandwidth and process, strongly shrunken.

The model is a Bayesian linear regression on log10(power per channel) with conjugate prior, so that
mean and band have a closed form, a Student t. An effect is a priori as large as the scatter that
it does not explain; no number of the model is fitted to a score. A cell that is missing leaves its
effect at the mean and widens the band by the effect's own uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from scipy import stats

from implant_sim.hardware.physics.amplifier import nef_power_w
from implant_sim.hardware.physics.constants import Constants
from implant_sim.study.silicon.table import Chip

__all__ = ["BAND", "EFFECTS", "Prediction", "identity_w", "predict", "priors_for"]

BAND = 0.8
"""Probability of the band from `low_w` to `high_w`."""

_LEVELS = ("afe", "afe_adc", "asic", "soc", "implant")
EFFECTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"band": (math.log10(5e3), 0.5), "tech_nm": (math.log10(160.0), 0.35)}
)
"""What predicts a power, beside the scope: log10 centre and spread of each column, so that an
effect is that of a usual difference. `band` is the signal's bandwidth in Hz."""

_MEAN = -5.0  # log10 W of a channel: 10 uW, the order of the table
_MEAN_VARIANCE = 25.0  # so wide that it does not matter, in units of the scatter's variance
_DEGREES = 4.0  # of the prior of the scatter: as if seen in four chips
_SCATTER = 0.45  # its scale, log10: amplifiers at equal noise scatter threefold
# Energy of a transmitted bit, geometric mean and spread of published radios: 2.4 and 5.8 pJ
# (backscatter, UWB), 50 to 200 pJ (four assumed links), 3.8 nJ (FSK), 10 to 24 nJ (BLE, MedRadio)
_RADIO_J_BIT = 5e-10
_RADIO_SPREAD = 1.5
_ROOM = Constants(1.380649e-23, 300.0, 0.02585)  # amplifiers are measured on a bench


@dataclass(frozen=True, slots=True)
class Prediction:
    """Power of a row's whole scope, with its 80 % band; or why there is none. [W]"""

    predicted_w: float | None = None
    low_w: float | None = None
    high_w: float | None = None
    reason: str | None = None
    by_identity: bool = False
    """The row's own cells give its power: published NEF, or energy per bit and rate."""


def priors_for(chip: Chip, table: Sequence[Chip]) -> tuple[Chip, ...]:
    """The rows of the table that may predict a chip: never itself, never its family.

    Left out are rows of the same id, name or family, rows that publish the same power and differ
    in no cell (the same chip under another id), upper bounds, and what is no recorder.
    """
    family = chip.family or next((c.family for c in table if c.id == chip.id), "")
    return tuple(c for c in table if _usable(c) and not _same(c, chip, family))


def _usable(chip: Chip) -> bool:
    known = not chip.fault and chip.published_w is not None and chip.channels is not None
    return known and chip.scope in _LEVELS and not chip.upper_bound


def _same(one: Chip, other: Chip, family: str) -> bool:
    if one.id == other.id or (family and one.family == family):
        return True
    if other.name and one.name.casefold() == other.name.casefold():
        return True
    if one.published_w is None or other.published_w is None:
        return False
    cells = [(one.channels, other.channels), (one.scope, other.scope)]
    cells += [(one.get(name), other.get(name)) for name in other.numbers]
    agree = all(mine == theirs or None in (mine, theirs) for mine, theirs in cells)
    return agree and math.isclose(one.published_w, other.published_w, rel_tol=1e-3)


def predict(
    chip: Chip, priors: Sequence[Chip], effects: Mapping[str, tuple[float, float]] = EFFECTS
) -> Prediction:
    """Predict one chip.

    Parameters
    ----------
    chip : Chip
        Its published power is not looked at.
    priors : sequence of Chip
        From `priors_for`.
    effects : mapping of str to (float, float)
        Columns that enter the regression, other than `EFFECTS` only to see what they would do.

    Returns
    -------
    Prediction
        Without a number where the row does not say enough.
    """
    if chip.fault:
        return Prediction(reason=chip.fault)
    if not chip.scope:
        return Prediction(reason="scope is empty: it does not say what the power would cover")
    if (known_w := identity_w(chip)) is not None:
        factor = 1.15  # the bound of the identity test
        return Prediction(known_w, known_w / factor, known_w * factor, by_identity=True)
    if chip.scope == "tx":
        return _radio(chip)
    if chip.channels is None:
        return Prediction(
            reason="channels_simultaneous is empty: power of a channel is not the chip's"
        )
    if not priors:
        return Prediction(reason="no other chip to predict it from")
    centre, scale, degrees = _posterior(chip, priors, effects)
    return _whole(chip.channels, centre, scale, degrees)


def identity_w(chip: Chip) -> float | None:
    """Power that the row's own cells imply, or None. [W]"""
    get = chip.get
    if chip.scope == "tx":
        rate, bit = get("data_rate_Mbps"), get("e_bit_pJ")
        return None if rate is None or bit is None else rate * 1e6 * bit * 1e-12
    if chip.scope != "amp" or chip.channels is None:
        return None
    nef, noise, high, supply = get("nef"), get("irn_uVrms"), get("bw_hi_Hz"), get("vdd_V")
    if nef is None or noise is None or high is None or supply is None:
        return None
    width = high - (get("bw_lo_Hz") or 0.0)
    return chip.channels * nef_power_w(nef, noise * 1e-6, width, supply, _ROOM)


def _whole(channels: float, centre: float, scale: float, degrees: float) -> Prediction:
    """Median and band of all channels, from those of log10 of one. [W]"""
    half = float(stats.t.ppf(0.5 + BAND / 2, degrees)) * scale
    low, middle, high = (channels * 10.0 ** (centre + d) for d in (-half, 0.0, half))
    return Prediction(middle, low, high)


def _radio(chip: Chip) -> Prediction:
    rate = chip.get("data_rate_Mbps")
    if rate is None:
        return Prediction(reason="data_rate_Mbps is empty: a transmitter is paid by the bit")
    half = float(stats.norm.ppf(0.5 + BAND / 2)) * _RADIO_SPREAD
    middle = rate * 1e6 * _RADIO_J_BIT
    return Prediction(middle, middle * 10.0**-half, middle * 10.0**half)


def _features(
    chips: Sequence[Chip], effects: Mapping[str, tuple[float, float]]
) -> tuple[Float[np.ndarray, "chip effect"], Float[np.ndarray, " chip"]]:
    """Design matrix, and how many effects each row leaves unknown."""
    rows, missing = [], []
    for chip in chips:
        level = _LEVELS.index("afe" if chip.scope == "amp" else chip.scope)
        scaled = [
            None
            if (v := chip.band_hz if name == "band" else chip.get(name)) is None
            else (math.log10(v) - centre) / spread
            for name, (centre, spread) in effects.items()
        ]
        scope = [float(level == i) for i in range(len(_LEVELS))]
        # scopes nest, so power rises along them; each may also differ by itself
        rows.append([1.0, (level - 2) / math.sqrt(2), *scope, *(v or 0.0 for v in scaled)])
        missing.append(float(scaled.count(None)))
    return np.array(rows), np.array(missing)


def _posterior(
    chip: Chip, priors: Sequence[Chip], effects: Mapping[str, tuple[float, float]]
) -> tuple[float, float, float]:
    """Centre, scale and degrees of freedom of log10(W of one channel)."""
    design, missing = _features(priors, effects)
    new_rows, new_missing = _features([chip], effects)
    new = new_rows[0]
    watts = np.array([(c.published_w or math.nan) / (c.channels or math.nan) for c in priors])
    residual = np.log10(watts) - _MEAN
    variance = np.ones(design.shape[1])
    variance[0] = _MEAN_VARIANCE
    cover = (design * variance) @ design.T + np.diag(1.0 + missing)
    cross = design @ (variance * new)
    gain = np.linalg.solve(cover, cross)
    degrees = _DEGREES + len(priors)
    misfit = float(residual @ np.linalg.solve(cover, residual))
    scatter = (_DEGREES * _SCATTER**2 + misfit) / degrees
    spread = float(variance @ new**2 - cross @ gain) + 1.0 + float(new_missing[0])
    return _MEAN + float(gain @ residual), math.sqrt(scatter * spread), degrees
