"""Two-photon imaging of a synthetic population: spikes, fluorescence, scan, deconvolved events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.recordings import splits
from implant_sim.recordings.assemble import WINDOW_S, Draft, Piece, assemble, check_size
from implant_sim.recordings.attractor import LONGEST_STEP, Z_PEAK, log_rate_weights, lorenz_path
from implant_sim.recordings.base import Declared, FileSplit, RecordingSource, Shares
from implant_sim.recordings.deconvolution import Rule, events_of
from implant_sim.recordings.indicator import Indicator, calcium
from implant_sim.recordings.scanning import bin_in_frame, scanned
from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Hertz, Seconds

__all__ = ["CalciumSource", "Deconvolution"]

_STEPS = 30  # of a frame, on which spikes are drawn and lines are scanned
_Path = Float[np.ndarray, "step 3"]


class Deconvolution(Spec):
    """How events are taken out of the fluorescence: OASIS, of first order."""

    decay_s: Seconds | None = Field(None, alias="decay", gt=0)
    """Of a transient. None: that of the indicator."""
    threshold: float = Field(3.0, ge=0, le=100)
    """Least size of an event, in standard deviations of the noise of a frame. It is the unit of
    the events."""


class CalciumSource(RecordingSource):
    """Poisson neurons driven by a Lorenz attractor, imaged line by line, deconvolved.

    Each cell is seen once in a frame, when its line is scanned, and gives one value for each
    frame: the size of the calcium event since the last. Bins finer than a frame hold that value in
    the bin of the line, and nothing in the others. `behaviour` is the state of the attractor.
    """

    kind: Literal["calcium"] = "calcium"
    seed: int = Field(0, ge=0)
    channels: int = Field(60, ge=1, le=100_000)
    duration_s: Seconds = Field(600.0, alias="duration", gt=0, le=1e5)
    frame_s: Seconds = Field(0.03, alias="frame", ge=1e-3, le=10)
    """From one frame to the next; 30 ms as in the data of the published tutorial."""
    bins_per_frame: Literal[1, 2, 3, 5, 6, 10, 15, 30] = 3
    row_times: bool = True
    """False: every value goes to the middle bin of its frame, as if nobody knew when a line is
    scanned."""
    states_per_bin: Literal[1, 2, 3, 5, 6, 10, 15, 30] = 1
    """Parts of a bin whose states `behaviour` holds, one after the other: with 3, bins of a frame
    are judged by what happens in each third of it."""
    frequency_hz: Hertz = Field(6.8, alias="frequency", gt=0, le=1000)
    """Spectral peak of z, as for `lorenz`."""
    mean_rate_hz: Hertz = Field(5.0, alias="mean_rate", gt=0, le=1000)
    modulation: float = Field(1.0, gt=0, le=5)
    """Standard deviation of each channel's log rate over the attractor."""
    indicator: Indicator = Indicator()
    deconvolution: Deconvolution = Deconvolution()
    window_s: Seconds | None = Field(None, alias="window", gt=0)
    """Window of a decoder; 2 s if left out."""
    split: Shares = Shares()

    @model_validator(mode="after")
    def _check(self) -> CalciumSource:
        if _STEPS % (self.bins_per_frame * self.states_per_bin):
            raise ValueError(
                f"bins_per_frame {self.bins_per_frame} x states_per_bin {self.states_per_bin} "
                f"must divide {_STEPS}; with bins_per_frame 1, states_per_bin may be 3"
            )
        if self.mean_rate_hz * self.frame_s > 1000:
            raise ValueError("mean_rate x frame exceeds 1000 spikes in a frame; lower one of them")
        return self

    @property
    def bin_s(self) -> float:
        """Width of a bin. [s]"""
        return self.frame_s / self.bins_per_frame

    @property
    def n_frames(self) -> int:
        """Frames of the whole recording."""
        return max(1, round(self.duration_s / self.frame_s))

    @property
    @override
    def declared(self) -> Declared:
        n_bins = self.split.padded(self.n_frames) * self.bins_per_frame
        return Declared(n_bins, self.channels, self.bin_s)

    @property
    @override
    def imaged(self) -> bool:
        return True

    @override
    def load(self, root: Path) -> Recording:
        n_bins = self.n_frames * self.bins_per_frame
        check_size((n_bins, self.channels), 8, "calcium")
        check_size((self.n_frames * _STEPS, 3), 8, "calcium: path of the attractor")
        for_path, for_cells, for_rows, for_noise = np.random.default_rng(self.seed).spawn(4)
        path = self._path(for_path)
        place = for_rows.random(self.channels)
        traces = self.fluorescence(path, place, for_cells, for_noise)
        decay_s = self.deconvolution.decay_s or self.indicator.decay_s
        rule = Rule(float(np.exp(-self.frame_s / decay_s)), self.deconvolution.threshold)
        known = np.ones(traces.shape, np.bool_)
        events, seen = events_of(traces, known, np.zeros(1, np.int64), rule)
        return self._recording(path, Piece(events, recorded=seen), place)

    def _path(self, rng: np.random.Generator) -> _Path:
        """Where the attractor is at the start of each step, its mean taken off."""
        step = self.frame_s / _STEPS * self.frequency_hz / Z_PEAK
        finer = max(1, int(np.ceil(step / LONGEST_STEP - 1e-9)))
        states = lorenz_path(rng, 1, self.n_frames * _STEPS * finer, step / finer)[0, ::finer]
        return states - states.mean(axis=0)

    def fluorescence(
        self,
        path: _Path,
        place: Float[np.ndarray, " channel"],
        for_cells: np.random.Generator,
        for_noise: np.random.Generator,
    ) -> Float32[np.ndarray, "frame channel"]:
        """What the microscope sees of each cell: one value for each frame. [dF/F]

        Parameters
        ----------
        path : numpy.ndarray, shape (step, 3)
            States of the attractor.
        place : numpy.ndarray, shape (channel,)
            Height of each cell in the image, in [0, 1).
        for_cells : numpy.random.Generator
            Draws how cells follow the attractor, their spikes, and how they differ.
        for_noise : numpy.random.Generator
            Draws the noise of the frames.
        """
        step_s, cell = self.frame_s / _STEPS, self.indicator
        weights = log_rate_weights(for_cells, path, self.channels, self.modulation)
        amplitude = cell.amplitude * np.exp(
            cell.amplitude_spread * for_cells.standard_normal(self.channels)
        )
        slower = np.exp(cell.decay_spread * for_cells.standard_normal(self.channels))
        decay_s = np.maximum(cell.decay_s * slower, 1.01 * cell.rise_s)
        noise = cell.noise / np.sqrt(self.frame_s)
        traces = np.empty((self.n_frames, self.channels), np.float32)
        for i in range(self.channels):  # one at a time: steps of all cells would fill the memory
            rate = np.exp(path @ weights[i])
            spikes = for_cells.poisson(rate * (self.mean_rate_hz * step_s / rate.mean()))
            seen = calcium(spikes, step_s, cell.rise_s, decay_s[i])[
                int(place[i] * _STEPS) :: _STEPS
            ]
            traces[:, i] = amplitude[i] * seen + noise * for_noise.standard_normal(len(seen))
        return traces

    def _recording(
        self, path: _Path, frames: Piece, place: Float[np.ndarray, " channel"]
    ) -> Recording:
        n, parts = self.bins_per_frame, self.states_per_bin
        where = bin_in_frame(place, n, self.row_times)
        states = path.reshape(self.n_frames * n, parts, -1, 3).mean(axis=2)
        states = states.reshape(len(states), parts * 3)
        pieces = [
            replace(
                scanned(cut, where, n),
                behaviour=states[cut.origin[1] * n : (cut.origin[1] + len(cut.counts)) * n],
            )
            for cut in self._blocks(frames)
        ]
        draft = Draft(
            "calcium",
            self.bin_s,
            pieces,
            continuous=True,
            behaviour=("Lorenz state", "1"),
            sources=(f"generated: calcium, seed {self.seed}",),
        )
        shares = FileSplit(train=self.split.train, valid=self.split.valid, test=self.split.test)
        return assemble(draft, shares, self.window_s)

    def _blocks(self, frames: Piece) -> Iterator[Piece]:
        """Whole frames, so that bins of every width are cut at the same times."""
        window = max(1, round((self.window_s or WINDOW_S) / self.frame_s))
        gap = splits.gap_bins(window, self.frame_s)
        for block in splits.blocks(self.n_frames, gap, self.split, 1, "calcium"):
            yield frames.cut(block.start, block.stop, block.part)
