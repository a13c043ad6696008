"""A neural-interface hardware co-design simulator: fidelity against power.

>>> import implant_sim
>>> results = implant_sim.run("quickstart")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "run"]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): ``implant-sim --help`` must not wait for torch or pandas."""
    if name != "run":
        raise AttributeError(f"module 'implant_sim' has no attribute {name!r}")
    from implant_sim.study.run import run

    return run
