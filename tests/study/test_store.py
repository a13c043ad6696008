"""What is kept is kept whole, what is damaged is noticed, and the tables come from the folders."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from io import StringIO
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from implant_sim import files
from implant_sim.study import arrays, tables
from implant_sim.study.store import Entry, Outcome, RunFolder
from sbtt_models import atomic
from sbtt_models.errors import DataError

ROOT = Path(__file__).parents[2]
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
    names = ("write", "rename", "fsync")
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
                patch.setattr(atomic, name, counted(getattr(atomic, name)))
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


class TestIndex:
    @pytest.fixture
    def two(self, kept):
        kept.commit(Entry(1, 0, "f" * 20, {"a.b": 7}), outcome(velocity_r2=0.5))
        assert set(kept.kept([KEY, "f" * 20, "0" * 20])) == {KEY, "f" * 20}
        return kept

    @pytest.fixture
    def read(self, monkeypatch):
        """Which result.json were read."""
        read, real = [], RunFolder.result

        def result(self, key, **options):
            read.append(key)
            return real(self, key, **options)

        monkeypatch.setattr(RunFolder, "result", result)
        return read

    def test_what_it_knows_is_not_read_again(self, two, read):
        first = RunFolder(two.path).kept([KEY, "f" * 20])
        assert read == []
        assert first[KEY].row["power_w"] == 1e-3
        assert first["f" * 20].row["velocity_r2"] == 0.5

    def test_what_has_changed_is_verified_again_whatever_its_time_says(self, two, read):
        weights = two.points / KEY / "weights.safetensors"
        before = weights.stat()
        weights.write_bytes(b"wEights")
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert set(two.kept([KEY, "f" * 20])) == {"f" * 20}
        assert read == [KEY]
        weights.write_bytes(b"weights")
        assert set(two.kept([KEY, "f" * 20])) == {KEY, "f" * 20}

    def test_a_folder_that_has_gone_is_gone(self, two):
        two.discard(KEY)
        assert set(two.kept([KEY, "f" * 20])) == {"f" * 20}

    @pytest.mark.parametrize("harm", ["lost", "empty", "noise", "cut", "version", "table", "none"])
    def test_lost_or_damaged_it_is_made_anew(self, two, read, harm, capsys):
        path = two.path / "index.sqlite"
        whole = tables.write_tables(two)
        with sqlite3.connect(path) as base:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if harm == "version":
                base.execute("PRAGMA user_version = 99")
            if harm == "table":
                base.execute("UPDATE points SET content = '{'")
            if harm == "none":
                base.execute("DROP TABLE points")
        base.close()
        data = path.read_bytes()
        if harm == "lost":
            path.unlink()
        elif harm in ("empty", "noise", "cut"):
            new = {"empty": b"", "noise": bytes(5000), "cut": data[: len(data) // 2]}[harm]
            path.write_bytes(new)
        assert tables.write_tables(RunFolder(two.path)).equals(whole)
        assert set(read) == {KEY, "f" * 20}
        read.clear()
        RunFolder(two.path).kept([KEY, "f" * 20])
        RunFolder(two.path).kept([KEY, "f" * 20])
        assert len(read) <= 2  # at the latest now it is whole again
        read.clear()
        RunFolder(two.path).kept([KEY, "f" * 20])
        assert read == []

    def test_without_it_everything_works(self, two, read):
        (two.path / "index.sqlite").unlink()
        (two.path / "index.sqlite").mkdir()
        assert set(RunFolder(two.path).kept([KEY, "f" * 20])) == {KEY, "f" * 20}

    def test_many_may_open_it_at_once(self, tmp_path):
        RunFolder(tmp_path).commit(Entry(0, 0, KEY, {}), outcome())
        script = f"""if True:
            from pathlib import Path
            from implant_sim.study.store import RunFolder
            print(list(RunFolder(Path({str(tmp_path)!r})).kept([{KEY!r}])))
        """
        others = [
            subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, cwd=ROOT)
            for _ in range(4)
        ]  # fmt: skip
        assert [other.communicate() for other in others] == [(f"['{KEY}']\n", "")] * 4


class TestBatches:
    def test_rows_of_many_points_in_one_file(self, tmp_path):
        folder = RunFolder(tmp_path)
        folder.points.mkdir()
        keys = [f"{i:020x}" for i in range(30)]
        for part in (keys[:20], keys[20:]):
            folder.commit_rows([(Entry(int(k, 16), 0, k, {"x": 1}), outcome()) for k in part])
        assert len(list((tmp_path / "batches").iterdir())) == 2
        results, energy = tables.read_points(RunFolder(tmp_path))
        assert results["point"].tolist() == list(range(30))
        assert len(energy) == 30
        assert folder.result(keys[3])["row"]["power_w"] == 1e-3

    def test_a_damaged_batch_holds_nothing_and_spoils_nothing(self, tmp_path):
        folder = RunFolder(tmp_path)
        for i in range(2):
            folder.commit_rows([(Entry(i, 0, f"{i:020x}", {}), outcome())])
        damaged = next((tmp_path / "batches").iterdir())
        damaged.write_bytes(damaged.read_bytes().replace(b'"ok"', b'"Ok"'))
        assert len(RunFolder(tmp_path).kept([f"{i:020x}" for i in range(2)])) == 1


def test_folders_of_older_versions_stay_readable(tmp_path):
    kept = tmp_path / "old"  # reading makes the index anew where it has to
    shutil.copytree(Path(__file__).parent / "old_folders", kept)
    assert list(kept.iterdir())
    for old in sorted(kept.iterdir()):
        results, energy = tables.read_points(RunFolder(old))
        pd.testing.assert_frame_equal(
            pd.read_csv(StringIO(tables.csv(results)))[list(tables.RESULTS)],
            pd.read_csv(old / "results.csv")[list(tables.RESULTS)],
        )
        assert tables.csv(energy) == (old / "energy.csv").read_text()
        for entry in RunFolder(old).entries():
            values, attrs = RunFolder(old).arrays(entry.key)
            assert {"counts", "observed", "rates"} <= set(values)
            assert attrs["bin_s"] > 0


def test_tables_are_written_as_pandas_would():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "real": rng.normal(size=40) * 10.0 ** rng.integers(-300, 300, 40),
        "gaps": [None, 1.5, np.nan, -0.0] * 10,
        "whole": rng.integers(-5, 5, 40),
        "whole, gaps": [None, 3] * 20,
        "told": ["a,b", 'say "x"', "two\nlines", None] * 10,
        "mixed": [1, 2.5, True, "x"] * 10,
        "yes": [True, False] * 20,
        "nothing": [None] * 40,
    })  # fmt: skip
    assert tables.csv(table) == table.to_csv(index=False, lineterminator="\n")


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
