"""Sparse sampling of real recordings: run it in parts, then draw the tables and pictures.

python benchmarks/paper/recordings.py m1_reach m1_reach_public.h5 runs/recordings random
python benchmarks/paper/recordings_tables.py runs/recordings docs/paper/recordings

Each part overrides the sweep of `scenarios/paper/NAME.yaml` and has a run folder of its own; one
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import implant_sim
from implant_sim.study.paths import found

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios" / "paper"
SHARES = [1.0, 0.5, 0.25, 0.125, 0.0625]
RATIOS = [1.0, 0.8, 0.6, 0.4, 0.3, 0.2]
"""Shares of the input channels in the recipe of the SBTT paper's code."""
AUGMENTED = {"kind": "augmented_lds"}
STATE_SPACE = {"kind": "state_space", "dropout": 0.2}
POISSON = {"kind": "poisson_lds", "size": 12, "prior": 10, "iterations": 15}
KALMAN = {"kind": "kalman", "size": 20, "prior": 1, "iterations": 20}
# what all channels show of the loadings helps those that are seldom sampled
LEARNED = POISSON | {"label": "learned prior", "learn_prior": True}
AUGMENTED_LEARNED = {
    "label": "augmented, learned prior",
    "kind": "augmented_lds",
    "smoothers": [POISSON | {"learn_prior": True}, KALMAN],
}
SMOOTHING = {"kind": "smoothing"}
COUNTS = {"label": "counts as they are", "kind": "smoothing", "sd": "1 ms", "prior": 0.001}
BEST = {"label": "best always-on", "kind": "static_subset", "order": "greedy"}
TELLING = {"label": "most telling always-on", "kind": "static_subset", "order": "information"}
RANDOM, STATIC = {"kind": "random_subset"}, {"label": "always-on", "kind": "static_subset"}
WEIGHTED = {"label": "weighted", "kind": "weighted", "by": "variance", "least_share": 0.25}
# as often as the best linear read-out of behaviour wants; and those that it wants most, always
BEHAVIOUR = {"label": "by behaviour", "kind": "weighted", "by": "behaviour", "least_share": 0.1}
BEHAVIOUR_STATIC = STATIC | {"label": "always-on, by behaviour", "order": "behaviour"}
# of the budget half, or three quarters, on the best channels; the others take turns
HYBRIDS = [
    {"label": f"hybrid, {part}, {way}", "kind": "hybrid", "always_share": share, "order": "greedy"}
    | {"rest": rest}
    for part, share in {"half": 0.5, "three quarters": 0.75}.items()
    for way, rest in {"random": "random_subset", "weighted": "weighted"}.items()
]
# the most telling channels instead: they are chosen without any behaviour
TELLING_HYBRIDS = [
    hybrid | {"label": f"{hybrid['label']}, most telling", "order": "information"}
    for hybrid in HYBRIDS
    if hybrid["rest"] == "weighted"
]

PARTS: dict[str, dict[str, Any]] = {
    "random": {
        "sweep.schedule.fraction": SHARES,
        "sweep.schedule": [RANDOM],
        "sweep.decoder": [AUGMENTED, STATE_SPACE, POISSON, KALMAN, SMOOTHING, COUNTS],
    },
    "always_on": {
        "repeats": 10,
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": [STATIC],
        "sweep.decoder": [KALMAN],
    },
    "chosen": {
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": [BEST, WEIGHTED],
        "sweep.decoder": [AUGMENTED, KALMAN],
    },
    "hybrid": {
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": HYBRIDS,
        "sweep.decoder": [AUGMENTED, KALMAN],
    },
    "telling": {
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": [TELLING, *TELLING_HYBRIDS],
        "sweep.decoder": [AUGMENTED, KALMAN],
    },
    "behaviour": {
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": [BEHAVIOUR, BEST, BEHAVIOUR_STATIC],
        "sweep.decoder": [LEARNED, AUGMENTED_LEARNED],
        "sweep.skip": [],
    },
    "learned": {
        "sweep.schedule.fraction": SHARES[1:],
        "sweep.schedule": [RANDOM, BEST, WEIGHTED, HYBRIDS[3]],
        "sweep.decoder": [POISSON, LEARNED, AUGMENTED_LEARNED],
        "sweep.skip": [],
    },
    "ratios": {
        "sweep.schedule.fraction": RATIOS[1:],
        "sweep.schedule": [RANDOM],
        "sweep.decoder": [AUGMENTED, STATE_SPACE, KALMAN],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of a scenario in scenarios/paper")
    parser.add_argument("path", help="of the recording, here or in IMPLANT_SIM_DATA")
    parser.add_argument("out", type=Path)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--shares", type=float, nargs="+")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--only", nargs="+", metavar="LABEL", help="of the part's schedules")
    given = parser.parse_args()
    part = PARTS[given.part] | {"recording.path": str(found(Path.cwd(), given.path))}
    part |= {} if given.shares is None else {"sweep.schedule.fraction": given.shares}
    part |= {} if given.repeats is None else {"repeats": given.repeats}
    if given.only is not None:
        named = {each["label"]: each for each in part["sweep.schedule"] if "label" in each}
        if unknown := [label for label in given.only if label not in named]:
            parser.error(f"--only: {unknown[0]!r} is none of {', '.join(map(repr, named))}")
        part |= {"sweep.schedule": [named[label] for label in named if label in given.only]}
    # all lags up to half a second, as everywhere else; the one lag is read out by the tables
    implant_sim.run(
        SCENARIOS / f"{given.name}.yaml",
        given.out / given.name / given.part,
        part | {"score.single_lag": None},
        device="cpu",
        jobs=1,
    )


if __name__ == "__main__":
    main()
