"""What keeping the books costs: resume, commits, search, start-up, and a second worker's gain.

    python -m benchmarks.engines.measure [resume commit search sweep start gain]

Prints a line for each. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from implant_sim.study.engines.base import Engine
from implant_sim.study.store import Entry, Outcome, RunFolder

ROOT = Path(__file__).parents[2]
TINY = {
    "name": "tiny",
    "recording": {"kind": "lorenz", "channels": 4, "conditions": 2, "trials": 4, "bins": 20},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 2},
    "decoder": {"kind": "smoothing"},
}
TRAINED = TINY | {
    "recording": {"kind": "lorenz", "channels": 29, "conditions": 8, "trials": 12},
    "schedule": {"kind": "random_subset", "bandwidth": 10},
    "decoder": {"kind": "autoencoder"},
    "training": {"epochs": 60},
}
LOOPS, POINTS = 12_000_000, 12


def burn(loops: int) -> float:
    """Pure Python: needs a core and nothing else."""
    total = 0.0
    for i in range(loops):
        total += i * 0.5
    return total


def stub(scenario, repeat, *_) -> Outcome:
    burn(LOOPS)
    return quick(scenario, repeat)


def quick(scenario, repeat, *_) -> Outcome:
    values = np.random.default_rng(scenario.seed + repeat).random(100)
    line = {"component": "adc", "action": "convert", "count": 2, "price_j": 1.0, "energy_j": 2.0}
    return Outcome(
        row={"status": "ok", "power_w": float(values[0])},
        energy=[line | {"source": "x", "source_kind": "derived"}] * 12,
        arrays={"rates": values},
        save=lambda folder: (folder / "weights.safetensors").write_bytes(values.tobytes()),
    )


def study(points: int, base=TINY):
    from implant_sim.study.load import load

    return load({**base, "repeats": points})


def coordinate(points: int, out: Path, simulate, jobs: int, kind="local", base=TINY) -> float:
    from implant_sim.study import coordinate as c
    from implant_sim.study import engines

    loaded = study(points, base)
    begun = time.perf_counter()
    table = c.coordinate(loaded, out, simulate, c.Options(jobs=jobs, engine=engines.Choice(kind)))
    took = time.perf_counter() - begun
    assert (table["status"] == "ok").all()
    return took


class Inline(Engine):
    """No processes: what is left is the keeping."""

    capacity = 1

    def submit(self, task):
        from concurrent.futures import Future

        future = Future()
        future.set_result(task.work(task.argument, lambda _: None))
        return future

    def close(self) -> None:
        pass


def commit(place: Path) -> None:
    folder = RunFolder(place / "commit")
    folder.points.mkdir(parents=True)
    outcome = quick(type("S", (), {"seed": 0}), 0)
    begun = time.perf_counter()
    for i in range(300):
        folder.commit(Entry(i, 0, f"{i:020x}", {}), outcome)
    print(f"folders kept, three files each: {300 / (time.perf_counter() - begun):.0f} a second")
    bare = Outcome(outcome.row, outcome.energy)
    begun = time.perf_counter()
    for part in range(10):
        keys = [f"{1000 * (part + 1) + i:020x}" for i in range(1000)]
        folder.commit_rows([(Entry(0, 0, key, {}), bare) for key in keys])
    print(f"rows kept, a thousand to a file: {1e4 / (time.perf_counter() - begun):.0f} a second")


def resume(place: Path) -> None:
    from implant_sim.study import engines

    patched, engines.Choice.open = engines.Choice.open, lambda *_: Inline()
    print(f"1,000 points, nothing computed: {coordinate(1000, place / 'r', quick, 1):.2f} s")
    engines.Choice.open = patched
    script = f"""if True:
        import sys, time
        begun = time.perf_counter()
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from benchmarks.engines import measure
        imported = time.perf_counter()
        took = measure.coordinate(1000, Path({str(place / "r")!r}), measure.quick, 1)
        whole = time.perf_counter() - begun
        print(f"{{took:.2f}} s, with the start of Python's libraries {{whole:.2f}} s")
    """
    for title, harm in (("finished", ""), ("finished, index lost", "index.sqlite")):
        if harm:
            (place / "r" / harm).unlink()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        print(f"resume of 1,000 {title}: {done.stdout.strip() or done.stderr[-500:]}")


SPACE = {
    "implant.amplifier.noise": {"from": "2 uV", "to": "10 uV", "scale": "log"},
    "implant.overhead.power": {"from": "50 uW", "to": "500 uW"},
    "schedule.bandwidth": {"from": 1, "to": 29},
}
FEW, MANY = 500, 2500
SAMPLERS = {"random": (FEW, MANY), "nsga2": (100, 500), "tpe": (100, 300)}
"""How many points; tpe thinks the longer the more it knows."""


def search(place: Path) -> None:
    """Hardware alone: what some more points take."""
    from implant_sim.study import coordinate as c
    from implant_sim.study.load import load

    def took(kind: str, turn: int, points: int) -> float:
        asked = {
            "space": SPACE,
            "objectives": {"power_w": "min", "sampled_fraction": "max"},
            "constraints": ["heat_k < 1"],
            "sampler": {"kind": kind},
            "budget": {"points": points},
        }
        loaded = load("quickstart", {"sweep": None, "search": asked})
        begun = time.perf_counter()
        out = place / f"s{kind}{turn}-{points}"
        table = c.coordinate(loaded, out, quick, c.Options())
        assert len(table) == points
        return time.perf_counter() - begun

    for kind, sizes in SAMPLERS.items():
        _more(f"a search by {kind}, kept, and its tables", partial(took, kind), *sizes)


def sweep(place: Path) -> None:
    """The same points as a sweep, by the command that prices them."""

    def took(turn: int, points: int) -> float:
        axes = json.dumps(SPACE | {"sample": {"kind": "random", "points": points}})
        command = [sys.executable, "-m", "implant_sim", "energy", "quickstart", "--json"]
        with (place / f"w{turn}-{points}").open("w") as out:
            begun = time.perf_counter()
            subprocess.run([*command, "--set", f"sweep={axes}"], stdout=out, check=True)
            return time.perf_counter() - begun

    _more("a sweep, printed as JSON", took)


def _more(title: str, took: Callable[[int, int], float], few: int = FEW, many: int = MANY) -> None:
    took(0, few)  # compiles and loads
    each = [took(turn, many) - took(turn, few) for turn in (1, 2, 3)]
    speeds = [(many - few) / seconds for seconds in sorted(each)]
    print(f"hardware alone, {title}: {', '.join(f'{s:.0f}' for s in speeds)} points a second "
          f"(from {few:,} to {many:,})")  # fmt: skip


def start(place: Path) -> None:
    for kind in ("local", "dask", "ray"):
        took = coordinate(2, place / kind, quick, 2, kind)
        print(f"{kind}: {took:.1f} s for two points that take no time, on two workers")


def gain(place: Path) -> None:
    """Pure loops and sweeps by turns, in one run, since a machine's second core varies."""
    context = multiprocessing.get_context("spawn")
    for title, simulate, base in (("stub", stub, TINY), ("short training", _simulate(), TRAINED)):
        loops, sweeps = [], []
        for turn in range(2):
            with context.Pool(2) as pool:
                pool.map(burn, [1000] * 4)
                times = []
                for jobs in (1, 2):
                    begun = time.perf_counter()
                    if jobs == 1:
                        pool.apply(_burn_all, (POINTS,))
                    else:
                        pool.map(_burn_all, [POINTS // 2] * 2, chunksize=1)
                    times.append(time.perf_counter() - begun)
            loops.append(times[0] / times[1])
            took = []
            for jobs in (1, 2):
                out = place / f"{simulate.__name__}{turn}{jobs}"
                few = coordinate(jobs, Path(f"{out}few"), simulate, jobs, "local", base)
                took.append(coordinate(jobs + POINTS, out, simulate, jobs, "local", base) - few)
            sweeps.append(took[0] / took[1])
        print(f"{title}: loop {np.round(loops, 3)}, sweep {np.round(sweeps, 3)}, "
              f"ratio of medians {np.median(sweeps) / np.median(loops):.3f}")  # fmt: skip


def _burn_all(times: int) -> None:
    for _ in range(times):
        burn(LOOPS)


def _simulate():
    from implant_sim.study.run import simulate

    return simulate


if __name__ == "__main__":
    from benchmarks.engines import measure  # workers find its functions by that name

    chosen = sys.argv[1:] or ["commit", "resume", "search", "sweep", "start", "gain"]
    with tempfile.TemporaryDirectory() as place:
        for name in chosen:
            getattr(measure, name)(Path(place))
