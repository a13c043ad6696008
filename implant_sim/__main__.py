"""``python -m implant_sim`` is the ``implant-sim`` command."""

from __future__ import annotations

from implant_sim.cli import main

if __name__ == "__main__":
    main()
