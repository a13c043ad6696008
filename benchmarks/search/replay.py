"""Searches of a quarter of a grid, replayed from its results; hypervolume against the grid's.

implant-sim run benchmarks/search/grid.yaml --set recording.path=m1_reach_public.h5
python benchmarks/search/replay.py runs/m1_codesign_grid/results.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from implant_sim.study.axes import Axis
from implant_sim.study.read_axes import axis_of
from implant_sim.study.search.front import hypervolume
from implant_sim.study.search.propose import Sampled
from implant_sim.study.search.spec import Sampler
from implant_sim.study.tree import as_node

AXES = ("schedule.kind", "schedule.fraction", "implant.amplifier.noise")
QUARTER, SEEDS = 12, 40


def main(table: Path) -> None:
    """Print a row for each sampler."""
    grid = pd.read_csv(table)
    values = np.stack([grid["power_w"], -grid["velocity_r2"]], axis=1)
    known = dict(zip(map(tuple, grid[list(AXES)].to_numpy()), values, strict=True))
    reference = values.max(axis=0)
    whole = hypervolume(values, reference)
    axes = _axes(grid)
    for kind in ("random", "nsga2", "tpe"):
        shares = []
        for seed in range(SEEDS):
            proposer = Sampled(axes, 2, Sampler(kind=kind, seed=seed))
            seen: list[np.ndarray] = []
            while len(seen) < QUARTER:
                for asked in proposer.ask(2):
                    found = known[tuple(asked.choice[key][1].value for key in AXES)]
                    proposer.tell(asked.number, found.tolist(), 0.0)
                    seen.append(found)
            shares.append(hypervolume(np.array(seen), reference) / whole)
        five = float(np.mean(shares[:5]))
        print(
            f"| {kind} | {five:.3f} | {np.mean(shares):.3f} | {np.std(shares):.3f} | "
            f"{min(shares):.3f} |"
        )


def _axes(grid: pd.DataFrame) -> list[Axis]:
    known = ("schedule", "implant")
    return [
        axis_of(key, as_node(list(dict.fromkeys(grid[key])), "grid"), known, "space", False)
        for key in AXES
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
