"""What is written for other machines reads back as the same mask."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from implant_sim import cli
from implant_sim.hardware import export, intan
from implant_sim.hardware.acquire import acquire, plan
from implant_sim.study.load import load
from implant_sim.study.run import acquisition
from sbtt_models.errors import DataError, SpecError
from tests.hardware import hw
from tests.hardware.test_schedules import steps
from tests.study import study_fakes

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 70)))


@settings(deadline=None)
@given(mask=MASKS)
def test_round_trips(mask):
    assert (export.from_table(export.table(mask)) == mask).all()
    image = export.rom(mask, 0.0025)
    back, step_s = export.from_rom(image)
    assert (back == mask).all()
    assert step_s == 0.0025
    assert export.from_intel_hex(export.intel_hex(image)) == image
    assert (intan.from_rhd(intan.rhd(mask, 0.02, 20e3)) == mask).all()


@given(
    cycle=arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 5))),
    times=st.integers(2, 4),
    rest=st.integers(0, 5),
)
def test_period(cycle, times, rest):
    mask = np.tile(cycle, (times + 1, 1))[: times * len(cycle) + rest]
    found = export.period(mask)
    assert found <= len(cycle)
    assert (mask == mask[np.arange(len(mask)) % found]).all()
    shorter = (p for p in range(1, found) if 2 * p <= len(mask))
    assert not any((mask[p:] == mask[:-p]).all() for p in shorter)


def test_what_never_repeats_is_its_own_period():
    assert export.period(np.eye(4, dtype=bool)) == 4
    assert export.period(np.tile(np.eye(4, dtype=bool), (2, 1))[:7]) == 7  # not seen twice
    assert export.period(np.ones((5, 2), dtype=bool)) == 1
    assert export.period(np.zeros((0, 2), dtype=bool)) == 0


def test_a_rom_bit_by_bit():
    mask = np.zeros((2, 10), dtype=bool)
    mask[0, 0] = mask[0, 9] = mask[1, 3] = True
    image = export.rom(mask, 0.01)
    rows = bytes([0x01, 0x02, 0x08, 0x00])
    assert image[:16] == b"IMPLROM1\x02\x00\x00\x00\x0a\x00\x00\x00"
    assert image[24:28] == zlib.crc32(rows).to_bytes(4, "little")
    assert image[28:] == rows


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda image: image[:20], "20 bytes that do not begin"),
        (lambda image: b"x" + image[1:], "do not begin with IMPLROM1"),
        (lambda image: image[:-1], "bytes of rows"),
        (lambda image: image + b"\0", "bytes of rows"),
        (lambda image: image[:-1] + b"\xff", "another CRC"),
    ],
)
def test_a_damaged_rom(spoil, says):
    with pytest.raises(DataError, match=says):
        export.from_rom(spoil(export.rom(np.eye(9, dtype=bool), 0.01)))


def test_intel_hex_of_the_published_example():
    """The record that every description of the format shows."""
    line = ":10010000214601360121470136007EFE09D2190140"
    data = bytes.fromhex("214601360121470136007EFE09D21901")
    assert line in export.intel_hex(bytes(256) + data)


def test_intel_hex_across_a_segment():
    image = bytes(range(256)) * 300
    text = export.intel_hex(image)
    assert ":020000040001F9" in text
    assert export.from_intel_hex(text) == image


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the last line is missing"),
        (":0300000061626300\n:00000001FF", "damaged"),
        (":03000000616263D7", "the last line is missing"),
        ("03000000616263D7", "damaged"),
        (":zz", "is no record"),
        (":03001000616263C7\n:00000001FF", "type 0 at 0x10"),
        (":00000005FB\n:00000001FF", "type 5"),
    ],
)
def test_damaged_intel_hex(text, says):
    with pytest.raises(DataError, match=says):
        export.from_intel_hex(text)


def test_commands_of_a_chip_by_hand():
    mask = np.zeros((2, 40), dtype=bool)
    mask[0, [1, 33]] = mask[1, 7] = True
    lines = intan.rhd(mask, 0.02, 30e3).splitlines()
    table = [line.split(",") for line in lines[4:]]
    assert [row[:3] for row in table] == [
        ["0", "-1", "1"], ["1", "-1", "1"],
        ["0", "0", "600"], ["1", "0", "600"], ["0", "1", "600"], ["1", "1", "600"],
    ]  # fmt: skip
    assert all(len(row) == 3 + 35 for row in table)
    # amplifiers 1 and 7 of the first chip, 1 of the second; the others without power
    assert table[0][3:8] == ["8E82", "8F00", "9000", "9100", "FF00"]
    assert table[1][3:7] == ["8E02", "8F00", "9000", "9100"]
    assert table[2][3:5] == ["0100", "FF00"]
    assert table[3][3:5] == ["0100", "FF00"]
    assert table[4][3:5] == ["0700", "FF00"]
    assert set(table[5][3:]) == {"FF00"}


def test_full_arrays_fill_32_of_35_slots():
    lines = intan.rhd(np.ones((1, 32), dtype=bool), 0.001, 30e3).splitlines()
    words = lines[-1].split(",")[3:]
    assert words == [f"{c << 8:04X}" for c in range(32)] + ["FF00"] * 3
    assert lines[4].split(",")[3:7] == ["8EFF", "8FFF", "90FF", "91FF"]


@pytest.mark.parametrize(
    ("step_s", "rate_hz", "says"),
    [(0.02, 31e3, "so 30000 Hz at most"), (0.00205, 1e3, "whole number of them")],
)
def test_what_a_chip_cannot_do(step_s, rate_hz, says):
    with pytest.raises(SpecError, match=says):
        intan.rhd(np.eye(3, dtype=bool), step_s, rate_hz)


def test_foreign_texts_are_refused():
    for text in ("", "hello", "# steps: 2\n# channels: 1\nstep,channel\n5,0\n"):
        with pytest.raises(DataError):
            export.from_table(text)
        with pytest.raises(DataError):
            intan.from_rhd(text)
    with pytest.raises(DataError, match="below 0"):
        export.from_table("# steps: 2\n# channels: 1\nstep,channel\n-1,0\n")
    text = intan.rhd(np.eye(3, dtype=bool), 0.02, 20e3).replace("8E07", "8E03")
    with pytest.raises(DataError, match="channel 2 has no power"):
        intan.from_rhd(text)


def test_plan_is_what_an_acquisition_does():
    tree = {"kind": "random_subset", "bandwidth": 3}
    schedule = hw.SCHEDULE.validate_python(tree)
    rec, implant = hw.recording(), hw.implant()
    mask = plan(rec, implant, schedule, np.random.default_rng(3)).sampled
    stream, _ = acquire(rec, implant, schedule, np.random.default_rng(3))
    assert (stream.observed.reshape(mask.shape) == mask).all()


def test_a_table_runs_as_a_schedule(tmp_path):
    for tree in (
        {"kind": "weighted", "bandwidth": 3, "by": "rate"},
        {"kind": "blocks", "bandwidth": 3},
    ):
        mask = steps(tree)
        path = tmp_path / "table.csv"
        path.write_text(export.table(mask[: export.period(mask)]))
        assert (steps({"kind": "file", "path": str(path)}) == mask).all()


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, **changes):
        turns = {"kind": "round_robin", "bandwidth": 3}
        (tmp_path / "s.yaml").write_text(json.dumps(study_fakes.tiny(schedule=turns) | changes))
        with pytest.raises(SystemExit) as ended:
            cli.app(["schedule", "s.yaml", *arguments], prog_name="implant-sim")
        return ended.value.code, *capsys.readouterr()

    return call


def test_the_command_writes_what_a_run_samples(command, tmp_path):
    masks = {}
    for form, name in (("table", "t.csv"), ("rom", "r.bin"), ("rom", "r.hex"), ("rhd", "c.csv")):
        code, out, err = command("--format", form, "--out", name)
        assert (code, err) == (0, "")
        assert f"{name}: " in out
        assert "which repeat" in out
        content = (tmp_path / name).read_bytes()
        if name == "r.hex":
            content = export.from_intel_hex(content.decode())
        masks[name] = {
            "table": lambda c: export.from_table(c.decode()),
            "rom": lambda c: export.from_rom(c)[0],
            "rhd": lambda c: intan.from_rhd(c.decode()),
        }[form](content)
    first = masks["t.csv"]
    assert all((mask == first).all() for mask in masks.values())
    study = load("s.yaml")
    stream = acquisition(study.points[0].scenario, 0, study.root).stream
    rows = stream.observed[stream.counts.sum(axis=2) >= 0].reshape(-1, stream.counts.shape[2])
    assert (rows == first[np.arange(len(rows)) % len(first)]).all()
    # and the table, given back to the scenario, samples the same
    own = load("s.yaml", ["schedule={kind: file, path: t.csv}"])
    again = acquisition(own.points[0].scenario, 0, own.root).stream
    assert np.array_equal(again.observed, stream.observed)


def test_the_command_as_json(command):
    code, out, _ = command("--out", "t.csv", "--json", "--set", "schedule.dwell=10 ms")
    told = json.loads(out)
    assert code == 0
    assert (told["format"], told["step_s"], told["repeats"]) == ("table", 0.01, True)


def test_what_the_command_refuses(command):
    sweep = {"schedule.bandwidth": [2, 3]}
    code, _, err = command("--out", "t.csv", sweep=sweep)
    assert code == 2
    assert "2 points, but one schedule is written" in err
    code, _, err = command("--out", "t.csv", schedule={"kind": "event_driven", "delta": 1})
    assert code == 2
    assert "follows the data" in err
    code, _, err = command("--out", "nowhere/t.csv")
    assert code == 1
    assert "cannot write nowhere" in err
