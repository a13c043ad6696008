"""Sampled voltage: noise of a given spectrum, spikes, the converter, a threshold."""

from __future__ import annotations

import math

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.masks import _GAMMA, _mix, _row_state

__all__ = ["detect_events", "normals", "start_streams", "tails"]

_LAYERS = 256
_EDGE = 3.6541528853610088  # where the tail begins, for 256 layers of equal area
_S11 = np.uint64(11)
_LAYER_BITS = np.uint64(_LAYERS - 1)
_SIGN_BIT = np.uint64(_LAYERS)
_TO_UNIT = 2.0**-53
_BLOCK = 4096  # samples of a channel worked on at a time: 16 kB, which stay in the nearest cache


def _layers():
    """Right edges of the layers of a ziggurat, and the density there (Marsaglia & Tsang 2000)."""
    area = _EDGE * math.exp(-(_EDGE**2) / 2) + math.sqrt(math.pi / 2) * math.erfc(
        _EDGE / math.sqrt(2)
    )
    edge, height = np.zeros(_LAYERS + 1), np.ones(_LAYERS + 1)
    edge[0] = area / math.exp(-(_EDGE**2) / 2)  # a box as large as the lowest layer with its tail
    edge[1], height[1] = _EDGE, math.exp(-(_EDGE**2) / 2)
    for i in range(2, _LAYERS):
        height[i] = height[i - 1] + area / edge[i - 1]
        edge[i] = math.sqrt(-2 * math.log(height[i]))
    return edge, height


_X, _F = _layers()
_INSIDE = np.append(_X[1:] / _X[:-1], 0.0)  # share of a layer that lies under the density whole


@kernel
def _unit(word):
    """Uniform in (0, 1], so that its logarithm is finite."""
    return (np.float64(word >> _S11) + 1.0) * _TO_UNIT


@kernel
def _tail(state):
    """Draw from the normal density beyond the last edge (Marsaglia 1964)."""
    while True:
        state += _GAMMA
        x = -math.log(_unit(_mix(state))) / _EDGE
        state += _GAMMA
        y = -math.log(_unit(_mix(state)))
        if 2 * y >= x * x:
            return _EDGE + x, state


@kernel
def _outside(state, layer, x):
    """Finish a draw that fell outside the safe part of its layer; a negative size asks again."""
    if layer == 0:
        return _tail(state)
    state += _GAMMA
    height = _F[layer] + _unit(_mix(state)) * (_F[layer + 1] - _F[layer])
    return (x if height < math.exp(-0.5 * x * x) else -1.0), state


@kernel
def _normal(state):
    """Draw from the standard normal distribution, and the next state."""
    while True:
        state += _GAMMA
        word = _mix(state)
        layer = np.int64(word & _LAYER_BITS)
        share = np.float64(word >> _S11) * _TO_UNIT
        size = share * _X[layer]
        if share >= _INSIDE[layer]:
            size, state = _outside(state, layer, size)
            if size < 0:
                continue
        return (-size if word & _SIGN_BIT else size), state


@kernel
def normals(seed, row, n):
    """Draw n standard normal numbers from the stream of a row."""
    state, out = _row_state(seed, row), np.empty(n)
    for i in range(n):
        out[i], state = _normal(state)
    return out


@kernel
def tails(seed, row, n):
    """Draw n numbers from the part of the ziggurat beyond its last edge."""
    state, out = _row_state(seed, row), np.empty(n)
    for i in range(n):
        out[i], state = _tail(state)
    return out


@kernel
def start_streams(seed, n_channels, root):
    """Set every channel's generator and put its noise into the steady state.

    ``root @ root.T`` is the covariance of the last two values and the last two innovations.
    """
    streams = np.empty(n_channels, dtype=np.uint64)
    memory = np.zeros((n_channels, 4))
    for c in range(n_channels):
        state = _row_state(seed, c)
        for j in range(4):
            draw, state = _normal(state)
            for i in range(4):
                memory[c, i] += root[i, j] * draw
        streams[c] = state
    return streams, memory


@kernel
def _fill_with_noise(volts, state, memory, process):
    """Fill with ``x = a1 x' + a2 x'' + e + b1 e' + b2 e''``, and keep the state for later."""
    a1, a2, b1, b2, scale = process[0], process[1], process[2], process[3], process[4]
    x1, x2, e1, e2 = memory[0], memory[1], memory[2], memory[3]
    for i in range(len(volts)):
        draw, state = _normal(state)
        e = draw * scale
        x = a1 * x1 + (a2 * x2 + (e + b1 * e1 + b2 * e2))
        x1, x2, e1, e2 = x, x1, e, e1
        volts[i] = x
    memory[0], memory[1], memory[2], memory[3] = x1, x2, e1, e2
    return state


@kernel
def _subtract_spikes(volts, begin, sample, phase, place, template, amplitude):
    """Add the troughs of the spikes that reach into a block; return the first still to come.

    ``template[p, j]`` belongs to j samples after that of the spike.
    """
    n, length = len(volts), template.shape[1]
    while place < len(sample) and sample[place] + length <= begin:
        place += 1
    s = place
    while s < len(sample) and sample[s] < begin + n:
        shift = sample[s] - begin
        shape = template[phase[s]]
        for j in range(max(0, -shift), min(length, n - shift)):
            volts[shift + j] -= amplitude * shape[j]
        s += 1
    return place


@kernel
def _convert(volts, lsb, lowest, highest):
    """Round to the codes of a converter, and clip at its ends."""
    per_lsb = np.float32(1) / lsb
    for i in range(len(volts)):
        volts[i] = min(max(np.rint(volts[i] * per_lsb), lowest), highest) * lsb


@kernel
def _cross(volts, begin, threshold, dead, held, events, n_events):
    """Find where a channel falls below minus the threshold, at least `dead` samples apart."""
    below, silent_to = held[0] == 1, held[1]
    for i in range(len(volts)):
        was, below = below, volts[i] <= -threshold
        if below and not was and begin + i > silent_to:
            events[n_events] = begin + i
            n_events += 1
            silent_to = begin + i + dead
    held[0], held[1] = np.int64(below), silent_to
    return n_events


@kernel
def _match(events, sample, first, last, place):
    """Give each event to the earliest spike whose window holds it and that has none yet."""
    hits = 0
    for event in events:
        while place < len(sample) and sample[place] + last < event:
            place += 1
        if place < len(sample) and sample[place] + first <= event:
            hits += 1
            place += 1
    return hits, place


@kernel
def detect_events(channels, span, trains, shape, detector, state, events, kept):
    """Run the detectors of some channels over a span of samples.

    Parameters are tuples: `channels` the first and the last but one; `span` the first sample and
    how many; `trains` where each channel's spikes begin, their samples, their phases, the
    channels' amplitudes; `shape` the template by phase and sample, and the first and last sample
    of the window that a detection may fall into; `detector` the noise process, least significant
    bit (0: none), lowest and highest code, threshold and dead samples; `state` the streams, the
    memory of the noise, and four numbers of each channel, 0 at first: below the threshold, silent
    to, the next spike to add, the next to match. Writes events and, where it has rows, the voltage
    into `kept`. Returns for each channel its events and those that hit a spike.
    """
    start_of, sample, phase, amplitude = trains
    template, first, last = shape
    process, lsb, lowest, highest, threshold, dead = detector
    streams, memory, held = state
    n = channels[1] - channels[0]
    n_events, hits = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    block = np.empty(min(_BLOCK, span[1]), dtype=np.float32)
    for row in range(n):
        c = channels[0] + row
        own = slice(start_of[c], start_of[c + 1])
        for done in range(0, span[1], _BLOCK):
            begin = span[0] + done
            volts = block[: min(_BLOCK, span[1] - done)]
            streams[c] = _fill_with_noise(volts, streams[c], memory[c], process)
            held[c, 2] = _subtract_spikes(
                volts, begin, sample[own], phase[own], held[c, 2], template, amplitude[c]
            )
            if lsb > 0:
                _convert(volts, lsb, lowest, highest)
            if len(kept):
                kept[c, begin : begin + len(volts)] = volts
            n_events[row] = _cross(
                volts, begin, threshold, dead, held[c], events[c], n_events[row]
            )
        found = events[c, : n_events[row]]
        hits[row], held[c, 3] = _match(found, sample[own], first, last, held[c, 3])
    return n_events, hits
