"""Fit a scenario's implant to powers that were measured, and write it as YAML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from implant_sim.files import write_text
from implant_sim.hardware.chip_fit import Calibrated, calibrate
from implant_sim.study.load import load
from implant_sim.study.run import acquisition
from implant_sim.study.yaml_loader import parse_file
from sbtt_models.errors import SpecError
from sbtt_models.units import to_si

__all__ = ["fit_chip", "read_measured"]


def fit_chip(scenario: str, overrides: Sequence[str], measured: Path, out: Path) -> dict[str, Any]:
    """Fit the implant of a scenario's one point, and write it.

    Parameters
    ----------
    scenario : str
        A file, or the name of a shipped scenario: what the chip did while it was measured.
    overrides : sequence of str
        As for `load`.
    measured : pathlib.Path
        YAML: component, or ``total``, to its power.
    out : pathlib.Path
        Where the fitted implant goes.

    Returns
    -------
    dict
        Parameters with factor and value, powers before and after, path.

    Raises
    ------
    SpecError
        For a scenario of several points, or powers that cannot be fitted.
    """
    powers = read_measured(measured)
    study = load(scenario, overrides)
    if len(study.points) > 1:
        raise SpecError(
            f"{scenario}: {len(study.points)} points, but a chip is measured doing one thing; "
            "choose one: --set sweep=null and the swept key"
        )
    point = study.points[0].scenario
    got = acquisition(point, 0, study.root)
    found = calibrate(point.implanted, powers, got.activity)
    write_text(out, _as_yaml(found))
    return {
        "parameters": [
            {"parameter": key, "factor": factor, "value": found.values[key]}
            for key, factor in found.factors.items()
        ],
        "fit": [
            {
                "component": row.component,
                "measured_w": row.measured_w,
                "before_w": row.before_w,
                "after_w": row.after_w,
                "log10_ratio": row.residual / math.log(10),
            }
            for row in found.fit
        ],
        "out": str(out),
    }


def read_measured(path: Path) -> dict[str, float]:
    """Read a mapping of component to power. [W]

    Raises
    ------
    SpecError
        For what is no mapping, or a value that is no power.
    """
    tree = parse_file(path)
    if not isinstance(tree.value, dict) or not tree.mapping:
        raise SpecError(f"{tree.place}: measured powers are a block of keys, as `amplifier: 5 mW`")
    powers = {}
    for name, node in tree.mapping.items():
        try:
            powers[name] = to_si(node.value, "W")
        except ValueError as error:
            raise SpecError(f"{node.place}: {name}: {error}") from None
    return powers


def _as_yaml(found: Calibrated) -> str:
    tree = found.implant.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=99)
