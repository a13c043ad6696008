"""Sampled voltage of 1,024 channels at 20 kHz: against real time, and against plain NumPy.

    python benchmarks/speed/broadband.py [--write]

Both draw noise of the amplifier's spectrum, add spikes, round to codes, compare with a threshold
and keep to the dead time. NumPy works on all channels at once, one sample after the other, since
filter and dead time look back; it adds spikes by fancy indexing. Both run in the same process, by
turns, and the best wall time of each is compared. `--write` renews broadband.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from implant_sim.hardware.broadband import simulate  # noqa: E402
from implant_sim.hardware.channel import PHASES, channel  # noqa: E402
from implant_sim.hardware.implant import Implant  # noqa: E402
from implant_sim.hardware.physics.sampled_noise import process  # noqa: E402
from implant_sim.hardware.trains import SpikeTrains  # noqa: E402

N_CHANNELS, RATE_HZ, DURATION_S, FIRING_HZ = 1024, 20e3, 3.0, 10.0
BLOCK, ROUNDS, TARGET = 2000, 8, 2.0
WITH_NUMPY_S = 0.5  # it takes as long for every second

SOURCE = {"text": "made up for a benchmark", "kind": "recalled"}
IMPLANT = Implant.model_validate(
    {
        "name": "broadband",
        "array": {
            "area": "25 mm2", "spike_amplitude": "60 uV", "spike_spread": 0.4,
            "background_noise": "7 uV", "source": SOURCE,
        },
        "amplifier": {
            "kind": "nef", "nef": 4, "noise": "5 uV", "band": ["300 Hz", "6 kHz"], "gain": 1000,
            "supply": "1.8 V", "source": SOURCE,
        },
        "adc": {
            "kind": "walden", "fom": "40 fJ", "bits": 10, "sample_rate": RATE_HZ,
            "full_scale": "1 V", "source": SOURCE,
        },
        "processing": {
            "feature": "threshold", "threshold_sigma": 4, "detector": "energy_28nm",
            "source": SOURCE,
        },
        "radio": {"kind": "uwb"},
        "overhead": {"power": "1 mW", "source": SOURCE},
    }
)  # fmt: skip


def by_numpy(trains: SpikeTrains, rng: np.random.Generator) -> np.ndarray:
    """Detections of each channel, in float32, block by block."""
    chain, n = channel(IMPLANT), trains.n_channels
    a1, a2, b1, b2, scale = process(1 / RATE_HZ, chain.band_hz, chain.white).coefficients.astype(
        np.float32
    )
    amplitude = rng.lognormal(np.log(60e-6), 0.4, n).astype(np.float32)
    template = chain.shape.template.astype(np.float32)
    length = template.shape[1]
    sample, phase = np.divmod((trains.time_s * RATE_HZ * PHASES).astype(np.int64), PHASES)
    sample, of = sample - chain.shape.origin, np.repeat(np.arange(n), np.diff(trains.start))
    x1, x2, e1, e2 = (np.zeros(n, np.float32) for _ in range(4))
    below, silent_to = np.zeros(n, bool), np.full(n, -1)
    found, n_samples = np.zeros(n, np.int64), round(trains.duration_s * RATE_HZ)
    for begin in range(0, n_samples, BLOCK):
        noise = rng.standard_normal((BLOCK, n), dtype=np.float32)
        noise *= scale * np.float32(chain.noise_v)
        volts = np.empty((BLOCK, n), np.float32)
        for i, e in enumerate(noise):
            x = a1 * x1 + a2 * x2 + e + b1 * e1 + b2 * e2
            x1, x2, e1, e2 = x, x1, e, e1
            volts[i] = x
        here = np.flatnonzero((sample + length > begin) & (sample < begin + BLOCK))
        at = (sample[here] - begin)[:, None] + np.arange(length)
        values = amplitude[of[here], None] * template[phase[here]]
        inside = (at >= 0) & (at < BLOCK)
        where = np.broadcast_to(of[here, None], at.shape)[inside]
        np.subtract.at(volts, (at[inside], where), values[inside])
        codes = np.clip(np.rint(volts / np.float32(chain.lsb_v)), -chain.codes, chain.codes - 1)
        volts = codes * np.float32(chain.lsb_v)
        for i, v in enumerate(volts):
            was, below = below, v <= -chain.threshold_v
            event = below & ~was & (begin + i > silent_to)
            if event.any():
                found += event
                silent_to[event] = begin + i + chain.dead_samples
    return found


def seconds(work) -> tuple[float, float]:
    """On the wall, and of the processors: the latter counts no other programs."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def measure() -> dict[str, tuple[float, float]]:
    """How many seconds of signal each makes in a second, and in one of a processor."""
    rng = np.random.default_rng(0)
    rates = np.full(N_CHANNELS, FIRING_HZ)
    long, short = (SpikeTrains.poisson(rates, s, rng) for s in (DURATION_S, WITH_NUMPY_S))
    ours = simulate(short, IMPLANT, rng)  # compiles
    theirs = by_numpy(short, rng)
    gap = abs(int(ours.counts.sum()) - int(theirs.sum())) / theirs.sum()
    assert gap < 0.05, f"the two find different numbers of spikes, {gap:.1%} apart"
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, length_s, work in (
            ("plain NumPy, one thread", WITH_NUMPY_S, lambda: by_numpy(short, rng)),
            ("kernels, one thread", DURATION_S, lambda: simulate(long, IMPLANT, rng, threads=1)),
            ("kernels, two threads", DURATION_S, lambda: simulate(long, IMPLANT, rng, threads=2)),
        ):
            wall_s, processor_s = seconds(work)
            old = best.get(name, (0.0, 0.0))
            best[name] = max(old[0], length_s / wall_s), max(old[1], length_s / processor_s)
    return best


def table(best: dict[str, tuple[float, float]]) -> str:
    numpy, _ = next(iter(best.values()))
    lines = [
        "| | Msamples/s | times real time | times NumPy | times real time, per core |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {x * N_CHANNELS * RATE_HZ / 1e6:.0f} | {x:.1f} | {x / numpy:.1f} | "
        f"{core:.1f} |"
        for name, (x, core) in best.items()
    ]
    return "\n".join(lines)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew broadband.md")
    write = parser.parse_args().write
    load = os.getloadavg()[0]
    best = measure()
    text = table(best)
    print(text)
    if write:
        Path(__file__).with_suffix(".md").write_text(
            "# Sampled voltage of many channels\n\n"
            f"{N_CHANNELS} channels at {RATE_HZ / 1e3:g} kHz: noise of the amplifier's spectrum, "
            f"spikes at {FIRING_HZ:g} Hz, a 10-bit\nconverter, a threshold with dead time. That "
            "kernels and closed forms agree is tested in\n`tests/hardware/test_broadband.py`.\n\n"
            "    python benchmarks/speed/broadband.py --write\n\n"
            f"{text}\n\n"
            f"Measured with numpy {version('numpy')}, numba {version('numba')}, Python "
            f"{platform.python_version()} on {processor()}, {os.cpu_count()} cores, best wall "
            f"time of {ROUNDS}, by turns in one process; per core by processor time, which other "
            f"programs take no part of. The machine's load before was {load:.1f}.\n",
            encoding="utf-8",
        )
    if best["kernels, two threads"][0] < TARGET:
        print(f"slower than {TARGET:g} times real time", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
