"""Count what an acquisition does on lists of channels, chunk by chunk, and make no stream.

Gives the activity that `acquire` gives. Time follows the samples taken, and memory holds a few
numbers for each bin and for each channel. Where a schedule repeats itself, the front end is
counted over one period, and the rest follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped

from implant_sim.hardware.activity import Action, Activity
from implant_sim.hardware.calibration import with_calibration
from implant_sim.hardware.coverage import Visits, of_visits
from implant_sim.hardware.encode import Encoded, encode_values
from implant_sim.hardware.front_end_count import FrontEndCount
from implant_sim.hardware.grid import Grid
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.link import send
from implant_sim.hardware.offered import NoDataError, detected, offered
from implant_sim.hardware.payload_count import Payload
from implant_sim.hardware.rules import Counted, Rules, settling_notes
from implant_sim.hardware.schedules.base import Plan, Schedule
from implant_sim.hardware.schedules.lists import Lists, lists_of
from implant_sim.hardware.sense import front_end_actions
from implant_sim.hardware.tally import summarise
from sbtt_models.detector import Detector
from sbtt_models.signals import Recording
from sbtt_models.undrawn import Population

__all__ = ["Need", "Taken", "count", "take", "transmit"]

_SAMPLES_AT_ONCE = 2**16  # of a chunk: its arrays stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Need:
    """How much there is to count."""

    n_bins: int
    n_samples: float
    """(step, channel), about."""
    n_channels: int


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What was sampled and encoded; it may be sent by any radio."""

    recording: Recording | Population
    """As the detector gives it."""
    found: Detector | None
    planned: Plan
    grid: Grid
    slots: int
    """Most channels that the wires allow in one step."""
    counted: Counted
    visits: Visits
    valid_fraction: float
    """Share of the sampled time with valid data."""
    exposure: Shaped[np.ndarray, " bin"]
    """Valid shares of each bin, of all channels together."""
    actions: tuple[Action, ...]
    notes: tuple[str, ...]
    encoded: Encoded


def count(
    recording: Recording | Population,
    implant: Implant,
    schedule: Schedule,
    rng: np.random.Generator,
    allow: Callable[[Need], None] | None = None,
    at_once: int = _SAMPLES_AT_ONCE,
) -> Activity | None:
    """Count what an implant does for a recording, without the stream: `take` and `transmit`.

    Parameters
    ----------
    recording, implant, schedule, rng, allow, at_once
        As for :func:`take`.

    Returns
    -------
    Activity or None
        That of `acquire` with the same seed; None where only that will do.

    Raises
    ------
    SpecError
        As `acquire`.
    """
    streams = tuple(rng.spawn(4))
    taken = take(recording, implant, schedule, streams, allow, at_once)
    return None if taken is None else transmit(taken, implant, streams[2])


def take(
    recording: Recording | Population,
    implant: Implant,
    schedule: Schedule,
    streams: tuple[np.random.Generator, ...],
    allow: Callable[[Need], None] | None = None,
    at_once: int = _SAMPLES_AT_ONCE,
) -> Taken | None:
    """Count samples, and the bits of each bin; whatever the radio.

    Parameters
    ----------
    recording : Recording or Population
        What the electrodes would give.
    implant : Implant
        What takes it.
    schedule : Schedule
        Which samples it takes.
    streams : tuple of numpy.random.Generator
        The four that `acquire` spawns. Where a population is detected with misses and false
        alarms, its rates are changed instead of its counts, which gives other counts of the same
        distribution.
    allow : callable, optional
        Is told what the count will need before it begins, and may raise.
    at_once : int
        Samples of a chunk, about. Without effect on the result.

    Returns
    -------
    Taken or None
        None where only `acquire` will do: the schedule is not known as lists, or looks at data
        that a population does not have; the file has gaps; the entropy bound is asked for.

    Raises
    ------
    SpecError
        As `acquire`.
    """
    if implant.compression.kind == "entropy" and implant.processing.feature == "threshold":
        return None
    if isinstance(recording, Recording) and recording.recorded is not None:
        return None
    for_schedule, for_spikes, _, for_noise = streams
    times = for_spikes.integers(0, 2**64, dtype=np.uint64)
    recording, found = detected(recording, implant, for_noise)
    grid = Grid.over(np.asarray(recording.lengths), recording.bin_s, schedule, implant)
    if allow is not None:
        allow(Need(grid.n_bins, grid.n_bins, recording.n_channels))
    view, counts = offered(recording, implant, grid, times)
    try:
        listed = lists_of(schedule, view, for_schedule)
    except NoDataError:
        return None
    if listed is None:
        return None
    lists, planned = listed
    if allow is not None:
        n_taken = grid.n_bins * grid.steps_per_bin * lists.mean_size
        allow(Need(grid.n_bins, n_taken, recording.n_channels))
    n_clock, step_s = grid.n_bins * grid.steps_per_bin, grid.bin_s / grid.steps_per_bin
    rules = Rules.of(implant, recording.n_channels, n_clock, step_s)
    front = FrontEndCount(rules, implant.amplifier.gating != "none", grid.bins_per_step)
    n_at_once = max(1, round(at_once / lists.mean_size / grid.steps_per_bin)) * grid.steps_per_bin
    payload = Payload(lists, grid, rules, counts, times, n_at_once)
    n_samples = _go_through(front, payload, lists, grid, implant, n_at_once)
    counted, visits = front.finish(grid.n_steps, lists.take(grid.n_steps - 1, 1)[0])
    encoded = encode_values(payload, n_samples, implant, announced=True)
    valid = counted.n_sampled if payload.valid is None else float(payload.valid.sum())
    return Taken(
        recording,
        found,
        planned,
        grid,
        view.groups.n,
        counted,
        visits,
        valid / counted.n_sampled,
        payload.size if payload.exposure is None else payload.exposure,
        front_end_actions(counted, rules, implant),
        settling_notes(rules, valid / counted.n_sampled),
        encoded,
    )


def transmit(taken: Taken, implant: Implant, rng: np.random.Generator) -> Activity:
    """Send what was taken.

    Parameters
    ----------
    taken : Taken
        By this implant, or one that differs in radio, limits and prices only.
    implant : Implant
        Its radio sends.
    rng : numpy.random.Generator
        The third of the four; decides which packets are lost.

    Returns
    -------
    Activity
        Of the whole acquisition.

    Raises
    ------
    SpecError
        Where a calibration takes longer than the time until the next.
    """
    recording, grid, counted = taken.recording, taken.grid, taken.counted
    n_clock = grid.n_bins * grid.steps_per_bin
    sent = send(taken.encoded.bits, grid.bin_s, implant, rng)
    spans_s = n_clock * (grid.bin_s / grid.steps_per_bin), grid.bin_s
    n_channels = recording.n_channels
    activity = summarise(
        spans_s, n_channels, implant, taken.found, taken.actions, taken.encoded, sent
    )
    activity = replace(
        activity,
        bandwidth=counted.n_sampled / n_clock,
        sampled_fraction=float(taken.exposure[sent.arrived].sum()) / (grid.n_bins * n_channels),
        notes=(*activity.notes, *grid.notes, *taken.planned.notes, *taken.notes),
    )
    if taken.planned.calibrated_every_s is not None and isinstance(recording, Recording):
        activity = with_calibration(activity, recording, implant, taken.planned)
    coverage = of_visits(
        taken.visits,
        grid.step_s,
        taken.slots,
        valid_fraction=taken.valid_fraction,
        side_info_bps=activity.side_info_bps,
        link_latency_s=activity.latency_s,
    )
    return replace(activity, coverage=coverage)


def _go_through(
    front: FrontEndCount,
    payload: Payload,
    lists: Lists,
    grid: Grid,
    implant: Implant,
    n_at_once: int,
) -> Float[np.ndarray, " bin"]:
    """Count front end and payload; return the conversions of each bin, where those are sent."""
    feature = implant.processing.feature
    if lists.period is not None and feature != "raw" and not payload.partial:
        front.run(lists, grid.n_steps, n_at_once)
        payload.count(None, without_counts=feature != "threshold")
        return np.zeros(grid.n_bins)
    of_step = np.zeros(grid.n_bins * grid.steps_per_bin)

    def also(
        first: int, channels: Int32[np.ndarray, " sample"], size: Int[np.ndarray, " step"]
    ) -> None:
        before = front.feed(first, channels, size)
        at, span = first * grid.bins_per_step, grid.bins_per_step
        here = of_step[at : at + len(size) * span]
        here += np.repeat(size, span)[: len(here)]
        if not front.settles_inside:
            here[::span] += before

    payload.count(also, without_counts=feature != "threshold")
    samples_per_step = grid.bin_s / grid.steps_per_bin * implant.adc.sample_rate_hz
    return (of_step * samples_per_step).reshape(grid.n_bins, -1).sum(axis=1)
