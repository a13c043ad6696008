"""The report of a run: figures, tables and one HTML page, from the run folder alone."""

from __future__ import annotations

from implant_sim.report.build import build, export_docs
from implant_sim.report.figures import figures

__all__ = ["build", "export_docs", "figures"]
