"""Scenarios: what is valid, what is refused, and how it is said."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

import scenarios
from implant_sim.study.catalog import catalog, json_schema
from implant_sim.study.find import shipped
from implant_sim.study.load import load
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import RunFolder
from implant_sim.study.sweep import MAX_RUNS
from implant_sim.study.yaml_loader import parse_file
from sbtt_models.errors import LimitError, SpecError
from tests.study.study_fakes import tiny

FILE = {"kind": "npz", "path": "a.npz", "counts": "c", "bin": "20 ms"}
TEXT = """\
name: trial
seed: 3
repeats: 2
recording:
  kind: lorenz
  channels: 4
  conditions: 2
  trials: 4
  bins: 20
implant: implants/gated_uwb.yaml
schedule:
  kind: random_subset
  bandwidth: 2
decoder:
  kind: autoencoder
  generator: 8
training:
  epochs: 3
  patience: 2
score:
  withheld: 20 %
"""


@pytest.fixture
def write(tmp_path):
    def write(text=TEXT, name="s.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def fault(path, overrides=()):
    with pytest.raises(SpecError) as caught:
        load(path, overrides)
    return str(caught.value).replace(str(path), "s.yaml")


def test_one_point(write):
    study = load(write())
    assert (study.name, study.seed, study.repeats, len(study.points)) == ("trial", 3, 2, 1)
    assert study.points[0].scenario.score.withheld == 0.2
    assert study.points[0].scenario.implant.name == "gated_uwb"
    assert study.points[0].axes == {}


def test_all_faults_at_once_each_with_its_place(write):
    text = TEXT.replace("bandwidth: 2", "bandwith: 2").replace("epochs: 3", "epochs: many")
    text = text.replace("seed: 3", "seed: -1").replace("kind: autoencoder", "kind: autoencodr")
    lines = fault(write(text)).split("\n")
    assert lines[0].startswith("s.yaml:2:7: seed: Input should be greater than or equal to 0")
    assert lines[0].endswith("got -1")
    wrong = [line for line in lines if "s.yaml:13:3: schedule.bandwith: unknown key" in line]
    assert "did you mean 'bandwidth'?" in wrong[0]
    kind = [line for line in lines if line.startswith("s.yaml:15:9: decoder: unknown kind")]
    assert "did you mean 'autoencoder'?" in kind[0]
    assert ", autoencoder, " in kind[0]
    assert any(line.startswith("s.yaml:18:11: training.epochs: ") for line in lines)


@pytest.mark.parametrize(
    "key",
    [
        line.split(":")[0].strip()
        for line in TEXT.splitlines()
        if not line.strip().startswith("kind")
    ],
)
def test_one_letter_typo_of_any_key_is_found_and_mended(write, key):
    typo = key[:-2] + key[-1]
    number = next(i for i, line in enumerate(TEXT.splitlines(), 1) if line.strip().startswith(key))
    column = TEXT.splitlines()[number - 1].index(key) + 1
    message = fault(write(re.sub(rf"\b{key}:", f"{typo}:", TEXT, count=1)))
    found = [line for line in message.split("\n") if line.startswith(f"s.yaml:{number}:{column}:")]
    assert any("unknown key" in line and f"did you mean {key!r}?" in line for line in found)


def test_missing_key_and_missing_kind(write):
    assert "s.yaml:1:1: 'schedule' is missing" in fault(
        write(TEXT.replace("schedule:\n  kind: random_subset\n  bandwidth: 2\n", ""))
    )
    message = fault(write(TEXT.replace("  kind: random_subset\n", "")))
    assert "s.yaml:12:3: schedule: 'kind' is missing (known: activity, " in message


def test_fault_in_an_implant_file_names_that_file(write, tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\narrray: {}\n")
    message = fault(write(TEXT.replace("implants/gated_uwb.yaml", "mine.yaml")))
    assert (
        f"{tmp_path}/mine.yaml:2:1: implant.arrray: unknown key; did you mean 'array'?" in message
    )


def test_unknown_implant_and_unknown_scenario(write):
    message = fault(write(TEXT.replace("gated_uwb", "gated_uwc")))
    assert "s.yaml:10:10: implant: no file 'implants/gated_uwc.yaml'" in message
    assert "did you mean 'gated_uwb'?" in message
    with pytest.raises(SpecError, match="no such file or shipped scenario; did you mean 'quickst"):
        load("quickstrat")
    with pytest.raises(SpecError, match="no such file"):
        load("nowhere/quickstart.yaml")


def test_an_override_of_a_swept_key_is_not_swept_away(write):
    path = write(TEXT + "sweep: {schedule.bandwidth: [1, 2]}\n")
    assert "is an axis of the sweep" in fault(path, ["schedule.bandwidth=3"])
    study = load(path, ["sweep.schedule.bandwidth=[3]"])
    assert [point.scenario.schedule.bandwidth for point in study.points] == [3]
    assert len(load(path, ["sweep=null"]).points) == 1


def test_the_seed_is_no_axis(write):
    assert "cannot be swept" in fault(write(TEXT + "sweep: {seed: [0, 10]}\n"))


@pytest.mark.parametrize(
    "override",
    [
        "recording={kind: hdf5, path: mine.h5, counts: c, bin: 20 ms}",
        "sweep={recording: [{kind: hdf5, path: mine.h5, counts: c, bin: 20 ms}]}",
    ],
)
def test_paths_of_overrides_start_where_the_command_was_typed(
    write, tmp_path, monkeypatch, override
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = load(write(), [override])
    assert study.points[0].scenario.recording.path == tmp_path / "here" / "mine.h5"


@pytest.mark.parametrize(
    "name",
    [
        "../../x", "/etc/x", "a/b", "a\\\\b", ".", "..", ".hidden", "CON", "nul", "com1.txt", "a ",
        " a", "", "x" * 81, "a:b", "a*b", "~", "-rf", "ä", "a\\0b", "name.", "$(ls)", "%2e%2e",
        "a\\u202eb",
    ],
)  # fmt: skip
def test_name_that_could_leave_the_folder_is_refused(write, name):
    assert "name" in fault(write(TEXT.replace("name: trial", f'name: "{name}"')))


class TestOverrides:
    def test_scalars_blocks_lists_and_new_blocks(self, write):
        study = load(
            write(),
            ["schedule={kind: static_subset, fraction: 25 %}", "score.max_lag=200 ms", "seed=9"],
        )
        scenario = study.points[0].scenario
        assert (scenario.schedule.kind, scenario.schedule.fraction) == ("static_subset", 0.25)
        assert scenario.score.max_lag_s == 0.2
        assert study.seed == 9
        assert study.tree["schedule"] == {"kind": "static_subset", "fraction": "25 %"}

    def test_inside_the_implant_file(self, write):
        study = load(write(), ["implant.limits.heat=2 K"])
        assert study.points[0].scenario.implant.limits.heat_k == 2

    def test_new_kind_starts_its_block_afresh(self, write):
        study = load(write(), ["implant.radio.kind=ble", "decoder.kind=smoothing"])
        scenario = study.points[0].scenario
        assert scenario.implant.radio.kind == "ble"
        assert study.tree["decoder"] == {"kind": "smoothing"}

    def test_same_kind_keeps_its_block(self, write):
        study = load(write(), ["decoder.kind=autoencoder"])
        assert study.points[0].scenario.decoder.generator == 8

    def test_a_sweep_from_the_command_line(self, write):
        study = load(write(), ["sweep.schedule.bandwidth=[1, 3]"])
        assert [p.scenario.schedule.bandwidth for p in study.points] == [1, 3]

    def test_a_mapping_does_the_same(self, write):
        study = load(write(), {"schedule.bandwidth": 3})
        assert study.points[0].scenario.schedule.bandwidth == 3

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            (
                "schedule.bandwith=3",
                "--set schedule.bandwith: schedule.bandwith: unknown key; did",
            ),
            ("schedul.bandwidth=3", "unknown key; did you mean 'schedule'"),
            ("schedule.bandwidth", "write key.path=value"),
            ("=3", "is not a dotted key"),
            ("schedule..bandwidth=3", "is not a dotted key"),
            ("seed.x=3", "is a value, no block"),
            ("schedule.bandwidth=[1", "--set schedule.bandwidth"),
            ("schedule.bandwidth=&a 3", "anchors"),
            ("schedule.bandwidth=many", "--set schedule.bandwidth: schedule.bandwidth: "),
            ("implant=nothing", "no shipped implant"),
            ("a" * 300 + "=1", "is not a dotted key"),
        ],
    )
    def test_wrong_ones_are_named(self, write, override, message):
        assert message in fault(write(), [override])

    def test_paths_start_where_the_command_was_typed(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        study = load("m1_reach", ["recording.path=data/x.h5"])
        assert study.points[0].scenario.recording.path == tmp_path / "data" / "x.h5"
        assert study.tree["recording"]["path"] == str(tmp_path / "data" / "x.h5")

    def test_paths_in_a_file_start_at_the_file(self, tmp_path):
        (tmp_path / "s.yaml").write_text(
            "name: x\nrecording: {kind: hdf5, path: r.h5, counts: c, bin: 1 s}\n"
            "implant: gated_uwb\nschedule: {kind: full}\ndecoder: {kind: smoothing}\n"
        )
        study = load(tmp_path / "s.yaml")
        assert study.points[0].scenario.recording.path == tmp_path / "r.h5"


class TestSweep:
    def test_grid_last_axis_fastest(self, write):
        sweep = "sweep: {schedule.bandwidth: [1, 2], training.epochs: [3, 4, 5]}\n"
        study = load(write(TEXT + sweep))
        assert [tuple(p.axes.values()) for p in study.points] == [
            (1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5),
        ]  # fmt: skip
        assert [p.index for p in study.points] == list(range(6))
        assert study.axes == ("schedule.bandwidth", "training.epochs")

    def test_blocks_as_values_with_short_names(self, write):
        sweep = """\
sweep:
  schedule:
    - {kind: random_subset, fraction: 0.5}
    - {kind: random_subset, fraction: 0.25}
    - {kind: full}
    - {label: mine, kind: static_subset, fraction: 0.5}
  decoder: [{kind: smoothing}, {kind: autoencoder, generator: 4}]
"""
        study = load(write(TEXT + sweep))
        labels = list(dict.fromkeys(p.axes["schedule"] for p in study.points))
        expected = ["random_subset fraction=0.5", "random_subset fraction=0.25", "full", "mine"]
        assert labels == expected
        assert {p.axes["decoder"] for p in study.points} == {"smoothing", "autoencoder"}
        assert study.points[6].scenario.schedule.kind == "static_subset"

    def test_block_and_a_key_inside_it(self, write):
        sweep = (
            "sweep:\n  schedule.fraction: [0.5, 0.25]\n"
            "  schedule: [{kind: random_subset}, {kind: static_subset}]\n"
        )
        study = load(write(TEXT + sweep))
        found = {(p.scenario.schedule.kind, p.scenario.schedule.fraction) for p in study.points}
        assert len(found) == 4

    def test_implants_by_file(self, write):
        study = load(write(TEXT + "sweep: {implant: [utah_ble, implants/gated_uwb.yaml]}\n"))
        assert [p.scenario.implant.name for p in study.points] == ["utah_ble", "gated_uwb"]
        assert [p.axes["implant"] for p in study.points] == ["utah_ble", "gated_uwb"]

    def test_kind_of_the_radio(self, write):
        study = load(write(TEXT + "sweep: {implant.radio.kind: [ble, uwb]}\n"))
        assert [p.scenario.implant.radio.kind for p in study.points] == ["ble", "uwb"]

    def test_fault_in_a_value_points_at_the_value(self, write):
        message = fault(write(TEXT + "sweep:\n  schedule.bandwidth: [1,\n    zero]\n"))
        assert "s.yaml:24:5: schedule.bandwidth: " in message
        assert "'zero'" in message

    @pytest.mark.parametrize(
        ("sweep", "message"),
        [
            (
                "sweep: {schedul.bandwidth: [1]}",
                "s.yaml:22:9: sweep.schedul.bandwidth: unknown key",
            ),
            ("sweep: {schedule.bandwith: [1]}", "s.yaml:22:9: schedule.bandwith: unknown key"),
            ("sweep: {schedule.bandwidth: 1}", "must be a list of at least one value"),
            ("sweep: {schedule.bandwidth: []}", "must be a list of at least one value"),
            ("sweep: [1]", "must be a block"),
            ("sweep: {name: [a, b]}", "'name' cannot be swept"),
            ("sweep: {repeats: [1, 2]}", "'repeats' cannot be swept"),
            ("sweep: {..: [1, 2]}", "is not a dotted key"),
        ],
    )
    def test_wrong_sweeps_are_named(self, write, sweep, message):
        assert message in fault(write(TEXT + sweep + "\n"))

    def test_counted_before_it_is_expanded(self, write):
        axes = "\n".join(f"  training.epochs{i}: {list(range(1, 101))}" for i in range(5))
        with pytest.raises(LimitError, match="10,000,000,000 points x 2 repeats") as caught:
            load(write(TEXT + "sweep:\n" + axes + "\n"))
        assert f"{MAX_RUNS:,}" in str(caught.value)

    def test_equal_labels_are_told_apart(self, write):
        sweep = (
            "sweep: {decoder: [{label: a, kind: smoothing}, {label: a, kind: interpolation}]}\n"
        )
        study = load(write(TEXT + sweep))
        assert [p.axes["decoder"] for p in study.points] == ["a", "a #2"]

    def test_equal_values_that_walk_beside_others_have_one_label(self, write):
        decoders = "[{label: a, kind: smoothing}, {label: a, kind: smoothing}]"
        sweep = f"sweep: {{zip: [{{decoder: {decoders}, schedule.bandwidth: [1, 2]}}]}}\n"
        study = load(write(TEXT + sweep))
        assert [p.axes["decoder"] for p in study.points] == ["a", "a"]


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_are_valid_and_can_be_run_from_their_run_folder(name, tmp_path):
    study = load(name)
    assert study.name == name.replace("/", "_")
    RunFolder(tmp_path).write_scenario(study.tree)
    again = load(tmp_path / "scenario.yaml")
    assert again.points == study.points
    assert again.digest == study.digest


DOWNLOADED = {"lfads_mc_maze", "paper/mc_maze"}
"""Scenarios whose recording is not among the tests' data."""


@pytest.mark.parametrize("number", [1e-07, -1e-9, 1e22, 1.5e-300, 0.1])
def test_numbers_with_powers_survive_the_run_folder(number, tmp_path):
    RunFolder(tmp_path).write_scenario({"x": number})
    assert parse_file(tmp_path / "scenario.yaml").plain() == {"x": number}


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [n for n in shipped() if "path" in load(n).tree["recording"] and n not in DOWNLOADED],
)
def test_shipped_recordings_load(name, data_dir):
    path = load(name).points[0].scenario.recording.path
    study = load(name, [f"recording.path={data_dir / path.name}"])
    recording = study.points[0].scenario.recording.load(study.root)
    assert recording.counts.sum() > 0
    assert (recording.behaviour is not None) == ("behaviour" in study.tree["recording"])


def test_scenario_survives_the_way_to_a_worker(write):
    scenario = load(write()).points[0].scenario
    again = pickle.loads(pickle.dumps(scenario))  # noqa: S301 - our own bytes
    assert again == scenario
    assert again.implant.amplifier.model_fields_set == scenario.implant.amplifier.model_fields_set


def test_catalog_and_schema():
    assert [name for name, _ in catalog("schedules")] == [
        "full", "static_subset", "round_robin", "blocks", "low_discrepancy", "random_subset",
        "bernoulli", "weighted", "hybrid", "windows", "raster", "activity", "information",
        "bandit", "event_driven", "file",
    ]  # fmt: skip
    assert {"lorenz", "hdf5", "nwb", "npz", "mat"} <= {n for n, _ in catalog("recordings")}
    assert "radio.ble" in dict(catalog("components"))
    assert "quickstart" in dict(catalog("scenarios"))
    for what in ("schedules", "decoders", "recordings", "components", "scenarios", "implants"):
        assert all(about and "\n" not in about for _, about in catalog(what))
    with pytest.raises(SpecError, match="cannot be listed"):
        catalog("secrets")
    schema = json_schema()
    assert set(schema["properties"]) == {
        spec.alias or name for name, spec in Scenario.model_fields.items()
    }


def test_schema_accepts_what_the_loader_accepts():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    valid = kind(schema)
    for name in shipped():
        valid.validate(load(name).tree)
    assert not valid.is_valid({**load("quickstart").tree, "schedul": {}})


@pytest.mark.parametrize(
    "varied",
    [
        {"sweep": {"recording.path": ["a.npz", "b.npz"]}},
        {"sweep": {"recording": [FILE, FILE | {"path": "b.npz"}], "implant": ["i.yaml", "fsrec"]}},
        {"sweep": {"zip": {"recording.path": ["a.npz", "b.npz"], "schedule.bandwidth": [1, 2]}}},
        {"sweep": {"zip": [{"recording": [FILE, FILE | {"path": "b.npz"}]}]}},
    ],
)
def test_the_copy_in_a_run_folder_can_be_run_from_anywhere(tmp_path, monkeypatch, varied):
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).touch()
    shipped = (Path(scenarios.__file__).parent / "implants" / "gated_uwb.yaml").read_text()
    (tmp_path / "i.yaml").write_text(shipped)
    (tmp_path / "s.yaml").write_text(json.dumps(tiny(recording=FILE, **varied)))
    study = load(tmp_path / "s.yaml")
    assert study.points[0].axes.get("recording.path", "a.npz") == "a.npz"  # as it is written
    monkeypatch.chdir(Path(tmp_path.root))
    again = load(study.tree)
    assert [p.scenario for p in again.points] == [p.scenario for p in study.points]
    search = {"space": {k: v for k, v in varied["sweep"].items() if k != "zip"}}
    if search["space"]:
        told = search | {"objectives": {"power_w": "min"}}
        (tmp_path / "t.yaml").write_text(json.dumps(tiny(recording=FILE, search=told)))
        space = load(load(tmp_path / "t.yaml").tree).space
        choice = {key: value for axis in space.axes for key, value in axis[1].items()}
        assert Path(space.expander.check(choice).recording.path).is_file()


LATE = {"kind": "lfads", "controller": {"lag": 99}}
HIDING = {"kind": "autoencoder", "held_out": [99]}
MOST = {"kind": "autoencoder", "held_out": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("decoder", "told"),
    [
        (HIDING, "held_out: the stream has channels 0 to 3, 99 is not one"),
        ({"kind": "zero_filled", "network": HIDING}, "held_out: the stream has channels 0 to 3"),
        (MOST, "held_out: names all 4 channels"),
        ({"kind": "state_space", "encoder_bins": 800}, "encoder_bins: 800 of windows of 20 bins"),
        (LATE, "controller.lag: 99 bins late"),
        ({"kind": "trial_mixture", "network": LATE}, "controller.lag: 99 bins late"),
        ({"kind": "kalman", "lookahead_bins": 5}, "lookahead_bins 5: without causal: true"),
    ],
)
def test_a_decoder_that_does_not_fit_a_generated_recording_is_refused(decoder, told):
    with pytest.raises(SpecError, match=f"decoder.*: .*{told}"):
        load(tiny(decoder=decoder))


def test_windows_bound_what_a_decoder_may_ask_for():
    """A file tells its channels and windows only when it is loaded."""
    decoder = {"kind": "state_space", "encoder_bins": 15}
    assert load(tiny(decoder=decoder)).points
    with pytest.raises(SpecError, match="15 of windows of 10 bins"):
        load(tiny(decoder=decoder), {"recording.window": "200 ms"})
    assert load(tiny(decoder=HIDING, recording=FILE)).points
    with pytest.raises(SpecError, match="channels 0 to 3, 99"):
        load(tiny(decoder=HIDING), {"recording.duration": "60 s"})
