"""The points of a study that are to be run, handed out one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from implant_sim.study.claims import Claims
from implant_sim.study.engines.base import Source, Task
from implant_sim.study.index import Kept, stamp_of
from implant_sim.study.store import FINAL, Entry, RunFolder

__all__ = ["Queue"]


class Queue(Source):
    """What is missing in a run folder; shared with other coordinators through claims.

    Parameters
    ----------
    folder : RunFolder
    entries : sequence of Entry
        Every point and repeat of the study.
    kept : mapping of str to Kept
        What the folder holds of them.
    claims : Claims
        Entered.
    task_of : callable
        Makes the task of an entry.
    on_reuse : callable
        Called with each entry that another coordinator has finished meanwhile.
    after : mapping of str to collection of str, optional
        Key of a point -> keys of those whose end it waits for, so as to use their decoders.
    """

    def __init__(
        self,
        folder: RunFolder,
        entries: Sequence[Entry],
        kept: dict[str, Kept],
        claims: Claims,
        task_of: Callable[[Entry], Task],
        on_reuse: Callable[[Entry], None],
        after: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._folder, self._claims = folder, claims
        self._task_of, self._on_reuse = task_of, on_reuse
        self._before = {key: found.stamp for key, found in kept.items()}
        """Ends that a second try may change; whatever differs has been tried again."""
        missing = (e for e in entries if e.key not in kept or kept[e.key].status not in FINAL)
        self._waiting = {entry.key: entry for entry in missing}
        self._elsewhere: dict[str, Entry] = {}
        self._after = {
            key: [first for first in before if first in self._waiting]
            for key, before in (after or {}).items()
        }

    def __len__(self) -> int:
        """Points not handed out yet."""
        return len(self._waiting) + len(self._elsewhere)

    @override
    def take(self) -> Task | None:
        """The next point that is neither finished nor at work elsewhere."""
        if next(self._free(), None) is None:
            self._look_again()
        while (key := next(self._free(), None)) is not None:
            entry = self._waiting.pop(key)
            if self._is_done(entry):
                self._on_reuse(entry)
            elif not self._claims.take(key):
                self._elsewhere[key] = entry
            elif self._is_done(entry):  # between the look and the claim
                self._claims.release(key)
                self._on_reuse(entry)
            else:
                self._folder.discard(key)
                return self._task_of(entry)
        return None

    @override
    def over(self) -> bool:
        """Whether every point was handed out here or finished elsewhere."""
        return not self._waiting and not self._elsewhere

    def _free(self) -> Iterator[str]:
        """Those that wait for no other point to end."""
        return (
            key for key in self._waiting if all(map(self._has_ended, self._after.get(key, ())))
        )

    def _has_ended(self, key: str) -> bool:
        if key in self._waiting or key in self._elsewhere:
            return False
        return stamp_of(self._folder.points / key) is not None

    def _look_again(self) -> None:
        """Those that others have finished, or left behind."""
        for key in list(self._elsewhere):
            if self._claims.owner(key) is None:
                self._waiting[key] = self._elsewhere.pop(key)

    def _is_done(self, entry: Entry) -> bool:
        if stamp_of(self._folder.points / entry.key) == self._before.get(entry.key):
            return False
        content: dict[str, Any] | None = self._folder.result(entry.key, verify=True)
        return content is not None
