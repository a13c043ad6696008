"""Which number of an implant moves its power, its heat and its verdict the most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.energy import price
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.parameters import Parameter, parameter, parameters, scaled
from implant_sim.hardware.verdict import judge

__all__ = ["Bar", "End", "Tornado", "reaches", "tornado"]

_TENTH = NormalDist().inv_cdf(0.9)


@dataclass(frozen=True, slots=True)
class End:
    """What the implant does with a parameter at one end of its range."""

    value: float
    """Of the parameter, in SI."""
    power_w: float
    heat_k: float
    margin: float
    """The smallest margin to a limit; below 0 one is exceeded."""
    limited_by: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One parameter from end to end, all others at their values."""

    key: str
    low: End
    high: End
    range: Literal["10 to 90 %", "half to double"]
    """Of its spread, or where it has none."""

    @property
    def swing_w(self) -> float:
        """Change of power from end to end. [W]"""
        return abs(self.high.power_w - self.low.power_w)

    @property
    def swing_k(self) -> float:
        """Change of heat from end to end. [K]"""
        return abs(self.high.heat_k - self.low.heat_k)

    @property
    def swing_margin(self) -> float:
        """Change of the margin from end to end."""
        return abs(self.high.margin - self.low.margin)

    @property
    def decides(self) -> bool:
        """True where the limits are kept at one end and not at the other."""
        return (self.low.margin < 0) != (self.high.margin < 0)


@dataclass(frozen=True, slots=True)
class Tornado:
    """All parameters, the one that moves power most first."""

    power_w: float
    heat_k: float
    margin: float
    bars: tuple[Bar, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, as `implant-sim energy --tornado --json` prints it."""
        return {**asdict(self), "limiting": self.limiting, "deciding": self.deciding}

    @property
    def limiting(self) -> str | None:
        """The parameter that moves the verdict's margin most; None where none does."""
        most = max(self.bars, key=lambda bar: bar.swing_margin, default=None)
        return None if most is None or most.swing_margin == 0 else most.key

    @property
    def deciding(self) -> tuple[str, ...]:
        """Parameters that alone, within their range, turn the verdict."""
        return tuple(bar.key for bar in self.bars if bar.decides)


def tornado(activity: Activity, implant: Implant, keys: Sequence[str] | None = None) -> Tornado:
    """Move one parameter at a time to both ends of its range, and price and judge again.

    What was counted stays as it is, so that parameters which change it (sampling rate, bits, data
    rate) are none of them: sweep those.

    Parameters
    ----------
    activity : Activity
        Counted on this implant.
    implant : Implant
        A parameter with a spread goes from 10 to 90 % of it, others from half to double.
    keys : sequence of str, optional
        Dotted keys; by default all parameters that move anything.

    Returns
    -------
    Tornado
        Bars sorted by the change of power, then of margin.

    Raises
    ------
    SpecError
        For a key that is no parameter.
    """
    known = parameters(implant) if keys is None else [parameter(implant, key) for key in keys]
    spread = reaches(implant)
    bars = []
    for found in known:
        reach = spread.get(found.key, 2.0)
        low, high = (_end(activity, implant, found, f) for f in (1 / reach, reach))
        spreads = found.key in spread
        bars.append(Bar(found.key, low, high, "10 to 90 %" if spreads else "half to double"))
    if keys is None:  # a switch that never switches moves nothing
        bars = [bar for bar in bars if bar.swing_w or bar.swing_k or bar.swing_margin]
    bars.sort(key=lambda bar: (-bar.swing_w, -bar.swing_margin, bar.key))
    ledger = price(activity, implant)
    verdict = judge(ledger, activity, implant)
    return Tornado(ledger.power_w, verdict.heat_k, verdict.margin, tuple(bars))


def reaches(implant: Implant) -> dict[str, float]:
    """The factor between the value and either end of 10 to 90 %, of each parameter that spreads.

    Parameters
    ----------
    implant : Implant
        With spreads, or without.

    Returns
    -------
    dict of str to float
        By dotted key.
    """
    return {
        parameter(implant, key).key: math.exp(_TENTH * math.log(spread.factor))
        for key, spread in implant.spreads.items()
    }


def _end(activity: Activity, implant: Implant, found: Parameter, factor: float) -> End:
    changed = scaled(implant, found, factor)
    ledger = price(activity, changed)
    verdict = judge(ledger, activity, changed)
    block = changed.power.battery if found.block == "power.battery" else None
    value = float(getattr(block or getattr(changed, found.block.split(".")[0]), found.field))
    return End(value, ledger.power_w, verdict.heat_k, verdict.margin, verdict.limited_by)
