"""Who works on which point: several coordinators share a run folder without doing work twice.

Each coordinator keeps a lease, a file that it touches every few seconds, and for each point it
runs a claim that names its lease. A claim whose owner is gone belongs to whoever wants it next.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

from implant_sim import files
from sbtt_models.errors import SimError

__all__ = ["Claims", "Owner"]

_BEAT_S = 5.0
_STALE_S = 60.0
"""A coordinator on another machine that has been silent for so long is taken for dead."""
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A coordinator, as its lease tells."""

    host: str
    """Name of the machine and of its current boot."""
    pid: int
    begun: float
    """When the process began, since numbers of processes are used again; see `_begun`. [s]"""
    study: str
    """Digest of the scenario it runs."""

    @classmethod
    def here(cls, study: str) -> Owner:
        """The process that asks."""
        return cls(_host(), os.getpid(), _begun(os.getpid()), study)

    @property
    def title(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host.partition('/')[0]}"


class Claims:
    """The folder ``.claims`` of a run folder; enter it to take part.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    study : str
        Digest of the scenario.
    when_alone : callable, optional
        Called on entering, before anyone else may enter, if nobody else is at work.

    Raises
    ------
    SimError
        If another scenario is being run in this folder.
    """

    def __init__(
        self, folder: Path, study: str, when_alone: Callable[[], None] = lambda: None
    ) -> None:
        self._when_alone = when_alone
        self._folder, self._place = folder, folder / ".claims"
        self._me = Owner.here(study)
        self._lease = self._place / f"{uuid.uuid4().hex}.lease"
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self.others: list[Owner] = []
        """Who was at work here already."""

    def __enter__(self) -> Claims:
        """Join those at work, and sweep away what the dead have left."""
        files.make_folder(self._place)
        with files.exclusive(self._folder, _PATIENCE_S):
            files.note(self._lease, json.dumps(asdict(self._me)))
            for lease in self._place.glob("*.lease"):
                owner = self._alive(lease)
                if owner is None:
                    lease.unlink(missing_ok=True)
                elif lease != self._lease:
                    self.others.append(owner)
            if rival := next((o for o in self.others if o.study != self._me.study), None):
                self._lease.unlink()
                raise SimError(
                    f"{self._folder} is in use by {rival.title} for another scenario; wait for "
                    "it, stop it, or choose another folder with --out"
                )
            if not self.others:
                files.remove_leftovers(self._place)
                self._when_alone()
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; whatever is still claimed is free again."""
        self._over.set()
        with suppress(OSError):
            self._lease.unlink()

    def take(self, key: str) -> bool:
        """Claim a point; False if someone else is at it."""
        claim = self._place / key
        with files.exclusive(self._folder, _PATIENCE_S):
            if self.owner(key) is not None:
                return False
            files.note(claim, self._lease.name)
            return True

    def release(self, key: str) -> None:
        """Give a claim of one's own back."""
        with suppress(OSError):
            (self._place / key).unlink()

    def owner(self, key: str) -> Owner | None:
        """Who runs a point, if that is someone else, and alive."""
        try:
            name = (self._place / key).read_text(encoding="utf-8")
        except OSError:
            return None
        return None if name == self._lease.name else self._alive(self._place / name)

    def _alive(self, lease: Path) -> Owner | None:
        try:
            owner = Owner(**json.loads(lease.read_text(encoding="utf-8")))
            if owner.host == self._me.host:
                return owner if _runs(owner) else None
            # both times were set by the file system, so that no clock has to be right
            silent_s = self._lease.stat().st_mtime - lease.stat().st_mtime
            return owner if silent_s < _STALE_S else None
        except (OSError, ValueError, TypeError):
            return None

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_S):
            with suppress(OSError):  # a beat may be missed
                os.utime(self._lease)


def _host() -> str:
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{platform.node()}/{boot}"


def _begun(pid: int) -> float:
    """When a process began, by a clock that nobody sets: since the start of the machine. [s]

    psutil adds the time at which the machine started, which moves when its clock is set.
    """
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return psutil.Process(pid).create_time()


def _runs(owner: Owner) -> bool:
    try:
        status = psutil.Process(owner.pid).status()
        return abs(_begun(owner.pid) - owner.begun) < 1.0 and status != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
