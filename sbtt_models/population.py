"""Population-based training of regularisers, on whatever runs calls elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from typing_extensions import override

from sbtt_models.checkpoint import Checkpoints, State
from sbtt_models.decoders.base import DecoderSpec, Fitted, NeuralSpec, Progress, Setting
from sbtt_models.errors import DivergedError, SpecError
from sbtt_models.fitting import refuse_nothing_observed
from sbtt_models.members import Generations, Member, smoothed_loss
from sbtt_models.resume import digest_of_stream, flat
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.tuning import Tuning, changed, tunable

__all__ = ["Tuned", "tune"]

_ALONE = Lock()
"""Dropout draws from generators that all threads of a process share."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What came of a population."""

    fitted: Fitted
    """The weights of the lowest validation loss that any member reached."""
    values: Mapping[str, float]
    """The numbers of the member that it belongs to, when it reached them."""
    history: tuple[Mapping[str, float], ...]
    """One row for each member and generation: its numbers, its loss, and whose weights it began
    with (``parent``; itself, unless it had lost)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What a worker needs to take a member through a generation."""

    decoder: NeuralSpec
    stream: MaskedStream
    training: Training
    setting: Setting
    state: State | None


def tune(  # noqa: PLR0913 - what may be left out is named
    decoder: DecoderSpec,
    stream: MaskedStream,
    training: Training | None = None,
    tuning: Tuning | None = None,
    executor: Executor | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Tuned:
    """Find regularisers by training a population of networks; see :class:`Tuning`.

    The result depends on the seed, not on who runs it or in how many places.

    Parameters
    ----------
    decoder : DecoderSpec
        One that is trained by gradient descent.
    stream : MaskedStream
    training : Training, optional
        Its ``epochs``, ``schedule`` and ``patience`` do not apply.
    tuning : Tuning
        What may change, and how far.
    executor : concurrent.futures.Executor, optional
        Where members train: ``ProcessPoolExecutor``, dask's ``client.get_executor()``, and others
        of that protocol. In threads of one process, and by None here, they train one after the
        other.
    seed, device
        As for :func:`sbtt_models.fit`.
    progress : callable, optional
        Called with (epochs done by each member, most epochs).
    folder : pathlib.Path, optional
        Where each generation is kept; the same call with the same folder goes on.

    Returns
    -------
    Tuned

    Raises
    ------
    SpecError
        For a decoder without a training, a range that is none of its numbers, and a folder that
        holds another population.
    DivergedError
        If no member is left.
    """
    training = training or Training()
    if tuning is None:
        raise SpecError("tuning: is missing; say what may change: Tuning(ranges={...})")
    network = tunable(decoder)
    tuning.refuse(network, training)
    refuse_nothing_observed(stream)
    fixed = {"schedule": "constant", "patience": None, "checkpoint_every": None}
    population = _Population(
        network, stream, training.model_copy(update=fixed), tuning, Setting(seed, device)
    )
    return population.run(executor or _Here(), progress, folder)


class _Here(Executor):
    """Runs each call at once, in this thread."""

    @override
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(slots=True, eq=False)
class _Population:
    decoder: NeuralSpec
    stream: MaskedStream
    training: Training
    tuning: Tuning
    setting: Setting
    members: list[Member] = field(default_factory=list)
    table: list[dict[str, float]] = field(default_factory=list)
    bests: list[float] = field(default_factory=list)
    """Lowest smoothed loss after each generation."""

    def run(self, executor: Executor, progress: Progress | None, folder: Path | None) -> Tuned:
        tuning = self.tuning
        rng = np.random.default_rng([self.setting.seed, 2])
        self.members = [
            Member({key: r.draw(rng) for key, r in tuning.ranges.items()}, number)
            for number in range(tuning.members)
        ]
        checkpoints = None if folder is None else Checkpoints(folder, self._identity())
        if checkpoints is not None:
            checkpoints.resume(self._restore)
        most = tuning.burn_in_epochs + tuning.generations * tuning.generation_epochs
        while len(self.bests) < tuning.generations and not self._stale():
            self._generation(executor)
            if checkpoints is not None:
                checkpoints.save(Generations(self.members, self.table, self.bests).state)
            if progress is not None:
                done = tuning.burn_in_epochs + len(self.bests) * tuning.generation_epochs
                progress(done, most)
        return self._best()

    def _generation(self, executor: Executor) -> None:
        """Let losers take over from winners, then train everybody."""
        number = len(self.bests)
        if number:
            rng = np.random.default_rng([self.setting.seed, 3, number])
            self.members = [self._after_tournament(i, rng) for i in range(len(self.members))]
        epochs = self.tuning.generation_epochs + (0 if number else self.tuning.burn_in_epochs)
        futures = [
            executor.submit(_advance, self._task(i, number, epochs))
            for i in range(len(self.members))
        ]
        for i, future in enumerate(futures):
            state, why = future.result()
            self.members[i] = replace(
                self.members[i], state=state, loss=smoothed_loss(state, self.tuning.smoothing)
            )
            self.table.append(self.members[i].row(number, i))
        losses = [member.loss for member in self.members]
        if not np.isfinite(losses).any():
            raise DivergedError(f"tuning: every member diverged in generation {number + 1}: {why}")
        self.bests.append(min(losses))

    def _after_tournament(self, i: int, rng: np.random.Generator) -> Member:
        ours = self.members[i]
        other = int(rng.integers(len(self.members) - 1))
        other += other >= i
        factors = np.random.default_rng(rng.integers(2**63))  # drawn whoever wins
        theirs = self.members[other]
        if ours.state is None and theirs.state is None:  # both diverged
            other = int(np.argmin([member.loss for member in self.members]))
            theirs = self.members[other]
        if not theirs.loss < ours.loss:
            return replace(ours, parent=i)
        values = {
            key: found.move(theirs.values[key], factors)
            for key, found in self.tuning.ranges.items()
        }
        return Member(values, other, theirs.state, theirs.loss)

    def _task(self, i: int, generation: int, epochs: int) -> _Task:
        member = self.members[i]
        decoder, training = changed(self.decoder, self.training, member.values)
        done = member.state.epoch if member.state else 0
        training = training.model_copy(update={"epochs": done + epochs})
        words = np.random.SeedSequence([self.setting.seed, i, generation]).generate_state(1)
        setting = replace(self.setting, seed=int(words[0]))
        # the type is the decoder's own, but `changed` cannot say so
        spec = decoder if isinstance(decoder, NeuralSpec) else self.decoder
        return _Task(spec, self.stream, training, setting, member.state)

    def _stale(self) -> bool:
        patience = self.tuning.patience
        if len(self.bests) <= patience:
            return False
        before, now = min(self.bests[:-patience]), min(self.bests)
        return before - now < self.tuning.least_gain * abs(before)

    def _best(self) -> Tuned:
        from sbtt_models.train import finish

        whole = [member for member in self.members if member.state is not None]
        best = min(whole, key=lambda member: member.lowest)
        rows = [row for row in self.table if row.get("best_loss") == best.lowest]
        values = {key: rows[0][key] for key in self.tuning.ranges}
        if best.state is None:  # no member is left: the last generation has said so
            raise DivergedError("tuning: every member diverged")
        # an heir of the best weights has moved the numbers that they were trained with
        decoder, training = changed(self.decoder, self.training, values)
        spec = decoder if isinstance(decoder, NeuralSpec) else self.decoder
        fitted = finish(spec, self.stream, training, self.setting, best.state)
        return Tuned(fitted, values, tuple(self.table))

    def _identity(self) -> dict[str, Any]:
        blocks = {
            name: block.model_dump(mode="json")
            for name, block in (
                ("decoder", self.decoder),
                ("training", self.training),
                ("tuning", self.tuning),
            )
        }
        return flat(blocks) | {
            "seed": self.setting.seed,
            "device": self.setting.device,
            "stream": digest_of_stream(self.stream),
        }

    def _restore(self, state: State) -> None:
        found = Generations.of(self.tuning, state)
        self.members, self.table, self.bests = found.members, found.table, found.bests


def _advance(task: _Task) -> tuple[State | None, str]:
    """Take a member through a generation; None and why, where it diverged."""
    from sbtt_models.train import advance

    try:
        with _ALONE:
            return advance(task.decoder, task.stream, task.training, task.setting, task.state), ""
    except DivergedError as error:
        return None, str(error)
