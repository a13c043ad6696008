"""A slow twin of each compiled kernel, written from its docstring alone."""

from __future__ import annotations

import itertools
import math

import numpy as np

WORD = 2**64


def _mix(state: int) -> int:
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


class SplitMix:
    """Python integers, so that nothing can overflow unseen."""

    def __init__(self, seed: int, row: int) -> None:
        self.state = _mix((seed + (row + 1) * 0xD1342543DE82EF95) % WORD)

    def word(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % WORD
        return _mix(self.state)

    def below(self, n: int) -> int:
        """Uniform in [0, n): the high half of a product, rejected where its low half is short."""
        while True:
            product = (self.word() >> 32) * n
            if product % 2**32 >= 2**32 % n:
                return product >> 32

    def unit(self) -> float:
        return (self.word() >> 11) * 2.0**-53


def random_subsets(seed: int, n_rows: int, n_channels: int, k: int) -> np.ndarray:
    observed = np.zeros((n_rows, n_channels), dtype=bool)
    few = min(k, n_channels - k)
    for row in range(n_rows):
        rng, chosen = SplitMix(seed, row), set()
        for j in range(n_channels - few, n_channels):
            draw = rng.below(j + 1)
            chosen.add(j if draw in chosen else draw)
        if k > n_channels - k:
            chosen = set(range(n_channels)) - chosen
        observed[row, sorted(chosen)] = True
    return observed


def random_grouped(seed, n_rows, start, members, take, k) -> np.ndarray:
    observed = np.zeros((n_rows, len(members)), dtype=bool)
    for row in range(n_rows):
        rng, wanted = SplitMix(seed, row), k
        for g in range(len(start) - 1):
            if wanted and rng.unit() < take[g, wanted]:
                group = list(members[start[g] : start[g + 1]])
                observed[row, group[rng.below(len(group))]] = True
                wanted -= 1
    return observed


def round_robin(n_rows, start, members, k) -> np.ndarray:
    groups = [list(members[a:b]) for a, b in itertools.pairwise(start)]
    observed = np.zeros((n_rows, len(members)), dtype=bool)
    for place in range(n_rows * k):
        visit, g = divmod(place, len(groups))
        observed[place // k, groups[g][visit % len(groups[g])]] = True
    return observed


def _runs(column: np.ndarray) -> list[tuple[bool, int, int]]:
    """(value, first, last + 1) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(column.astype(int))) + 1), len(column)]
    return [(bool(column[a]), int(a), int(b)) for a, b in itertools.pairwise(edges)]


def gate(needed, least_gap):
    n_rows, n_units = needed.shape
    on, wakes = np.zeros(n_units, dtype=int), np.zeros(n_units, dtype=int)
    woken = np.zeros(needed.shape, dtype=bool)
    for u in range(n_units):
        if not needed[:, u].any():
            continue
        for value, a, b in _runs(needed[:, u]):
            if value or b - a < least_gap:
                on[u] += b - a
            else:
                wakes[u] += 1
                if b < n_rows:
                    woken[b, u] = True
    return on, wakes, woken


def warm_ups(sampled, limit):
    before = np.zeros(len(sampled))
    for c in range(sampled.shape[1]):
        for value, a, b in _runs(sampled[:, c]):
            if not value and b < len(sampled):
                before[b] += min(b - a, limit)
    return before


def switches_shared(sampled, group, n_groups):
    loads = [[int(row[group == g].sum()) for g in range(n_groups)] for row in sampled]
    return sum(load for row in loads for load in row if load > 1)


def switches_held(sampled, group, n_groups):
    total = 0
    for g in range(n_groups):
        held = [int(c) for row in sampled for c in np.flatnonzero(row & (group == g))]
        total += sum(a != b for a, b in itertools.pairwise(held))
    return total


def tally(counts, sampled):
    kept = np.where(sampled, counts, 0)
    return sampled.sum(axis=1), kept.sum(axis=1), int(kept.max(initial=0))


def histogram(counts, sampled, largest):
    sent = counts[sampled].tolist()
    return np.array([sent.count(value) for value in range(largest + 1)])


def code_bits(counts, sampled, lengths):
    return np.where(sampled, np.asarray(lengths)[counts], 0).sum(axis=1)


def _spike_time(seed, row, channel, spike):
    state = (_mix((seed + (row + 1) * 0xD1342543DE82EF95) % WORD)) % WORD
    state = (state + channel * 0x2545F4914F6CDD1D) % WORD
    return (_mix((_mix(state) + (spike + 1) * 0x9E3779B97F4A7C15) % WORD) >> 11) * 2.0**-53


def settle(sampled, woken, warm_steps, wake_steps):
    valid = np.zeros(sampled.shape, dtype=np.float32)
    for c in range(sampled.shape[1]):
        for value, a, b in _runs(sampled[:, c]):
            if not value:
                continue
            left = warm_steps if a > 0 else 0.0
            for step in range(a, b):
                left += wake_steps if len(woken) and woken[step, c] else 0.0
                lost = min(left, 1.0)
                left -= lost
                valid[step, c] = 1.0 - lost
    return valid


def deliver(seed, counts, valid, steps_per_bin):
    kept, exposure = np.zeros_like(counts), np.zeros(counts.shape, dtype=np.float32)
    for b, c in np.ndindex(*counts.shape):
        steps = valid[b * steps_per_bin : (b + 1) * steps_per_bin, c]
        exposure[b, c] = steps.astype(float).sum() / steps_per_bin
        for spike in range(counts[b, c]):
            place = _spike_time(seed, b, c, spike) * steps_per_bin
            part = min(int(place), steps_per_bin - 1)
            kept[b, c] += steps[part] > 0 and place - part >= 1.0 - steps[part]
    return kept, exposure


def spikes_in_step(seed, counts, step, steps_per_bin, channels):
    b, part = divmod(step, steps_per_bin)
    return np.array(
        [
            sum(
                min(int(_spike_time(seed, b, int(c), n) * steps_per_bin), steps_per_bin - 1)
                == part
                for n in range(counts[b, c])
            )
            for c in channels
        ],
        dtype=np.int64,
    )


def send_on_change(counts, sampled, least_change):
    held, sent = np.zeros_like(counts), np.zeros(sampled.shape, dtype=bool)
    for c in range(counts.shape[1]):
        last = 0
        for b in np.flatnonzero(sampled[:, c]):
            if abs(int(counts[b, c]) - last) >= least_change:
                last, sent[b, c] = int(counts[b, c]), True
            held[b, c] = last
    return held, sent


def hold(counts, arrived):
    held = np.zeros_like(counts)
    for b, c in np.ndindex(counts.shape):
        before = np.flatnonzero(arrived[: b + 1, c])
        held[b, c] = counts[before[-1], c] if len(before) else 0
    return held


def _in_order(order, group, taken, k):
    """The first k, at most one of a group; marks the groups taken."""
    chosen = []
    for c in order:
        if len(chosen) < k and group[c] not in taken:
            chosen.append(int(c))
            taken.add(group[c])
    return chosen


def top_channels(score, last, group, n_groups, k, n_oldest):
    channels, taken = range(len(score)), set()
    oldest = _in_order(sorted(channels, key=lambda c: (last[c], c)), group, taken, n_oldest)
    best = sorted(channels, key=lambda c: (-score[c], last[c], c))
    return np.array(oldest + _in_order(best, group, taken, k - n_oldest))


def most_informative(covariance, loadings, noise, last, group, n_groups, k, n_oldest):
    """By determinants of the information matrix, each inverted anew."""
    information, chosen, taken = np.linalg.inv(covariance), [], set()
    for place in range(k):
        free = [c for c in range(len(noise)) if group[c] not in taken]
        free.sort(key=lambda c: (last[c], c))
        if place >= n_oldest:
            gains = [
                np.linalg.slogdet(information + np.outer(loadings[c], loadings[c]) / noise[c])[1]
                for c in free
            ]
            free = [free[int(np.argmax(gains))]]
        chosen.append(free[0])
        taken.add(group[free[0]])
        information += np.outer(loadings[free[0]], loadings[free[0]]) / noise[free[0]]
    return np.array(chosen), np.linalg.inv(information)


def forecast_gain(counts, shape, rate, usual_shape, usual_rate):
    from scipy.stats import nbinom

    fresh = nbinom.logpmf(counts, shape, rate / (rate + 1))
    return fresh - nbinom.logpmf(counts, usual_shape, usual_rate / (usual_rate + 1))


def bernoulli(seed, n_rows, start, members, probability):
    observed, dropped = np.zeros((n_rows, len(members)), dtype=bool), 0
    for row in range(n_rows):
        rng = SplitMix(seed, row)
        for a, b in itertools.pairwise(start):
            drawn, held = 0, None
            for channel in members[a:b]:
                if rng.unit() < probability:
                    drawn += 1
                    if drawn == 1 or rng.below(drawn) == 0:
                        held = channel
            if drawn:
                observed[row, held] = True
                dropped += drawn - 1
    return observed, dropped


def _below(x):
    return math.floor(min(x, 1e15) + 1e-9)


def _above(x):
    return math.ceil(min(x, 1e15) - 1e-9)


def weighted(n_rows, start, members, rate, k):
    groups = [list(range(a, b)) for a, b in itertools.pairwise(start)]
    total = [rate[own[0] : own[-1] + 1].sum() for own in groups]
    turns, visits = [0] * len(groups), [0] * len(members)
    observed = np.zeros((n_rows, len(members)), dtype=bool)

    def urgency(g):
        r, n = total[g], turns[g] + 1
        deadline = _above(n / r)
        overlap = deadline > _below(n / r)
        chain = _above(_above(deadline * (1 - r)) / (1 - r)) if 0.5 <= r < 1 - 1e-9 else 0
        return deadline, not overlap, -chain, g

    def opens(g):
        return _below(turns[g] / total[g])

    for row in range(n_rows):
        used = [g for g in range(len(groups)) if total[g] > 0]
        due = sorted((g for g in used if opens(g) <= row), key=urgency)
        early = sorted((g for g in used if opens(g) > row), key=lambda g: (opens(g), g))
        for g in (due + early)[:k]:
            own = [(i, rate[i] / total[g]) for i in groups[g] if rate[i] > 0]
            i = min(
                own,
                key=lambda pair: (
                    _below(visits[pair[0]] / pair[1]) > turns[g],
                    _above((visits[pair[0]] + 1) / pair[1]),
                    pair[0],
                ),
            )[0]
            observed[row, members[i]] = True
            visits[i] += 1
            turns[g] += 1
    return observed


def first_shared(sampled, group, n_groups):
    for row, line in enumerate(sampled):
        seen = {}
        for c in np.flatnonzero(line):
            if group[c] in seen:
                return row, seen[group[c]], int(c)
            seen[group[c]] = int(c)
    return -1, -1, -1


def revisits(sampled):
    rows = [np.flatnonzero(sampled[:, c]) for c in range(sampled.shape[1])]
    longest = [int(np.diff(r).max()) if len(r) > 1 else 0 for r in rows]
    return (
        np.array([len(r) for r in rows]),
        np.array([r[0] if len(r) else -1 for r in rows]),
        np.array([r[-1] if len(r) else -1 for r in rows]),
        np.array(longest),
        int((sampled[1:] & ~sampled[:-1]).sum()),
    )


def canonical(lengths) -> dict[int, str]:
    """Code word of each value: those of equal length count up in the order of their values."""
    words, code, last = {}, 0, 0
    for length, value in sorted((int(n), v) for v, n in enumerate(lengths) if n):
        code <<= length - last
        words[value] = format(code, f"0{length}b")
        code, last = code + 1, length
    return words


def words(kind, sent, huffman_lengths=None) -> dict[int, str]:
    """Code word of each value from 0 to the largest of those sent."""
    largest = max(sent, default=0)
    if kind == "huffman":
        return canonical(huffman_lengths)
    if kind == "counts":
        width = max(1, largest.bit_length())
        return {v: format(v, f"0{width}b") for v in range(largest + 1)}
    tables = [
        {v: "1" * (v >> s) + "0" + (format(v % 2**s, f"0{s}b") if s else "") for v in range(1000)}
        for s in range(9)
    ]
    return min(tables, key=lambda table: sum(len(table[v]) for v in sent))


def read_values(text, table, n) -> tuple[list[int], str]:
    """The first n values, and the rest of the text."""
    back, values = {word: value for value, word in table.items()}, []
    while len(values) < n:
        end = next(i for i in range(1, len(text) + 1) if text[:i] in back)
        values.append(back[text[:end]])
        text = text[end:]
    return values, text


def write_number(number, width) -> str:
    return format(number, f"0{width}b") if width else ""


def read_number(text, width) -> tuple[int, str]:
    return int(text[:width] or "0", 2), text[width:]


def write_aer(values, width) -> str:
    """Number of spikes, then the place of each; nothing where no channel is sampled."""
    if not values:
        return ""
    address = (len(values) - 1).bit_length()
    spikes = [place for place, v in enumerate(values) for _ in range(v)]
    return write_number(len(spikes), width) + "".join(write_number(p, address) for p in spikes)


def read_aer(text, width, n) -> list[int]:
    values = [0] * n
    if n == 0:
        return values
    spikes, text = read_number(text, width)
    for _ in range(spikes):
        place, text = read_number(text, (n - 1).bit_length())
        values[place] += 1
    return values


def write_places(kind, channels, n_electrodes, width) -> str:
    """Which channels are sent, to one who does not know: a list of addresses, or a map."""
    if kind == "bitmap":
        return "".join("1" if c in channels else "0" for c in range(n_electrodes))
    address = (n_electrodes - 1).bit_length()
    return write_number(len(channels), width) + "".join(write_number(c, address) for c in channels)


def read_places(kind, text, n_electrodes, width) -> tuple[list[int], str]:
    if kind == "bitmap":
        told, text = text[:n_electrodes], text[n_electrodes:]
        return [c for c, bit in enumerate(told) if bit == "1"], text
    n, text = read_number(text, width)
    channels = []
    for _ in range(n):
        channel, text = read_number(text, (n_electrodes - 1).bit_length())
        channels.append(channel)
    return channels, text


def fullest(bits, bin_s, frame_s, after_s) -> float:
    """The most bits held: bins come in at their ends, a frame leaves whole once it is out.

    `after_s` is when each frame is out, counted from its end.
    """
    per_frame, most = round(frame_s / bin_s), 0
    out = [(j + 1) * frame_s + t for j, t in enumerate(after_s)]
    for j, now in enumerate(out):
        held = 0
        for i, n_bits in enumerate(bits):
            come = i // per_frame <= j or (i + 1) * bin_s < now - 1e-9
            gone = out[i // per_frame] < now - 1e-12
            held += n_bits if come and not gone else 0
        most = max(most, held)
    return most


class Ziggurat(SplitMix):
    """Layers of equal area under exp(-x^2 / 2), 256 of them; the lowest holds the tail."""

    edge = 3.6541528853610088
    area = edge * math.exp(-(edge**2) / 2) + math.sqrt(math.pi / 2) * math.erfc(
        edge / math.sqrt(2)
    )

    def __init__(self, seed: int, row: int) -> None:
        super().__init__(seed, row)
        self.x = [self.area / math.exp(-(self.edge**2) / 2), self.edge]
        self.f = [1.0, math.exp(-(self.edge**2) / 2)]
        for _ in range(254):
            self.f.append(self.f[-1] + self.area / self.x[-1])
            self.x.append(math.sqrt(-2 * math.log(self.f[-1])))
        self.x, self.f = [*self.x, 0.0], [*self.f, 1.0]

    def positive(self) -> float:
        return ((self.word() >> 11) + 1) * 2.0**-53

    def tail(self) -> float:
        while True:
            x = -math.log(self.positive()) / self.edge
            if -2 * math.log(self.positive()) >= x * x:
                return self.edge + x

    def normal(self) -> float:
        while True:
            word = self.word()
            layer, x = word % 256, (word >> 11) * 2.0**-53
            inside = x < self.x[layer + 1] / self.x[layer]
            x *= self.x[layer]
            if not inside and layer == 0:
                x, inside = self.tail(), True
            elif not inside:
                low, high = self.f[layer : layer + 2]
                inside = low + self.positive() * (high - low) < math.exp(-0.5 * x * x)
            if inside:
                return -x if word & 256 else x


def normals(seed, row, n) -> np.ndarray:
    stream = Ziggurat(seed, row)
    return np.array([stream.normal() for _ in range(n)])


def tails(seed, row, n) -> np.ndarray:
    stream = Ziggurat(seed, row)
    return np.array([stream.tail() for _ in range(n)])


def start_streams(seed, n_channels, root):
    """Streams themselves, not their states, after four draws each; and what the draws give."""
    streams = [Ziggurat(seed, c) for c in range(n_channels)]
    return streams, np.array([root @ [s.normal() for _ in range(4)] for s in streams])


def detect_events(n, trains, shape, detector, streams, memory):
    """Voltage, events and hits of all channels, from the first of n samples on."""
    volts = np.zeros((len(streams), n), dtype=np.float32)
    events, hits = [], []
    for c, stream in enumerate(streams):
        noise(volts[c], stream, memory[c], detector[0])
        own = slice(trains[0][c], trains[0][c + 1])
        add_troughs(volts[c], trains[1][own], trains[2][own], shape[0], trains[3][c])
        round_to_codes(volts[c], *detector[1:4])
        events.append(crossings(volts[c], *detector[4:]))
        hits.append(matches(events[c], trains[1][own], *shape[1:]))
    return volts, events, hits


def noise(out, stream, memory, process):
    a1, a2, b1, b2, scale = process
    x, e = [memory[1], memory[0]], [memory[3], memory[2]]  # the last value comes last
    for i in range(len(out)):
        e.append(stream.normal() * scale)
        x.append(a1 * x[-1] + (a2 * x[-2] + (e[-1] + b1 * e[-2] + b2 * e[-3])))
        out[i] = x[-1]


def add_troughs(volts, sample, phase, template, amplitude):
    for s, p in zip(sample, phase, strict=True):
        for j, height in enumerate(template[p]):
            if 0 <= s + j < len(volts):
                volts[s + j] -= amplitude * height


def round_to_codes(volts, lsb, lowest, highest):
    if lsb > 0:
        volts[:] = np.clip(np.round(volts * (np.float32(1) / lsb)), lowest, highest) * lsb


def crossings(volts, threshold, dead) -> list[int]:
    events = []
    for i, v in enumerate(volts):
        falls = v <= -threshold and (i == 0 or volts[i - 1] > -threshold)
        if falls and (not events or i - events[-1] > dead):
            events.append(i)
    return events


def matches(events, sample, first, last) -> int:
    free = list(sample)
    for event in events:
        spike = next((s for s in free if s + first <= event <= s + last), None)
        if spike is not None:
            free.remove(spike)
    return len(sample) - len(free)


def _lists(channels, size) -> list[list[int]]:
    edges = [0, *np.cumsum(size)]
    return [[int(c) for c in channels[a:b]] for a, b in itertools.pairwise(edges)]


def subset_lists(seed, first, n_rows, n_channels, k, drawn):
    mask = random_subsets(seed, first + n_rows, n_channels, k)[first:]
    return np.nonzero(mask)[1]


def grouped_lists(seed, first, n_rows, start, members, take, k):
    mask = random_grouped(seed, first + n_rows, start, members, take, k)[first:]
    return np.nonzero(mask)[1]


def pauses(units, size, first, seen, span, least_gap, limit):
    last = {unit: int(row) for unit, (row, _) in enumerate(seen)}
    rows, of_row = [], np.zeros(len(size))
    for i, line in enumerate(_lists(units, size)):
        for unit in dict.fromkeys(line):
            gap = first + i - last[unit] - 1
            rows.append((gap, last[unit] < 0))
            of_row[i] += min(gap * span, limit)
            last[unit] = first + i
            seen[unit] = first + i, seen[unit][1] + 1
    gaps = [gap for gap, _ in rows]
    total = [
        sum(gap > 0 for gap in gaps),
        sum(gap for gap in gaps if gap * span < least_gap),
        sum(gap * span >= least_gap for gap in gaps),
        sum(gap for gap in gaps if gap * span <= limit),
        sum(gap * span > limit for gap in gaps),
        sum(gap for gap, is_first in rows if is_first),
    ]
    between = max((gap for gap, is_first in rows if not is_first), default=0)
    return np.array(total), between, max(gaps, default=0), of_row


def settled(channels, size, first, unit_of, last, last_unit, left, least_gap, warm, wake):
    lines, n_rows = _lists(channels, size), first + len(size)
    mask = np.zeros((n_rows, len(unit_of)), dtype=bool)
    for i, line in enumerate(lines):
        mask[first + i, line] = True
    needed = np.stack([mask[:, unit_of == u].any(axis=1) for u in range(len(last_unit))], axis=1)
    woken = gate(needed, least_gap)[2][:, unit_of]
    valid = settle(mask, woken, warm, wake)
    return np.array([valid[first + i, c] for i, line in enumerate(lines) for c in line])


def changes_in(channels, group, held):
    total = 0
    for c in channels:
        total += held[group[c]] not in (-1, c)
        held[group[c]] = c
    return total


def shared_in(channels, size, group, load):
    lines = [[group[c] for c in line] for line in _lists(channels, size)]
    return sum(line.count(g) for line in lines for g in set(line) if line.count(g) > 1)


def drawn_counts(seed, first, rows_per_bin, channels, size, mean, quiet, times):
    counts, spikes = [], []
    for i, line in enumerate(_lists(channels, size)):
        of_row = []
        for c in line:
            state = _mix((seed + ((first + i) // rows_per_bin + 1) * 0xD1342543DE82EF95) % WORD)
            u = (_mix((state + c * 0x2545F4914F6CDD1D) % WORD) >> 11) * 2.0**-53
            n, share, below = 0, quiet[c], quiet[c]
            while u >= below and n < len(times) - 1:
                n += 1
                share = share * mean[c] / n
                below += share
            of_row.append(n)
            times[n] += n > 0
        counts += of_row
        spikes.append(sum(of_row))
    return np.array(counts), np.array(spikes)


def picked_counts(table, first, rows_per_bin, channels, size, times):
    lines = _lists(channels, size)
    of_rows = [
        [int(table[(first + i) // rows_per_bin, c]) for c in v] for i, v in enumerate(lines)
    ]
    counts = list(itertools.chain(*of_rows))
    for n in counts:
        times[n] += n > 0
    return np.array(counts), np.array([sum(row) for row in of_rows])


def thinned(seed, first, rows_per_bin, channels, size, counts, valid):
    kept, at = [], 0
    for i, line in enumerate(_lists(channels, size)):
        b, part = divmod(first + i, rows_per_bin)
        for c in line:
            places = [_spike_time(seed, b, c, n) * rows_per_bin for n in range(counts[at])]
            here = [p - part for p in places if min(int(p), rows_per_bin - 1) == part]
            kept.append(sum(valid[at] > 0 and p >= 1.0 - valid[at] for p in here))
            at += 1
    return np.array(kept)


def merge_steps(channels, size, counts, valid, rows_per_bin, place):
    total, exposed, of_bin, at = [], [], [], 0
    lines = _lists(channels, size)
    for b in range(len(lines) // rows_per_bin):
        in_bin: dict[int, list[float]] = {}
        for line in lines[b * rows_per_bin : (b + 1) * rows_per_bin]:
            for c in line:
                found = in_bin.setdefault(c, [0, 0.0])
                found[0] += counts[at]
                found[1] += float(valid[at])
                at += 1
        total += [n for n, _ in in_bin.values()]
        exposed += [share / rows_per_bin for _, share in in_bin.values()]
        of_bin.append(len(in_bin))
    return np.array(total), np.array(exposed, dtype=np.float32), np.array(of_bin)


def tally_lists(counts, size, times):
    for n in counts:
        times[n] += n > 0
    return np.array([sum(line) for line in _lists(counts, size)])


def lengths_of(counts, size, lengths):
    return np.array([sum(lengths[n] for n in line) for line in _lists(counts, size)])
