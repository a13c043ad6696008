"""What a decoder is trained on, named as far as a scenario tells: equal names may share one."""

from __future__ import annotations

import hashlib
import json

from implant_sim.hardware.implant import Implant
from implant_sim.study.keys import DataKeys
from implant_sim.study.scenario import Scenario

__all__ = ["delivery_name"]

_NOT_DELIVERED = ("radio", "limits", "counted", "chance", "drift")
"""Parts of a data key that mostly leave the delivered stream as it is; `reprice` makes sure."""
_DELIVERED = ("recording", "schedule", "pretraining")
"""All that matters to it where an implant delivers each sample whole."""
_NOT_DECODED = {
    "name", "repeats", "implant", "sweep", "search", "time_limit_s", "warm_start", "drift",
}  # fmt: skip


def delivery_name(
    keys: DataKeys, scenario: Scenario, repeat: int, before: str | None = None
) -> str:
    """Name what a decoder is trained on.

    Parameters
    ----------
    keys : DataKeys
        Kept for all points of a study.
    scenario : Scenario
        One point.
    repeat : int
    before : str, optional
        Name of the training whose weights it begins with.
    """
    whole = _delivers_whole(scenario.implant)
    data = [
        part
        for part in keys.of(scenario, 1.0)
        if (part[0] in _DELIVERED if whole else part[0] not in _NOT_DELIVERED)
    ]
    named = [data, scenario.model_dump_json(exclude=_NOT_DECODED), repeat]
    if before is not None and scenario.warm_start is not None:
        named += [before, scenario.warm_start.model_dump_json()]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _delivers_whole(implant: Implant | None) -> bool:
    """Whether spikes arrive as the recording has them, whatever else the implant is made of."""
    return implant is not None and not (
        implant.looks_at_signal
        or implant.multiplexer.holds_bin
        or implant.amplifier.wake == "late"
    )
