"""The two tables of a study, rebuilt from its points. Names of columns stay; new ones go last."""

from __future__ import annotations

import csv as commas
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from implant_sim import files
from implant_sim.study.store import Entry, RunFolder
from sbtt_models.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENERGY", "EXTRA", "RESULTS", "Row", "csv", "read_points", "write_tables"]

Row: TypeAlias = Mapping[str, Any]

RESULTS = (
    "scenario", "point", "repeat", "status", "recording", "implant", "decoder", "schedule", "seed",
    "n_channels", "bandwidth", "sampled_fraction", "bin_s", "sample_rate_hz", "link_rate_bps",
    "side_info_bps", "packet_loss", "latency_s", "energy_per_bin_j", "power_w",
    "power_amplifier_w", "power_multiplexer_w", "power_adc_w", "power_processing_w",
    "power_radio_w", "power_delivery_w", "power_overhead_w", "power_p10_w", "power_p90_w",
    "heat_k", "flux_w_m2", "battery_h", "within_limits", "limited_by", "margin", "nll",
    "bits_per_spike", "bits_per_spike_all", "co_bps", "rate_r2", "rate_r2_expected", "rate_r2_log",
    "rate_r2_unobserved", "behaviour", "velocity_r2", "psth_r2", "n_parameters", "epochs",
    "train_s",
)  # fmt: skip
"""What every results table has, in this order."""
EXTRA = (
    "ceiling_rate_r2", "n_silent", "n_never_observed", "judged_twice", "revisit_gap_max_s",
    "revisit_gap_mean_s", "coverage", "coverage_gini", "switch_hz", "valid_fraction",
    "detection_probability", "false_hz", "decoded_by", "started_from", "epochs_before",
    "start_energy_j", "held_out_bps", "forward_bps",
)  # fmt: skip
"""Further scores and how the schedule covered the array, after those; velocity_r2_0,
velocity_r2_1, ... follow where there are any."""
ENERGY = (
    "point", "component", "action", "count", "price_j", "energy_j", "source", "source_kind",
    "repeat",
)  # fmt: skip


def read_points(
    folder: RunFolder, entries: Sequence[Entry] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results and the energy table of all points kept so far.

    Parameters
    ----------
    folder : RunFolder
        Where they are kept.
    entries : sequence of Entry, optional
        Which to list; those of the study that ran there last if None.

    Raises
    ------
    DataError
        If this is no run folder.
    """
    if not folder.points.is_dir():
        raise DataError(f"{folder.path}: is no run folder; it holds no 'points'")
    rows, axes = list[Row](), dict[str, None]()
    energy = list[Row]()
    listed = folder.entries() if entries is None else entries
    kept = folder.kept(entry.key for entry in listed)
    for entry in listed:
        axes.update(dict.fromkeys(entry.axes))
        content = kept.get(entry.key)
        if content is None:
            continue
        own = {"point": entry.point, "repeat": entry.repeat}
        rows.append(content.row | entry.axes | own)
        energy.extend(row | own for row in content.energy)
    return _results(rows, tuple(axes)), _energy(energy)


def write_tables(folder: RunFolder, entries: Sequence[Entry] | None = None) -> pd.DataFrame:
    """Rebuild results.csv and energy.csv as :func:`read_points` reads; returns the results."""
    results, energy = read_points(folder, entries)
    files.write_text(folder.path / "results.csv", csv(results))
    files.write_text(folder.path / "energy.csv", csv(energy))
    return results


def _results(rows: Iterable[Row], axes: tuple[str, ...]) -> pd.DataFrame:
    """One row for each point and repeat; all columns of the contract, then those of the sweep."""
    listed = list(rows)
    named = {key for row in listed for key in row}
    parts = sorted(key for key in named if key.startswith("velocity_r2_"))
    return _table(listed, list(dict.fromkeys([*RESULTS, *EXTRA, *parts, *axes])))


def _energy(rows: Iterable[Row]) -> pd.DataFrame:
    """One row for each point, repeat, component and action."""
    return _table(list(rows), list(ENERGY))


def _table(rows: Sequence[Row], columns: list[str]) -> pd.DataFrame:
    import pandas as pd  # only where there is something to tell: it takes a third of a second

    # column by column, which pandas takes several times faster than row by row
    table = pd.DataFrame({c: [row.get(c) for row in rows] for c in columns}, columns=columns)
    return table.sort_values(["point", "repeat"], kind="stable", ignore_index=True)


def csv(table: pd.DataFrame) -> str:
    """The table as CSV; text that a spreadsheet would take for a formula is defused.

    As `DataFrame.to_csv` writes it, in a fraction of the time.
    """
    out = io.StringIO()
    writer = commas.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*(_written(table[name]) for name in table), strict=True))
    return out.getvalue()


def _written(column: pd.Series[Any]) -> list[Any]:
    values = column.astype(object).where(column.notna(), None).tolist()
    return values if column.dtype.kind in "biuf" else [_defused(value) for value in values]


def _defused(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
