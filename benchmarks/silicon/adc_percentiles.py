"""Percentiles of the Walden figure of merit, as `implant_sim.hardware.physics.survey` holds them.

    python benchmarks/silicon/adc_percentiles.py SURVEY.csv

SURVEY.csv is B. Murmann's ADC Performance Survey 1997-2025 (github.com/bmurmann/ADC-survey), one
row for each converter, with the columns `year`, `architecture`, `power_W`, `sndr_dB`, `fsnyq_Hz`
and `fomw_fJ`. Rows without a power, or with the 1 dB that stands for an unknown SNDR, are left
out: their figure of merit is a placeholder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from implant_sim.hardware.physics.survey import SPEEDS_HZ, YEARS

LEAST_N = 10
"""Converters that a cell needs, lest its 10 and 90 % be single parts."""


def percentiles(survey: pd.DataFrame) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """Number of converters and 10, 50, 90 % of their figure of merit [fJ], for each cell."""
    survey = survey[survey["power_W"].notna() & (survey["sndr_dB"] > 1)]
    sar = survey["architecture"].str.split(", ").map(lambda parts: "SAR" in parts)
    cells = {}
    for architecture, chosen in (("any", np.ones(len(survey), dtype=bool)), ("sar", sar)):
        for years in YEARS:
            first, last = (int(year) for year in years.split("-"))
            for speed, (low, high) in SPEEDS_HZ.items():
                inside = survey["year"].between(first, last) & chosen
                inside &= (survey["fsnyq_Hz"] > low) & (survey["fsnyq_Hz"] <= high)
                if inside.sum() < LEAST_N:
                    continue
                fom = np.percentile(survey.loc[inside, "fomw_fJ"], [10, 50, 90])
                cells[architecture, years, speed] = (
                    int(inside.sum()), *(float(f"{value:.3g}") for value in fom)
                )  # fmt: skip
    return cells


def main() -> None:
    for key, row in percentiles(pd.read_csv(Path(sys.argv[1]))).items():
        print(f"        {key!r}: {row!r},".replace("'", '"'))


if __name__ == "__main__":
    main()
