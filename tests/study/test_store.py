"""What is kept is kept whole, what is damaged is noticed, and the tables come from the folders."""

from __future__ import annotations

import errno
import json
import os

import h5py
import numpy as np
import pandas as pd
import pytest

from implant_sim import files
from implant_sim.study import arrays, tables
from implant_sim.study.store import Entry, Outcome, RunFolder
from sbtt_models.spec import DataError

KEY = "0123456789abcdef0123"


def outcome(**row):
    return Outcome(
        row={"scenario": "s", "status": "ok", "power_w": np.float64(1e-3), **row},
        energy=[{"component": "adc", "action": "convert", "count": 3, "price_j": 2.0,
                 "energy_j": 6.0, "source": "=cmd|' /C calc'!A0"}],
        arrays={"rates": np.arange(6.0).reshape(1, 2, 3), "split/test": np.array([0])},
        attrs={"bin_s": 0.02, "window_bins": 0},
        detail={"history": [{"epoch": 1, "loss": float("nan")}]},
        save=lambda folder: (folder / "weights.safetensors").write_bytes(b"weights"),
    )  # fmt: skip


@pytest.fixture
def kept(tmp_path):
    folder = RunFolder(tmp_path)
    folder.commit(Entry(0, 0, KEY, {"a.b": 5}), outcome())
    return folder


def test_what_was_kept_is_read_back(kept):
    content = kept.result(KEY, verify=True)
    assert content["row"] == {"scenario": "s", "status": "ok", "power_w": 1e-3}
    assert content["history"] == [{"epoch": 1, "loss": None}]  # JSON knows no NaN
    assert set(content["files"]) == {"arrays.h5", "weights.safetensors"}
    got, attrs = kept.arrays(KEY)
    np.testing.assert_array_equal(got["rates"], np.arange(6.0).reshape(1, 2, 3))
    assert attrs == {"bin_s": 0.02, "window_bins": 0}


def test_every_flipped_bit_and_every_cut_is_noticed(kept):
    rng = np.random.default_rng(0)
    for name in ("result.json", "arrays.h5", "weights.safetensors"):
        path = kept.points / KEY / name
        whole = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            assert kept.result(KEY, verify=True) is None, name
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            assert kept.result(KEY, verify=True) is None, name
        path.unlink()
        assert kept.result(KEY, verify=True) is None, name
        path.write_bytes(whole)
    assert kept.result(KEY, verify=True) is not None


def test_a_folder_under_another_name_is_not_a_result(kept):
    (kept.points / KEY).rename(kept.points / ("f" * 20))
    assert kept.result("f" * 20) is None


def test_nth_failing_call_leaves_all_or_nothing(tmp_path, monkeypatch):
    names = ("_write", "_rename", "_fsync_folder")
    for n in range(1, 100):
        folder = RunFolder(tmp_path / str(n))
        left = [n]

        def counted(real, left=left):
            def call(*args):
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(*args)

            return call

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(files, name, counted(getattr(files, name)))
            try:
                folder.commit(Entry(0, 0, KEY, {}), outcome())
                done = True
            except files.WriteError:
                done = False
        assert folder.result(KEY, verify=True) is not None or not (folder.points / KEY).exists()
        if done:
            break
        folder.commit(Entry(0, 0, KEY, {}), outcome())
        assert folder.result(KEY, verify=True) is not None
    assert n > 6


def test_tables_come_from_the_folders(kept, tmp_path):
    other = "f" * 20
    kept.commit(Entry(1, 0, other, {"a.b": 7}), outcome(velocity_r2_0=0.5))
    results = tables.write_tables(kept)
    assert list(results.columns[: len(tables.RESULTS)]) == list(tables.RESULTS)
    assert list(results.columns[len(tables.RESULTS) :]) == [
        *tables.EXTRA, "velocity_r2_0", "a.b",
    ]  # fmt: skip
    assert results["a.b"].tolist() == [5, 7]
    read = pd.read_csv(tmp_path / "results.csv")
    assert read["power_w"].tolist() == [1e-3, 1e-3]
    assert read["nll"].isna().all()
    energy = pd.read_csv(tmp_path / "energy.csv")
    assert list(energy.columns[:7]) == [
        "point", "component", "action", "count", "price_j", "energy_j", "source",
    ]  # fmt: skip
    assert energy["source"].tolist() == ["'=cmd|' /C calc'!A0"] * 2
    (tmp_path / "results.csv").unlink()
    (kept.points / other / "result.json").write_text("{")
    assert tables.write_tables(kept)["a.b"].tolist() == [5]


def test_run_json_says_which_points_belong_to_the_study(kept):
    listed = [{"point": 4, "repeat": 2, "key": KEY, "axes": {"x": 1}}]
    kept.write_run({"points": listed})
    results, energy = tables.read_points(kept)
    assert results[["point", "repeat", "x"]].iloc[0].tolist() == [4, 2, 1]
    assert energy["repeat"].tolist() == [2]
    kept.write_run({"points": []})
    assert tables.read_points(kept)[0].empty
    (kept.path / "run.json").write_text("[not json")
    assert tables.read_points(kept)[0]["point"].tolist() == [0]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_run_is_defused(text):
    table = pd.DataFrame({"a": [text, "plain"], "b": [-1.5, 2]})
    line = tables.csv(table)
    assert f"'{text}" in line
    assert "-1.5" in line
    assert "'-1.5" not in line


def test_no_such_run_folder(tmp_path):
    with pytest.raises(DataError, match="is no run folder"):
        tables.read_points(RunFolder(tmp_path / "none"))


class TestArrays:
    def test_small_types_gzip_and_checksums(self, tmp_path):
        path = tmp_path / "a.h5"
        path.write_bytes(
            arrays.pack({"counts": arrays.compact(np.array([[0, 3]])), "e": np.zeros(0)}, {"b": 1})
        )
        with h5py.File(path) as file:
            assert file["counts"].dtype == np.uint8
            assert file["counts"].compression == "gzip"
            assert file["counts"].fletcher32
        assert arrays.compact(np.array([300])).dtype == np.uint16
        assert arrays.compact(np.array([], int)).dtype == np.uint8

    def test_rounding_is_within_its_promise(self):
        values = np.random.default_rng(0).lognormal(0, 5, 10_000).astype(np.float32)
        assert np.abs(arrays.rounded(values) / values - 1).max() < 1.3e-4
        assert np.isfinite(arrays.rounded(np.array([3.4e38, 0.0, 1e-38]))).all()

    def test_damage_is_a_data_error(self, tmp_path):
        (tmp_path / "a.h5").write_bytes(b"no HDF5")
        with pytest.raises(DataError, match="cannot be read as HDF5"):
            arrays.read(tmp_path / "a.h5")


def test_json_of_a_result_is_plain_json(kept):
    text = (kept.points / KEY / "result.json").read_text()
    assert json.loads(text)["content"]["row"]["status"] == "ok"
