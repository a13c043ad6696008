"""Sampled voltage of many channels: spikes and noise through converter and threshold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from implant_sim.hardware.channel import PHASES, Channel, channel
from implant_sim.hardware.detection import amplitudes_v
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import voltage as kernels
from implant_sim.hardware.physics.sampled_noise import process
from implant_sim.hardware.trains import SpikeTrains
from sbtt_models.errors import SpecError

__all__ = ["Broadband", "Excerpt", "simulate", "voltage"]

_SPAN = 1 << 14  # samples between two returns from the kernel: bounds what is held of events
_LONGEST_EXCERPT = 1 << 26  # values, a quarter of a gigabyte


@dataclass(frozen=True, slots=True, eq=False)
class Broadband:
    """What a detector found."""

    counts: Int32[np.ndarray, "bin channel"]
    """Detections, right or wrong."""
    bin_s: float
    hits: Int[np.ndarray, " channel"]
    """Spikes with a detection of their own."""
    misses: Int[np.ndarray, " channel"]
    """Spikes without."""
    false: Int[np.ndarray, " channel"]
    """Detections without a spike."""
    amplitude_v: Float[np.ndarray, " channel"]
    """Peak of the channels' spikes at the electrode. [V]"""


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """Voltage at the electrode as the converter gives it, for a figure."""

    time_s: Float[np.ndarray, " sample"]
    volts: Float32[np.ndarray, "channel sample"]
    threshold_v: float
    """What the voltage has to fall below, negative."""
    event_s: tuple[Float[np.ndarray, " _"], ...]
    """Detections of each channel."""


def simulate(
    trains: SpikeTrains,
    implant: Implant,
    rng: np.random.Generator,
    *,
    bin_s: float | None = None,
    amplitude_v: Float[np.ndarray, " channel"] | None = None,
    threads: int = 2,
) -> Broadband:
    """Detect spikes in sampled voltage, sample by sample.

    Each channel has noise of the amplifier's spectrum with what a multiplexer folds, spikes of its
    unit at any place between two samples, a converter that rounds and clips, a threshold with dead
    time. Nothing of the voltage is kept, so that memory does not grow with the duration, but for
    the counts.

    Parameters
    ----------
    trains : SpikeTrains
        When the unit of each channel fires.
    implant : Implant
        With all that detection needs.
    rng : numpy.random.Generator
        Draws the amplitudes, and one seed from which every channel has a stream of its own.
    bin_s : float, optional
        Of the counts; default: one bin. [s]
    amplitude_v : float array, shape (channel,), optional
        Peak of each unit's spikes at the electrode; default: drawn from `array`. [V]
    threads : int
        Channels are shared out among them; the result does not depend on it.

    Returns
    -------
    Broadband
        Counts, and hits, misses and false alarms of each channel.

    Raises
    ------
    SpecError
        For what detection misses in the implant, for threads below 1, and for a bin shorter than
        a sample.
    """
    run = _Run.begin(trains, implant, rng, amplitude_v)
    bin_s = trains.duration_s if bin_s is None else bin_s
    if bin_s * run.chain.sample_rate_hz < 1 - 1e-9:
        raise SpecError(
            f"bin_s: {bin_s:g} s is shorter than a sample at {run.chain.sample_rate_hz:g} Hz, "
            f"{1 / run.chain.sample_rate_hz:g} s; raise it"
        )
    n_bins = max(1, int(np.ceil(trains.duration_s / bin_s - 1e-9)))
    counts = np.zeros((n_bins, trains.n_channels), dtype=np.int32)
    hits = np.zeros(trains.n_channels, dtype=np.int64)
    for span in run.spans(threads):
        bins = (span.sample / (run.chain.sample_rate_hz * bin_s) + 1e-9).astype(np.int64)
        np.add.at(counts, (np.minimum(bins, n_bins - 1), span.channel), 1)
        hits += span.hits
    n_spikes = np.diff(trains.start)
    false = counts.sum(axis=0) - hits
    return Broadband(counts, bin_s, hits, n_spikes - hits, false, run.amplitude_v)


def voltage(
    trains: SpikeTrains,
    implant: Implant,
    rng: np.random.Generator,
    *,
    amplitude_v: Float[np.ndarray, " channel"] | None = None,
) -> Excerpt:
    """Give the voltage that `simulate` finds its events in, of all channels and samples.

    Parameters
    ----------
    trains : SpikeTrains
        When the unit of each channel fires; few channels, a short time.
    implant : Implant
        With all that detection needs.
    rng : numpy.random.Generator
        In the same state it gives the same voltage as in `simulate`.
    amplitude_v : float array, shape (channel,), optional
        Peak of each unit's spikes at the electrode; default: drawn from `array`. [V]

    Returns
    -------
    Excerpt
        Voltage, threshold and events.

    Raises
    ------
    SpecError
        As `simulate`, and for more than 2^26 values.
    """
    run = _Run.begin(trains, implant, rng, amplitude_v)
    if run.n_samples * trains.n_channels > _LONGEST_EXCERPT:
        raise SpecError(
            f"voltage: {trains.n_channels} channels for {trains.duration_s:g} s are "
            f"{run.n_samples * trains.n_channels} values, more than {_LONGEST_EXCERPT}; take "
            "fewer channels or a shorter time"
        )
    volts = np.empty((trains.n_channels, run.n_samples), dtype=np.float32)
    found = list(run.spans(1, volts))
    sample = np.concatenate([span.sample for span in found])
    where = np.concatenate([span.channel for span in found])
    rate = run.chain.sample_rate_hz
    events = tuple(sample[where == c] / rate for c in range(trains.n_channels))
    return Excerpt(np.arange(run.n_samples) / rate, volts, -run.chain.threshold_v, events)


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """Events of all channels in one span of time."""

    sample: Int[np.ndarray, " event"]
    channel: Int[np.ndarray, " event"]
    hits: Int[np.ndarray, " channel"]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Everything that the kernel works on."""

    chain: Channel
    n_samples: int
    amplitude_v: Float[np.ndarray, " channel"]
    trains: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    state: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def begin(
        cls,
        trains: SpikeTrains,
        implant: Implant,
        rng: np.random.Generator,
        amplitude_v: Float[np.ndarray, " channel"] | None,
    ) -> _Run:
        """Turn times into samples, and give each channel its generator."""
        chain, n = channel(implant), trains.n_channels
        for_amplitudes, for_noise = rng.spawn(2)
        if amplitude_v is None:
            amplitude_v = amplitudes_v(implant, n, for_amplitudes)
        if len(amplitude_v) != n or not (amplitude_v >= 0).all():
            raise SpecError(
                f"amplitude_v: {len(amplitude_v)} of them for {n} channels; give each channel "
                "one, 0 V or more"
            )
        rate = chain.sample_rate_hz
        delay_s = implant.multiplexer.delays_s(n, implant.n_electrodes(n), rate)
        place = np.repeat(-delay_s, np.diff(trains.start)) + trains.time_s
        sample, phase = np.divmod(np.floor(place * (rate * PHASES)).astype(np.int64), PHASES)
        spikes = (trains.start, sample - chain.shape.origin, phase, amplitude_v.astype(np.float32))
        root = chain.noise_v * process(1 / rate, chain.band_hz, chain.white).root
        seed = for_noise.integers(0, 2**64, dtype=np.uint64)
        streams, memory = kernels.start_streams(seed, n, np.ascontiguousarray(root))
        held = np.zeros((n, 4), dtype=np.int64)
        held[:, 1] = -1
        n_samples = max(1, round(trains.duration_s * rate))
        return cls(chain, n_samples, amplitude_v, spikes, (streams, memory, held))

    def _detector(self) -> tuple[np.ndarray, np.float32, np.float32, np.float32, float, int]:
        chain = self.chain
        noise = process(1 / chain.sample_rate_hz, chain.band_hz, chain.white).coefficients
        noise[4] *= chain.noise_v
        codes = np.float32(chain.codes)
        ends = -codes, codes - np.float32(1)
        return noise, np.float32(chain.lsb_v), *ends, chain.threshold_v, chain.dead_samples

    def spans(
        self, threads: int, volts: Float32[np.ndarray, "channel sample"] | None = None
    ) -> Iterator[_Span]:
        """Run all channels through one span of samples after the other."""
        if threads < 1:
            raise SpecError(f"threads: {threads}; at least 1 has to do the work")
        n = len(self.amplitude_v)
        edges = np.linspace(0, n, min(threads, n) + 1).astype(int)
        # an event needs a sample above the threshold before it
        room = _SPAN // max(2, self.chain.dead_samples + 1) + 1
        events = np.empty((n, room), dtype=np.int64)
        shape = np.ascontiguousarray(self.chain.shape.template.astype(np.float32))
        window, detector = self.chain.shape.window, self._detector()
        kept = np.empty((0, 0), dtype=np.float32) if volts is None else volts
        given = self.trains, (shape, *window), detector, self.state
        parts = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
        with ThreadPoolExecutor(len(parts)) as pool:
            for begin in range(0, self.n_samples, _SPAN):
                span = begin, min(_SPAN, self.n_samples - begin)
                jobs = [
                    pool.submit(kernels.detect_events, p, span, *given, events, kept)
                    for p in parts
                ]
                yield _gather([job.result() for job in jobs], events)


def _gather(
    found: list[tuple[np.ndarray, np.ndarray]], events: Int[np.ndarray, "channel place"]
) -> _Span:
    n_events = np.concatenate([n for n, _ in found])
    filled = np.arange(events.shape[1]) < n_events[:, None]
    of = np.repeat(np.arange(len(n_events)), n_events)
    return _Span(events[filled], of, np.concatenate([hits for _, hits in found]))
