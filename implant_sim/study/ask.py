"""A question put to a scenario from the command line: the same as a ``search:`` with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from implant_sim.study.find import read_scenario
from implant_sim.study.load import Study, load
from implant_sim.study.tree import assignment, get
from sbtt_models.errors import SpecError

__all__ = ["asked"]


def asked(
    scenario: str | Path,
    question: str,
    of: str | None = None,
    where: Sequence[str] = (),
    vary: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Study:
    """Read a scenario as the search that answers a question about it.

    Parameters
    ----------
    scenario : str or pathlib.Path
        A file, or the name of a shipped scenario. Its own sweep is left aside; of its own search
        space, sampler and budget are kept.
    question : str
        One of `implant_sim.study.search.questions`.
    of : str, optional
        The key that `most` and `least` ask of.
    where : sequence of str
        Conditions.
    vary : sequence of str
        ``key=values`` or ``key=range`` texts: the design space, instead of the scenario's own.
    overrides : sequence of str
        ``key.path=value`` texts.

    Raises
    ------
    SpecError
        For a question that is none, and as :func:`~implant_sim.study.load.load`.
    """
    _, tree = read_scenario(scenario)
    kept: dict[str, Any] = {}
    for part in ("space", "skip", "sampler", "budget"):
        node = get(tree, ("search", part))
        if node is not None:
            kept[part] = node.plain()
    own = kept.get("space", {})
    space = {key: node.plain() for key, node in map(assignment, vary)}
    if of is not None and not space and of not in own:
        raise SpecError(f"--of {of}: give its range: --vary '{of}=[LOW, HIGH]'")
    named = {"kind": question} | ({} if of is None else {"of": of})
    search = kept | {"question": named, "constraints": list(where)}
    if space or of is not None:
        search["space"] = space or {key: node for key, node in own.items() if key == of}
    elif question == "most_channels":
        search.pop("space", None)
    name = get(tree, ("name",))
    title = f"name={str(name.plain() if name else 'asked')[:60]}_{question}"
    return load(scenario, [title, "sweep=null", f"search={json.dumps(search)}", *overrides])
