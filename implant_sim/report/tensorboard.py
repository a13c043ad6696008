"""Training histories for TensorBoard: an extra, since each decoder's CSV says the same."""

from __future__ import annotations

import math
from pathlib import Path

from implant_sim import files
from implant_sim.study.store import RunFolder
from sbtt_models.errors import DataError, SpecError

__all__ = ["write_histories"]


def write_histories(folder: Path) -> Path:
    """Write the training history of each point and repeat as TensorBoard event files.

    Parameters
    ----------
    folder : pathlib.Path
        A run folder.

    Returns
    -------
    pathlib.Path
        Its sub-folder ``tensorboard``, written anew: ``tensorboard --logdir`` takes it.

    Raises
    ------
    SpecError
        Where TensorBoard is not installed.
    DataError
        If no point has a history.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise SpecError(
            "--tensorboard needs an extra: pip install 'implant-sim[tensorboard]'"
        ) from error
    store, out, found = RunFolder(folder), folder / "tensorboard", False
    if out.exists():
        files.remove_tree(out)
    for entry in store.entries():
        history = (store.result(entry.key) or {}).get("history", [])
        if not history:
            continue
        found = True
        writer = Writer(str(out / f"point_{entry.point}_repeat_{entry.repeat}"))
        for number, line in enumerate(history, 1):
            for name, value in line.items():
                if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                    writer.add_scalar(name, value, step=int(line.get("epoch", number)))
        writer.close()
    if not found:
        raise DataError(f"{folder}: no point has a training history; has the run finished any?")
    return out
