"""Score predictions of published chips against what was published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from implant_sim.study.silicon.predict import BAND, Prediction, predict, priors_for
from implant_sim.study.silicon.table import SCOPES, Chip, packaged

__all__ = ["Row", "Scored", "score"]

_WITHIN = 0.7  # log10: a factor of five


@dataclass(frozen=True, slots=True)
class Row:
    """One chip: predicted and published. [W]"""

    id: str
    scope: str
    predicted_w: float | None
    low_w: float | None
    high_w: float | None
    published_w: float | None
    log10_ratio: float | None
    """log10 of predicted over published."""
    reason: str | None
    """Why there is no prediction."""


@dataclass(frozen=True, slots=True)
class Scored:
    """All rows of a table, and what they say about the model."""

    devices: tuple[Row, ...]
    summary: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The shape that `implant-sim silicon --json` prints."""
        return {"devices": [asdict(row) for row in self.devices], "summary": dict(self.summary)}


@dataclass(frozen=True, slots=True)
class _Entry:
    chip: Chip
    row: Row
    constant: float | None
    """log10 ratio of a constant power per channel, predicted from the same priors."""
    by_identity: bool

    @property
    def inside(self) -> bool:
        low, published, high = self.row.low_w, self.row.published_w, self.row.high_w
        if low is None or published is None or high is None:
            return False
        return low <= published <= high


def score(chips: Sequence[Chip], table: Sequence[Chip] | None = None) -> Scored:
    """Predict each chip from the packaged ones, less itself and its family, and score it.

    Parameters
    ----------
    chips : sequence of Chip
        Rows to predict. Their published powers are only scored against, never learnt from.
    table : sequence of Chip, optional
        Rows that make the priors; the packaged table by default.

    Returns
    -------
    Scored
        One row for each chip, and a summary: rows scored, without identities and upper bounds,
        which are told apart; the bands; a constant power per channel from the same priors.
    """
    table = packaged() if table is None else table
    entries = [_entry(chip, table) for chip in chips]
    return Scored(tuple(e.row for e in entries), _summary(entries, table))


def _entry(chip: Chip, table: Sequence[Chip]) -> _Entry:
    priors = priors_for(chip, table)
    found = predict(chip, priors)
    published = None if chip.fault else chip.published_w
    row = Row(
        chip.id, chip.scope, found.predicted_w, found.low_w, found.high_w, published,
        _log_ratio(found.predicted_w, published), found.reason,
    )  # fmt: skip
    return _Entry(chip, row, _constant(chip, found, priors), found.by_identity)


def _log_ratio(predicted: float | None, published: float | None) -> float | None:
    if predicted is None or published is None:
        return None
    return math.log10(predicted) - math.log10(published)


def _constant(chip: Chip, found: Prediction, priors: Sequence[Chip]) -> float | None:
    """The error that a constant, the geometric mean of a channel's power, would have made."""
    if found.predicted_w is None or chip.published_w is None or chip.channels is None:
        return None
    watts = [math.log10((c.published_w or 1.0) / (c.channels or 1.0)) for c in priors]
    return fmean(watts) - math.log10(chip.published_w / chip.channels) if watts else None


def _summary(entries: Sequence[_Entry], table: Sequence[Chip]) -> dict[str, Any]:
    told = [e for e in entries if e.row.log10_ratio is not None and not e.by_identity]
    scored = [e for e in told if not e.chip.upper_bound]
    given = [e for e in entries if e.row.predicted_w is not None]
    made = priors_for(Chip("", "", {}), table)
    return {
        "rows": len(entries),
        "predicted": len(given),
        **_errors(scored),
        "by_scope": {
            s: _errors(of) for s in SCOPES if (of := [e for e in scored if e.chip.scope == s])
        },
        "with_upper_bounds": _errors(told),
        "band": BAND,
        "identities": {
            e.row.id: e.row.log10_ratio for e in entries if e.by_identity
        },
        "upper_bounds": {
            e.row.id: {
                "bound_w": e.row.published_w,
                "predicted_w": e.row.predicted_w,
                "consistent": (e.row.low_w or math.inf) <= (e.row.published_w or 0.0),
            }
            for e in given
            if e.chip.upper_bound
        },
        "not_predicted": {e.row.id: e.row.reason for e in entries if e.row.predicted_w is None},
        "not_published": [e.row.id for e in given if e.row.published_w is None],
        "taken_as_one_channel": [
            e.row.id
            for e in given
            if e.chip.scope != "tx" and e.chip.get("channels_simultaneous") is None
        ],
        "priors": {
            "rows": [c.id for c in made],
            "families_left_out_together": _families(made),
            "rule": "a row never predicts itself, its family, or the same chip by another name; "
            "upper bounds predict nothing",
        },
    }  # fmt: skip


def _errors(entries: Sequence[_Entry]) -> dict[str, Any]:
    error = [abs(r) for e in entries if (r := e.row.log10_ratio) is not None]
    constant = [abs(e.constant) for e in entries if e.constant is not None]
    if not error:
        return {"scored": 0}
    return {
        "scored": len(error),
        "median_abs_log10": median(error),
        "mean_abs_log10": fmean(error),
        "within_5x": fmean(e <= _WITHIN for e in error),
        "band_holds": fmean(e.inside for e in entries),
        "constant_median_abs_log10": median(constant) if constant else None,
        "constant_mean_abs_log10": fmean(constant) if constant else None,
    }


def _families(chips: Sequence[Chip]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for chip in chips:
        if chip.family:
            names.setdefault(chip.family, []).append(chip.id)
    return {family: ids for family, ids in names.items() if len(ids) > 1}
