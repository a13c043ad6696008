"""The pipeline of one operating point, on one screen; and `run`, which takes a study through."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sbtt_models
from implant_sim.study import engines
from implant_sim.study.acquisition import Acquisition, acquisition
from implant_sim.study.beginning import Beginning
from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.equal_power import settled
from implant_sim.study.keys import stage_seed
from implant_sim.study.load import Overrides, load
from implant_sim.study.rescore import scored
from implant_sim.study.reuse import decoded_detail, hardware_of, notes_of, reprice
from implant_sim.study.rows import energy_rows
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import Outcome
from sbtt_models.decoders.base import DecoderSpec, Fitted, Progress
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.tuning import Tuning

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Acquisition", "acquisition", "run", "simulate"]

_TRAINING = 0.95
"""Share of a point's time, for the progress bar; the rest is scoring."""


def simulate(
    scenario: Scenario,
    repeat: int,
    root: Path,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    training: Path | None = None,
    beginning: Beginning | None = None,
) -> Outcome:
    """Acquire, price, decode, score: one operating point, once.

    Parameters
    ----------
    scenario, repeat, root
        As for :func:`acquisition`.
    device : {"auto", "cpu", "cuda"}
        Where the decoder is trained.
    progress : callable, optional
        Called with the share of the work done, 0 to 1.
    training : pathlib.Path, optional
        Where the training keeps its checkpoints; one that was killed goes on from the last.
    beginning : Beginning, optional
        The point whose weights the decoder begins with.

    Returns
    -------
    Outcome
        With status ``ok``.

    Raises
    ------
    DataError, SpecError, DivergedError
        As :func:`acquisition`, and if the training stops being finite.
    """
    times = [time.perf_counter()]
    got = acquisition(scenario, repeat, root)
    times.append(time.perf_counter())
    tuning: list[dict[str, float]] = []
    fit = partial(_tuned, scenario.tuning, tuning) if scenario.tuning else sbtt_models.fit
    learn = partial(
        fit,
        scenario.decoder,
        seed=stage_seed(scenario.seed, repeat, "initial weights") % 2**63,
        device=device,
    )
    rules = scenario.training
    if beginning is not None and (warm := scenario.warm_start) is not None:
        learn = partial(learn, start=beginning.fitted(device), adapt=warm.adapt)
        rules = warm.training or rules
    fitted, before = _learned(scenario, rules, got, learn, progress, training)
    times.append(time.perf_counter())
    found = scored(scenario, repeat, got, fitted)
    times.append(time.perf_counter())
    decoded = found["row"] | _trained(fitted, before)
    begun = {} if beginning is None else beginning.columns()
    row = {"status": "ok"} | hardware_of(scenario, got) | decoded | begun
    return Outcome(
        **found | {"row": row},
        energy=energy_rows(got.ledger),
        detail=_detail(scenario, got, fitted, before, times, beginning)
        | decoded_detail(got, decoded, beginning)
        | ({"tuning": tuning} if tuning else {}),
    )


def _tuned(
    tuning: Tuning,
    table: list[dict[str, float]],
    decoder: DecoderSpec,
    stream: MaskedStream,
    training: Training,
    **named: Any,
) -> Fitted:
    """Train a population here, with the point's own threads; tell its table."""
    found = sbtt_models.tune(decoder, stream, training, tuning, **named)
    table.extend(dict(row) for row in found.history)
    return cast(Fitted, found.fitted)


def _learned(
    scenario: Scenario,
    rules: Training,
    got: Acquisition,
    learn: Callable[..., Fitted],
    progress: Callable[[float], None] | None,
    folder: Path | None,
) -> tuple[Fitted, Fitted | None]:
    """The fitted decoder, and the one before it where dense trials come first."""
    rule = scenario.pretraining
    if rule is None or got.dense is None:
        told = _of_training(progress)
        return learn(got.stream, rules, progress=told, folder=folder), None
    before = learn(
        got.dense.dense,
        rule.training or rules,
        progress=_of_training(progress, 0.0, 0.5),
        folder=None if folder is None else folder / "dense",
    )
    fitted = learn(
        got.dense.sparse,
        rules,
        start=before,
        adapt=rule.adapt,
        progress=_of_training(progress, 0.5, 1.0),
        folder=None if folder is None else folder / "sparse",
    )
    return fitted, before


def _of_training(
    progress: Callable[[float], None] | None, first: float = 0.0, last: float = 1.0
) -> Progress | None:
    """Turn epochs done into the share of the whole point that is done."""
    if progress is None:
        return None
    return lambda done, most: progress(_TRAINING * (first + (last - first) * done / most))


def _trained(fitted: Fitted, before: Fitted | None) -> dict[str, float]:
    """What the table tells of the training, both stages of it."""
    found = {name: getattr(fitted, name) for name in ("n_parameters", "epochs", "train_s")}
    if before is not None:
        found |= {name: found[name] + getattr(before, name) for name in ("epochs", "train_s")}
    return found


def _detail(
    scenario: Scenario,
    got: Acquisition,
    fitted: Fitted,
    before: Fitted | None,
    times: list[float],
    beginning: Beginning | None,
) -> dict[str, Any]:
    """What result.json tells beside the tables' rows."""
    learned = [] if before is None else [dict(line) for line in before.history]
    steps = zip(("acquire", "train", "score"), times, times[1:], strict=False)
    return {
        "history": [dict(line) for line in fitted.history],
        **({"pretraining_history": learned} if learned else {}),
        "sources": list(got.offered.held_in.sources),
        "notes": notes_of(scenario, got, beginning),
        "held_out_channels": got.offered.channels.tolist(),
        # of this process so far: other points may have run in it before
        "peak_memory_b": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "durations_s": {name: end - start for name, start, end in steps},
    }


def run(  # noqa: PLR0913 - one argument for each option of the command
    scenario: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    device: str = "auto",
    jobs: int | None = None,
    fresh: bool = False,
    engine: engines.Kind = "local",
    address: str | None = None,
) -> pd.DataFrame:
    """Run every point and repeat of a scenario; what is finished already is not run again.

    Parameters
    ----------
    scenario : str, pathlib.Path or mapping
        A YAML file, the name of a shipped scenario, or the content itself.
    out : str or pathlib.Path, optional
        The run folder; ``runs/NAME`` if None.
    overrides : sequence of str, or mapping
        ``key.path=value`` texts, or dotted keys with values.
    seed : int, optional
        Instead of the scenario's.
    device : {"auto", "cpu", "cuda"}
    jobs : int, optional
        Processes at a time; as many as the cores allow if None. Results do not depend on it.
    fresh : bool
        Run what is finished already, too.
    engine : {"local", "dask", "ray"}
        Who runs the points.
    address : str, optional
        Of a dask or ray cluster that runs already; one is started on this machine if None.

    Returns
    -------
    pandas.DataFrame
        The results table: one row for each point and repeat.

    Raises
    ------
    SimError
        For a scenario, recording or limit that stops everything; a point that fails does not,
        its `status` says so.
    """
    study = settled(load(scenario, overrides if seed is None else with_seed(overrides, seed)))
    folder = Path("runs") / study.name if out is None else Path(out)
    options = Options(device, jobs, fresh, engines.Choice(engine, address))
    return coordinate(study, folder, simulate, options, reprice)


def with_seed(overrides: Overrides, seed: int) -> Overrides:
    """Overrides, and the seed among them."""
    if isinstance(overrides, Mapping):
        return {**overrides, "seed": seed}
    return [*overrides, f"seed={seed}"]
