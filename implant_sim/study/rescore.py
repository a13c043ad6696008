"""Score a decoder on what a point delivers: its own, or another's that learned from the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sbtt_models
from implant_sim.study.acquisition import Acquisition
from implant_sim.study.arrays import collect
from implant_sim.study.rows import calibration_mean
from implant_sim.study.scenario import Scenario
from implant_sim.study.score import score
from sbtt_models.decoders.base import Fitted

__all__ = ["rescored", "scored"]

_OF_TRAINING = ("n_parameters", "epochs", "train_s")


def scored(scenario: Scenario, repeat: int, got: Acquisition, fitted: Fitted) -> dict[str, Any]:
    """Score a decoder.

    Parameters
    ----------
    scenario : Scenario
        The point that is scored.
    repeat : int
    got : Acquisition
        What it delivers.
    fitted : Fitted
        The decoder.

    Returns
    -------
    dict
        What an `Outcome` needs of it: columns, arrays, and how to save the decoder.
    """
    recording = got.offered.held_in
    scores = score(
        fitted.rates,
        got.stream,
        recording,
        got.offered.held_out,
        scenario.score,
        repeat=repeat,
        calibration_mean=calibration_mean(recording, got.activity),
        decoder=scenario.decoder,
    )
    return {
        "row": scores.to_row(),
        "arrays": collect(recording, got.stream, scores.rates, scores.decoded),
        "attrs": {"bin_s": recording.bin_s, "window_bins": recording.window_bins or 0},
        "save": fitted.save,
    }


def rescored(
    scenario: Scenario, repeat: int, got: Acquisition, folder: Path, row: Mapping[str, Any]
) -> dict[str, Any]:
    """Train once, test on many days: score the decoder that another point has kept.

    Parameters
    ----------
    scenario, repeat, got
        As for :func:`scored`.
    folder : pathlib.Path
        The other point's, which learned from the same samples.
    row : mapping
        The other point's row.

    Returns
    -------
    dict
        As :func:`scored`, with the columns of the training.

    Raises
    ------
    DataError
        For a decoder that cannot be read.
    """
    found = scored(scenario, repeat, got, sbtt_models.load(folder, device="cpu"))
    return found | {"row": found["row"] | {name: row.get(name) for name in _OF_TRAINING}}
