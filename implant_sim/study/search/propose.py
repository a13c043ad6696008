"""Ask and tell: which point to look at next, given what is known."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from typing_extensions import override

from implant_sim.study.axes import Axis, Choice, Ranged
from implant_sim.study.search.spec import Sampler
from sbtt_models.errors import SpecError

__all__ = ["Drawn", "Proposal", "Proposer", "Sampled"]

_WORST = 1e30
"""Told in place of objectives that are not known, to be minimised."""
_PATIENCE = 200
"""Proposals in a row that were all known before a space counts as gone through."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point to look at."""

    number: int
    choice: Choice


class Proposer(ABC):
    """Proposes points of a space, each once.

    The same tells in the same order give the same proposals.
    """

    @abstractmethod
    def ask(self, n: int) -> list[Proposal]:
        """Up to `n` points that were never asked for before; fewer where there are no more."""

    @abstractmethod
    def tell(self, number: int, values: Sequence[float], violation: float) -> None:
        """What came of a proposal.

        Parameters
        ----------
        number : int
            Of the proposal.
        values : sequence of float
            Objectives, to be minimised; empty where they are not known.
        violation : float
            0 where all constraints hold, else how much they are broken.
        """


class Drawn(Proposer):
    """Points drawn by chance alone, whatever came of those before.

    Parameters
    ----------
    axes : sequence of Axis
        The space.
    seed : int
        Of the draw.
    """

    def __init__(self, axes: Sequence[Axis], seed: int) -> None:
        self._axes, self._rng = axes, np.random.default_rng(seed)
        self._asked = set[str]()
        self._size = math.prod(_size_of(axis) for axis in axes)

    @override
    def ask(self, n: int) -> list[Proposal]:
        found: list[Proposal] = []
        for _ in range(_PATIENCE + n):
            if len(found) == n or len(self._asked) >= self._size:
                break
            shares = self._rng.random(len(self._axes)).tolist()
            choice: Choice = {}
            for axis, share in zip(self._axes, shares, strict=True):
                choice |= axis.at(share)
            if (name := _name(choice)) not in self._asked:
                found.append(Proposal(len(self._asked), choice))
                self._asked.add(name)
        return found

    @override
    def tell(self, number: int, values: Sequence[float], violation: float) -> None:
        """Nothing is learnt."""


class Sampled(Proposer):
    """Points that a sampler of optuna draws, the more the better it knows the space.

    Parameters
    ----------
    axes : sequence of Axis
        The space.
    n_objectives : int
        All to be minimised.
    sampler : Sampler

    Raises
    ------
    SpecError
        If optuna is not installed.
    """

    def __init__(self, axes: Sequence[Axis], n_objectives: int, sampler: Sampler) -> None:
        self._axes = axes
        optuna = self._optuna = _optuna()
        self._known: dict[str, tuple[list[float], float]] = {}
        self._asked: dict[int, str] = {}
        self._names = set[str]()
        self._waiting: dict[int, Any] = {}
        self._study = optuna.create_study(
            directions=["minimize"] * n_objectives, sampler=self._sampler_of(sampler)
        )
        self._n_objectives = n_objectives
        self._size = math.prod(_size_of(axis) for axis in axes)

    @override
    def ask(self, n: int) -> list[Proposal]:
        found: list[Proposal] = []
        for _ in range(_PATIENCE + n):
            if len(found) == n or len(self._asked) >= self._size:
                break
            trial = self._study.ask()
            choice = self._choice(trial)
            name = _name(choice)
            if name in self._names:
                self._answer(trial, *self._known.get(name, ([], _WORST)))
                continue
            self._names.add(name)
            self._asked[trial.number] = name
            self._waiting[trial.number] = trial
            found.append(Proposal(trial.number, choice))
        return found

    @override
    def tell(self, number: int, values: Sequence[float], violation: float) -> None:
        self._known[self._asked[number]] = list(values), violation
        self._answer(self._waiting.pop(number), list(values), violation)

    def _answer(self, trial: Any, values: list[float], violation: float) -> None:
        trial.set_constraint("constraints", min(violation, _WORST))
        self._study.tell(trial, values or [_WORST] * self._n_objectives)

    def _choice(self, trial: Any) -> Choice:
        choice: Choice = {}
        for number, axis in enumerate(self._axes):
            if isinstance(axis, Ranged) and not axis.range.whole:
                choice |= axis.at(trial.suggest_float(f"x{number}", 0.0, 1.0))
            elif isinstance(axis, Ranged):
                low, high = (int(end) for end in axis.range.ends)
                log = axis.range.spacing.startswith("log")
                choice |= axis.of(
                    axis.range.spelt(trial.suggest_int(f"x{number}", low, high, log=log))
                )
            elif axis.is_ordered:
                choice |= axis[trial.suggest_int(f"x{number}", 0, len(axis) - 1)]
            else:
                index = trial.suggest_categorical(f"x{number}", list(range(len(axis))))
                choice |= axis[index]
        return choice

    def _sampler_of(self, sampler: Sampler) -> Any:
        samplers, seed = self._optuna.samplers, sampler.seed
        if sampler.kind == "nsga2":
            return samplers.NSGAIISampler(population_size=max(2, sampler.startup), seed=seed)
        return samplers.TPESampler(n_startup_trials=sampler.startup, multivariate=True, seed=seed)


def _size_of(axis: Axis) -> float:
    if not isinstance(axis, Ranged):
        return len(axis)
    low, high = axis.range.ends
    return high - low + 1 if axis.range.whole else math.inf


def _name(choice: Choice) -> str:
    return json.dumps([(key, node.plain()) for key, (_, node) in choice.items()])


def _optuna() -> ModuleType:
    try:
        import optuna
    except ModuleNotFoundError:
        raise SpecError(
            "this sampler needs optuna, which is not installed; pip install "
            "'implant-sim[optimize]', or draw: search.sampler.kind=random"
        ) from None
    import warnings

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
