"""A made-up run folder, written the way a run writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from implant_sim.study.store import Entry, Outcome, RunFolder
from implant_sim.study.tables import write_tables

COMPONENTS = ("amplifier", "multiplexer", "adc", "processing", "radio", "delivery", "overhead")
SCHEDULES = {"random_subset": 0.0, "static_subset": 0.05, "full": 0.0}
N_TRIALS, N_BINS, N_CHANNELS = 12, 60, 24


def hardware(bandwidth: int) -> dict:
    share = bandwidth / N_CHANNELS
    watts = np.array([2e-4, 1e-5, 2.4e-4 * share, 4e-5 * share, 6e-4 * share, 3e-5, 1e-4])
    power = {f"power_{c}_w": float(w) for c, w in zip(COMPONENTS, watts, strict=True)}
    return power | {
        "power_w": sum(power.values()),
        "bandwidth": bandwidth,
        "sampled_fraction": share,
        "n_channels": N_CHANNELS,
        "bin_s": 0.05,
        "sample_rate_hz": 30e3,
        "link_rate_bps": 2e6 * share,
        "heat_k": 0.05 + 0.9 * share,
        "flux_w_m2": 30 + 300 * share,
        "battery_h": 40 / (0.3 + share),
        "latency_s": 0.05,
        "within_limits": share < 0.9,
        "limited_by": None if share < 0.9 else "heat",
        "margin": 0.9 - share,
    }


def energy(point_power: dict) -> list[dict]:
    price = {"amplifier": 1e-10, "adc": 5e-12, "radio": 4e-9}
    return [
        {
            "component": c,
            "action": "convert" if c == "adc" else "on",
            "count": point_power[f"power_{c}_w"] * 30 / price.get(c, 1e-9),
            "price_j": price.get(c, 1e-9),
            "energy_j": point_power[f"power_{c}_w"] * 30,
            "source": "Murmann, ADC Performance Survey 1997-2025 [measured]"
            if c == "adc"
            else "a figure of habit [recalled]",
        }
        for c in COMPONENTS
    ]


def arrays(bandwidth: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    t = np.arange(N_BINS) * 0.05
    phase = rng.uniform(0, 6, (N_TRIALS, 1))
    latent = np.stack([np.sin(5 * t + phase), np.cos(3 * t + phase)], axis=2)
    expected = np.exp(latent @ rng.normal(0, 0.7, (2, N_CHANNELS)) - 0.5)
    true_counts = rng.poisson(expected)
    rng = np.random.default_rng(seed)
    ranks = rng.random(expected.shape).argsort(axis=2)
    observed = ranks < bandwidth
    noise = 0.5 * (1 - bandwidth / N_CHANNELS)
    rates = expected * np.exp(rng.normal(0, noise + 0.05, expected.shape))
    test = np.arange(9, 12)
    return {
        "counts": np.where(observed, true_counts, 0).astype(np.uint8),
        "true_counts": true_counts.astype(np.uint8),
        "observed": observed,
        "exposure": observed.astype(np.float32),
        "rates": rates.astype(np.float32),
        "expected": expected.astype(np.float32),
        "rates_hz": (expected / 0.05).astype(np.float32),
        "lengths": np.array([60, 50] * 6, np.int32),
        "behaviour": (10 * latent).astype(np.float32),
        "behaviour_valid": np.ones(latent.shape[:2], bool),
        "decoded": (10 * latent + rng.normal(0, 3 * noise, latent.shape)).astype(np.float32),
        "split/train": np.arange(6, dtype=np.int32),
        "split/valid": np.arange(6, 9, dtype=np.int32),
        "split/test": test.astype(np.int32),
    }


def scores(schedule: str, bandwidth: int, repeat: int) -> dict:
    rng = np.random.default_rng([bandwidth, repeat, *schedule.encode()])
    share = bandwidth / N_CHANNELS
    r2 = 0.85 * share ** (0.35 - 3 * SCHEDULES[schedule]) + rng.normal(0, 0.012)
    return {
        "velocity_r2": r2,
        "behaviour": "hand velocity",
        "rate_r2_expected": r2 - 0.1,
        "rate_r2": r2 - 0.12,
        "bits_per_spike_all": 0.4 * r2,
        "bits_per_spike": 0.42 * r2,
        "nll": 0.6 - 0.3 * r2,
        "n_parameters": 38_779,
        "epochs": 120,
        "train_s": 41.5,
        "ceiling_rate_r2": 0.95,
        "n_silent": 1,
        "n_never_observed": 0,
        "judged_twice": False,
    }


def write_study(
    folder: Path,
    designs: list[tuple[str, int]],
    *,
    repeats: int = 3,
    axes: bool = True,
    scored: bool = True,
    text: str = "",
) -> Path:
    """A study over (schedule, bandwidth)."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.points.mkdir(exist_ok=True)
    entries = []
    for point, (schedule, bandwidth) in enumerate(designs):
        for repeat in range(repeats):
            power = hardware(bandwidth)
            row = {
                "scenario": f"m1{text}", "status": "ok", "recording": f"m1_reach{text}",
                "implant": f"utah_ble{text}", "decoder": f"lfads{text}",
                "schedule": f"{schedule}{text}", "seed": repeat,
            } | power  # fmt: skip
            swept = {"schedule.kind": f"{schedule}{text}", "schedule.bandwidth": bandwidth}
            entry = Entry(point, repeat, f"{point:08x}{repeat:04x}", swept if axes else {})
            if scored:
                row |= scores(schedule, bandwidth, repeat)
            data = arrays(bandwidth, point * 10 + repeat) if scored else {}
            run.commit(entry, Outcome(row, energy(power), data, {"bin_s": 0.05}))
            entries.append(entry)
    write_tables(run, entries)
    run.write_scenario({"name": f"m1{text}", "seed": 0, "schedule": {"kind": designs[0][0]}})
    run.write_run(
        {
            "versions": {"implant_sim": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
            "platform": f"Linux{text}",
            "seeds": list(range(repeats)),
            "scenario_sha256": "ab" * 32,
            "seconds": 312.4,
            "points": [
                {"point": e.point, "repeat": e.repeat, "key": e.key, "axes": e.axes}
                for e in entries
            ],
        }
    )
    return folder


STUDY = [
    ("full", 24), ("random_subset", 12), ("random_subset", 6), ("random_subset", 3),
    ("static_subset", 12), ("static_subset", 6), ("static_subset", 3),
]  # fmt: skip
