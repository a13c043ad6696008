"""Published chips, and how well the power of one is predicted from all the others."""

from __future__ import annotations

from implant_sim.study.silicon.score import Scored, score
from implant_sim.study.silicon.table import Chip, packaged, read

__all__ = ["Chip", "Scored", "packaged", "read", "score"]
