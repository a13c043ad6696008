"""Damaged, wrong and malicious files: one clear error each, never a wrong number."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from implant_sim.recordings import AnyRecording
from implant_sim.recordings.contents import contents
from sbtt_models.errors import DataError, LimitError

GOOD = np.random.default_rng(0).poisson(1.0, (12, 5, 3))
TRUTH = {"rates": "rates", "unit": "Hz"}


def load(root, **block):
    whole = {"kind": "hdf5", "path": "a.h5", "counts": "counts", "bin": "20 ms"} | block
    return TypeAdapter(AnyRecording).validate_python(whole).load(root)


def refused(root, says, **block):
    """The load fails with one line that names the file."""
    kind = LimitError if "limit is" in says else DataError  # exit 3: refused before it is built
    with pytest.raises(kind, match=says) as caught:
        load(root, **block)
    text = str(caught.value)
    assert "\n" not in text
    assert block.get("path", "a.h5").split("/")[-1] in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


def write(root, kind="hdf5", **arrays):
    if kind == "npz":
        np.savez(root / "a.npz", **arrays)
        return "a.npz"
    if kind == "mat":
        import scipy.io

        scipy.io.savemat(root / "a.mat", arrays)
        return "a.mat"
    with h5py.File(root / "a.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return "a.h5"


def changed(value, dtype=float):
    counts = GOOD.astype(dtype)
    counts[2, 1, 0] = value
    return counts


BAD_VALUES = {
    "nan": (changed(np.nan), r"counts: 1 of 180 counts are NaN.*missing: nan"),
    "infinite": (changed(np.inf), "counts: 1 of 180 counts are NaN or infinite"),
    "fractional": (changed(0.5), r"counts: 1 of 180 counts are fractional \(first 0.5"),
    "negative": (changed(-1, int), "counts: 1 counts are negative"),
    "negative float": (changed(-1.0), "counts: 1 counts are negative"),
    "huge": (changed(1e6), "a count of 1e\\+06 in one bin"),
    "complex": (GOOD.astype(complex), "counts: must hold numbers, got dtype complex"),
    "zero trials": (GOOD[:0], "nothing in it"),
    "no channels": (GOOD[:, :, :0], "nothing in it"),
    "two trials": (GOOD[:2], r"2 trial\(s\) cannot be divided into 3 parts"),
    "four axes": (GOOD[None], r"shape \(1, 12, 5, 3\).*cannot be read"),
    "scalar": (np.float64(3), r"shape \(\)"),
}


@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat"])
@pytest.mark.parametrize("case", sorted(BAD_VALUES))
def test_bad_counts(tmp_path, case, kind):
    array, says = BAD_VALUES[case]
    if kind == "mat" and case in ("zero trials", "no channels", "scalar", "four axes"):
        says = "a.mat"  # MATLAB writes empties and scalars as matrices; refused all the same
    path = write(tmp_path, kind, counts=array)
    refused(tmp_path, says, kind=kind, path=path)


@pytest.mark.parametrize(
    ("arrays", "block", "says"),
    [
        ({"count": GOOD}, {}, r"no data set 'counts'; did you mean 'count'\? It holds: count$"),
        ({"a/b": GOOD}, {"counts": "b"}, "no data set 'b'; it holds: a/b"),
        ({"counts/x": GOOD}, {}, "no data set 'counts'"),
        ({"counts": GOOD}, {"group": "trial_*"}, r"no group 'trial_\*'"),
        ({"counts": np.array([b"a", b"b"])}, {}, "must hold numbers"),
        ({"counts": GOOD, "t": np.arange(4)}, {"condition": "t"}, "4 entries.*12 trials"),
        ({"counts": GOOD, "t": np.full(12, np.nan)}, {"condition": "t"}, "whole numbers, got nan"),
        (
            {"counts": GOOD, "rates": np.ones((12, 5, 4))},
            {"truth": TRUTH},
            "rates: has 4 channels, the counts have 3",
        ),
        (
            {"counts": GOOD, "rates": -np.ones((12, 5, 3))},
            {"truth": TRUTH},
            "rates: rates must be finite and at least 0",
        ),
        (
            {"counts": GOOD, "v": np.ones((11, 5, 2))},
            {"behaviour": {"data": "v", "unit": "m"}},
            "v: first axis has 11 entries",
        ),
        ({"counts": GOOD}, {"bin": "width"}, "no data set 'width'"),
        ({"counts": GOOD, "width": np.float64(-1)}, {"bin": "width"}, "width: a bin width must"),
        ({"counts": GOOD, "width": np.float64(np.nan)}, {"bin": "width"}, "a bin width must"),
        ({"counts": GOOD}, {"drop": [3]}, "channels 0 to 2; 3 is not one"),
        ({"counts": GOOD}, {"drop": [0, 1, 2]}, "none is left"),
        ({"counts": GOOD}, {"channels": [1, 1]}, "named twice"),
        ({"counts": GOOD[0]}, {}, "5 bins are too few for 3 blocks"),
        ({"counts": GOOD, "n": [9] * 12}, {"length": "n"}, "from 1 to 5 bins"),
        ({"counts": GOOD}, {"trial": "t"}, "has a trial axis; drop `trial`"),
        (
            {"counts": GOOD[0], "s": [[0, 3], [2, 5]]},
            {"segments": "s"},
            "entries 0 and 1 overlap",
        ),
        ({"counts": GOOD[0], "s": [[0, 9]]}, {"segments": "s"}, "outside the 5 bins"),
        ({"counts": GOOD[0], "s": [[3, 3]]}, {"segments": "s"}, "empty or outside"),
        ({"counts": GOOD[0], "t": [0, 0, 1, 0, 0]}, {"trial": "t"}, "trial 0 comes back at bin 3"),
        (
            {"counts": GOOD[0], "t": [0, 0, 0, 1, 1], "k": [0, 1, 1, 0, 1]},
            {"trial": "t", "timestep": "k"},
            "in trial 0, 1 is followed by 1",
        ),
        (
            {"counts": GOOD[0], "t": [0, 0, 0, 1, 1], "k": [0, 1, 2**60, 0, 1]},
            {"trial": "t", "timestep": "k"},
            "the limit is 8 GiB",
        ),
        (
            {"counts": GOOD[0], "t": [0, 0, 0, 1, 1], "c": [0, 0, 1, 1, 1]},
            {"trial": "t", "condition": "c"},
            "changes inside trial 0 .at its bin 2.",
        ),
    ],
)
def test_wrong_layouts(tmp_path, arrays, block, says):
    write(tmp_path, **arrays)
    refused(tmp_path, says, **block)


EVENTS = {"counts": None, "events": {"time": "t", "unit": "u"}}


@pytest.mark.parametrize(
    ("times", "units", "says"),
    [
        ([0.0, np.nan, 1], [0, 0, 0], "t: 1 of 3 times are NaN"),
        ([0.0, np.inf, 1], [0, 0, 0], "NaN or infinite"),
        ([0.0, 1, 2], [0, 1], "2 channels for 3 spike times"),
        ([0.0, 1, 2], [0, -1, 0], "channels run from -1 to 0"),
        ([0.0, 1, 2], [0, 0.5, 0], "whole numbers, got 0.5"),
        ([0.0], [0], "fewer than two times"),
        ([], [], "fewer than two times"),
        ([0.0, 1e13], [0, 0], "the limit is 8 GiB"),
        ([0.0, 1], [0, 10**9], "the limit is 8 GiB"),
        ([5.0, 5.0], [0, 0], "shorter than one bin"),
    ],
)
def test_bad_events(tmp_path, times, units, says):
    write(tmp_path, t=np.array(times), u=np.array(units))
    refused(tmp_path, says, **EVENTS)


@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat", "lfads_h5", "nlb", "nwb"])
def test_no_such_file_folder_text_empty(tmp_path, kind):
    block = {"kind": kind, "path": "a.h5", "bin": "20 ms"}
    if kind in ("hdf5", "npz", "mat"):
        block["counts"] = "counts"
    source = TypeAdapter(AnyRecording).validate_python(block)
    with pytest.raises(DataError, match=r"a.h5: there is no such file"):
        source.load(tmp_path)
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(DataError, match=r"a.h5: is a folder"):
        source.load(tmp_path)
    (tmp_path / "a.h5").rmdir()
    for content in (b"", b"hello, I am text\n" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 50):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(DataError, match=r"^a.h5: ") as caught:
            source.load(tmp_path)
        assert "\n" not in str(caught.value)
    if kind == "nwb":
        return
    (tmp_path / "a.h5").unlink()
    (tmp_path / "a.h6").touch()
    with pytest.raises(DataError, match=r"did you mean 'a.h6'"):
        source.load(tmp_path)


@pytest.mark.parametrize(
    ("made", "kind", "says"),
    [
        ("npz", "hdf5", "a zip archive: `kind: npz`"),
        ("mat", "hdf5", "a MATLAB file: `kind: mat`"),
        ("hdf5", "npz", "an HDF5 file: `kind: hdf5`"),
        ("npz", "mat", "`kind: npz`"),
        ("npy", "npz", "a single NumPy array: .*savez"),
        ("gzip", "hdf5", "compressed by gzip: unpack it"),
        ("csv", "hdf5", "looks like text: "),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path, made, kind, says):
    path = tmp_path / "a.h5"
    if made == "npy":
        np.save(tmp_path / "a.npy", GOOD)
        path = tmp_path / "a.npy"
    elif made == "gzip":
        path.write_bytes(gzip.compress(b"anything"))
    elif made == "csv":
        path.write_text("unit 1;unit 2\n0;1\n")
    else:
        path = tmp_path / write(tmp_path, made, counts=GOOD)
    refused(tmp_path, says, kind=kind, path=path.name)


def test_a_link_that_leads_nowhere_is_not_offered_as_itself(tmp_path):
    (tmp_path / "a.h5").symlink_to("gone.h5")
    assert "did you mean" not in refused(tmp_path, "a link that leads to no file", path="a.h5")


def test_a_bare_number_is_in_seconds_and_50_of_them_are_refused(tmp_path):
    path = write(tmp_path, counts=GOOD, width=np.array(50.0))
    refused(tmp_path, "width: .*between 0 and 10", path=path, bin="width")
    with pytest.raises(ValidationError, match="a number alone is in seconds: `50 ms`, not `50`"):
        TypeAdapter(AnyRecording).validate_python(
            {"kind": "hdf5", "path": path, "counts": "counts", "bin": 50}
        )


def test_behaviour_that_is_nowhere_known_is_no_behaviour(tmp_path):
    moved = np.full((*GOOD.shape[:2], 2), np.nan)
    block = {"path": write(tmp_path, counts=GOOD, v=moved)}
    refused(tmp_path, "no bin has a finite value", **block, behaviour={"data": "v", "unit": "m"})
    moved[3, 1] = 1.0
    write(tmp_path, counts=GOOD, v=moved)
    load(tmp_path, **block, behaviour={"data": "v", "unit": "m"})


@pytest.mark.parametrize(("unit", "right"), [("spikes/ms", True), ("Hz", False)])
def test_true_rates_in_a_wrong_unit_are_refused(tmp_path, unit, right):
    counts = np.ones((100, 20, 8), int)
    rates = np.full(counts.shape, 0.05)  # spikes per ms, one in a bin of 20 ms
    block = {"path": write(tmp_path, counts=counts, r=rates), "bin": "20 ms"}
    if right:
        load(tmp_path, **block, truth={"rates": "r", "unit": unit})
    else:
        refused(tmp_path, "r: as rates in Hz", **block, truth={"rates": "r", "unit": unit})


def test_no_terminal_codes_in_errors(tmp_path):
    write(tmp_path, **{"\x1b]0;x\nnew line": GOOD})
    assert refused(tmp_path, "no data set").isprintable()


@pytest.mark.parametrize("path", ["a\0b.h5", "x" * 5000, "/dev/zero", "/proc/self/mem"])
def test_strange_paths(tmp_path, path):
    with pytest.raises(DataError):
        load(tmp_path, path=path)


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat"])
def test_truncated(tmp_path, kind, keep):
    path = tmp_path / write(tmp_path, kind, counts=GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    refused(tmp_path, "cannot be read", kind=kind, path=path.name)


def test_links_out_of_the_file(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["counts"] = GOOD
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["counts"] = h5py.ExternalLink("other.h5", "counts")
        file["soft"] = h5py.SoftLink("/counts")
        file["round"] = h5py.SoftLink("/round")
        file["group"] = h5py.ExternalLink("other.h5", "/")
        file["here/counts"] = GOOD
        file["alias"] = h5py.SoftLink("/here/counts")
        layout = h5py.VirtualLayout(GOOD.shape, GOOD.dtype)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "counts", GOOD.shape)
        file.create_virtual_dataset("virtual", layout)
        raw = [(str(tmp_path / "raw.bin"), 0, 1440)]
        file.create_dataset("stored", (12, 5, 3), "i8", external=raw)
    refused(tmp_path, "link into another file")
    refused(tmp_path, "link into another file", counts="soft")
    refused(tmp_path, "link into another file", counts="group/counts")
    refused(tmp_path, "too many links", counts="round")
    refused(tmp_path, "virtual or externally stored", counts="virtual")
    refused(tmp_path, "virtual or externally stored", counts="stored")
    assert np.array_equal(load(tmp_path, counts="alias").counts, GOOD)


def test_a_huge_declared_shape_is_not_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("counts", (10**6, 10**4, 10), "u1", chunks=(1, 10**4, 10))
    assert "declares shape (1000000, 10000, 10), 93.1 GiB" in refused(tmp_path, "limit is 8 GiB")


def test_a_huge_npz_header_is_not_read(tmp_path):
    import zipfile

    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (100000, 100000, 9), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr(
            "counts.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        )
    refused(tmp_path, "limit is 8 GiB", kind="npz", path="a.npz")


def test_pickles_stay_shut(tmp_path):
    bomb = np.array([os.system], dtype=object)
    np.savez(tmp_path / "a.npz", counts=bomb)
    refused(tmp_path, "counts: holds pickled Python objects", kind="npz", path="a.npz")


def test_padding_cannot_blow_up(tmp_path):
    """One trial of a million bins among thousands of short ones: 37 GiB if padded."""
    labels = np.concatenate([np.zeros(10**6, int), np.arange(1, 10**4 + 1)])
    write(tmp_path, counts=np.zeros((labels.size, 1), np.uint8), t=labels)
    refused(tmp_path, "padded to its longest trial.*limit is 8 GiB", trial="t")


def test_silent_channels_stay(tmp_path):
    counts = GOOD.copy()
    counts[:, :, 1] = 0
    write(tmp_path, counts=counts)
    recording = load(tmp_path)
    assert recording.n_channels == 3
    assert recording.silent_channels.tolist() == [1]


FUZZ = """
import sys, resource
from pathlib import Path
import numpy as np
from pydantic import TypeAdapter, ValidationError
from implant_sim.recordings import AnyRecording
from sbtt_models.errors import DataError, LimitError
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
block = {"kind": "hdf5", "path": "m.h5", "counts": "counts", "bin": "20 ms", "condition": "k"}
source = TypeAdapter(AnyRecording).validate_python(block)
rng = np.random.default_rng(int(sys.argv[2]))
whole = (folder / "a.h5").read_bytes()
refused = 0
for n in range(int(sys.argv[3])):
    data = bytearray(whole)
    for at in rng.integers(0, len(data), rng.integers(1, 20)):
        data[at] = rng.integers(0, 256)
    if n % 4 == 0:
        data = data[: rng.integers(1, len(data))]
    (folder / "m.h5").write_bytes(data)
    print(n, flush=True)
    try:
        recording = source.load(folder)
        assert recording.counts.min() >= 0
    except (DataError, LimitError) as error:
        assert "\\n" not in str(error)
        refused += 1
print("refused", refused)
"""


def fuzz(folder: Path, seed: int, n: int) -> str:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("counts", data=GOOD, compression="gzip", fletcher32=True)
        file["k"] = np.arange(12) % 3
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(folder), str(seed), str(n)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_mutated_files_raise_data_errors_only(tmp_path):
    assert int(fuzz(tmp_path, 0, 200).split()[1]) > 60


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    for seed in range(1, 11):
        fuzz(tmp_path, seed, 200)


@pytest.mark.parametrize("kind", ["hdf5", "npz", "mat"])
def test_contents_of_a_file(tmp_path, kind):
    path = tmp_path / write(tmp_path, kind, counts=GOOD, v=np.array([[0.5, np.nan], [2.0, -1.0]]))
    found = {entry.name: entry for entry in contents(path)}
    assert set(found) == {"counts", "v"}
    assert (found["counts"].shape, found["counts"].dtype) == (GOOD.shape, "int64")
    assert found["counts"].values == f"0 to {GOOD.max()}"
    assert (found["v"].shape, found["v"].values) == ((2, 2), "-1 to 2, 1 not finite")


def test_contents_tell_units_and_go_on_after_what_cannot_be_read(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object), b=np.arange(3))
    assert ["pickled" in entry.values for entry in contents(tmp_path / "a.npz")] == [True, False]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1.0]
        file["x"].attrs["units"] = "m/s"
        file["t"] = [b"left", b"right"]
        file.create_dataset("huge", (10**6, 10**6), np.int8)
        file["loop"] = h5py.SoftLink("/loop")
    found = {entry.name: (entry.values, entry.unit) for entry in contents(tmp_path / "a.h5")}
    assert found["x"] == ("1 to 1, whole", "m/s")
    assert found["t"] == ("left, right", "")
    assert found["huge"] == ("large, not read", "")
