"""Train once, test on many days: a decoder of another point, scored on what this one delivers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import sbtt_models
from implant_sim.study.acquisition import Acquisition
from implant_sim.study.arrays import collect
from implant_sim.study.rows import calibration_mean
from implant_sim.study.scenario import Scenario
from implant_sim.study.score import score

__all__ = ["rescored"]

_OF_TRAINING = ("n_parameters", "epochs", "train_s")


def rescored(
    scenario: Scenario, repeat: int, got: Acquisition, folder: Path, row: Mapping[str, Any]
) -> dict[str, Any]:
    """Score the decoder that another point has kept.

    Parameters
    ----------
    scenario : Scenario
        The point that is scored.
    repeat : int
    got : Acquisition
        Its own.
    folder : pathlib.Path
        The other point's, which learned from the same samples.
    row : mapping
        The other point's row.

    Returns
    -------
    dict
        What an `Outcome` needs: columns, arrays, and how to save the decoder.

    Raises
    ------
    DataError
        For a decoder that cannot be read.
    """
    recording = got.offered.held_in
    fitted = sbtt_models.load(folder, device="cpu")
    scores = score(
        fitted.rates,
        got.stream,
        recording,
        got.offered.held_out,
        scenario.score,
        repeat=repeat,
        calibration_mean=calibration_mean(recording, got.activity),
    )
    return {
        "row": scores.to_row() | {name: row.get(name) for name in _OF_TRAINING},
        "arrays": collect(recording, got.stream, scores.rates, scores.decoded),
        "attrs": {"bin_s": recording.bin_s, "window_bins": recording.window_bins or 0},
        "save": partial(fitted.save),
    }
