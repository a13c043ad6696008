"""A saved decoder gives the same rates; a damaged or hostile folder gives one clear error."""

import json
import pickle
import shutil
import struct
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models import kept
from sbtt_models.decoders.base import Fitted
from sbtt_models.errors import DataError
from sbtt_models.saved import save
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import QUICK, SMALL, stream


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_what_is_loaded_gives_the_same_rates(spec, tmp_path):
    data = stream(lengths=(12, 5, 9, 12, 1, 12, 7, 12, 3, 12))
    fitted = sbtt_models.fit(spec, data, QUICK, seed=2)
    names = {path.name for path in fitted.save(tmp_path)}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert names == {"weights.safetensors", "history.csv", "decoder.json"}
    torch.manual_seed(5)
    before = torch.random.get_rng_state().clone()
    loaded = sbtt_models.load(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert isinstance(loaded, Fitted)
    assert np.array_equal(loaded.rates(data), fitted.rates(data))
    assert loaded.history == fitted.history
    for name in ("n_parameters", "epochs", "train_s"):
        assert getattr(loaded, name) == getattr(fitted, name)
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)
    for name in names:
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_loaded_network_can_be_trained_on(tmp_path):
    fitted = sbtt_models.fit(SMALL["autoencoder"], stream(), QUICK)
    fitted.save(tmp_path)
    more = [
        sbtt_models.fit(SMALL["autoencoder"], stream(), QUICK, start=start).rates(stream())
        for start in (fitted, sbtt_models.load(tmp_path))
    ]
    assert np.array_equal(*more)


def test_a_look_ahead_without_causal_was_once_kept_and_is_still_read(tmp_path):
    fitted = sbtt_models.fit(SMALL["smoothing"], stream(), QUICK)
    late = fitted.spec.model_copy(update={"lookahead_bins": 5})
    save(replace(fitted.saved(), decoder=late), tmp_path)
    assert np.array_equal(sbtt_models.load(tmp_path).rates(stream()), fitted.rates(stream()))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    found = {}
    for kind in ("autoencoder", "kalman", "zero_filled", "smoothing"):
        found[kind] = tmp_path_factory.mktemp(kind)
        sbtt_models.fit(SMALL[kind], stream(), Training(epochs=1)).save(found[kind])
    return found


@pytest.fixture(params=["autoencoder", "kalman", "zero_filled", "smoothing"])
def folder(request, kinds, tmp_path):
    return shutil.copytree(kinds[request.param], tmp_path / "copy")


def refused(folder, match):
    start = time.perf_counter()
    with pytest.raises(DataError, match=match) as caught:
        sbtt_models.load(folder)
    assert time.perf_counter() - start < 0.5
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["weights.safetensors", "history.csv", "decoder.json"])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 0.999])
def test_one_flipped_bit_is_noticed(folder, name, at):
    data = bytearray((folder / name).read_bytes())
    data[int(at * len(data))] ^= 16
    (folder / name).write_bytes(data)
    refused(folder, name)


@pytest.mark.parametrize("name", ["weights.safetensors", "history.csv", "decoder.json"])
def test_what_is_cut_or_gone_is_named(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    refused(folder, name)
    (folder / name).unlink()
    refused(folder, name)
    (folder / name).mkdir()
    refused(folder, name)


def resealed(folder, change=None, weights=None):
    """As an attacker would: every digest is right."""
    manifest = kept.read_sealed(folder / "decoder.json")
    if weights is not None:
        (folder / "weights.safetensors").write_bytes(weights)
        entry = {"sha256": kept.digest_of(weights), "bytes": len(weights)}
        manifest["files"]["weights.safetensors"] = entry
    if change is not None:
        change(manifest)
    (folder / "decoder.json").write_bytes(kept.sealed(manifest))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_a_pickle_is_never_opened(folder):
    resealed(folder, weights=pickle.dumps(Bomb()))
    refused(folder, "no safetensors file")


@pytest.mark.parametrize("length", [2**63, 2**40, 50_000_000, 2_000_000])
def test_a_bloated_header_is_refused(folder, length):
    body = b"{" + b" " * min(length, 3_000_000)
    resealed(folder, weights=struct.pack("<Q", length) + body)
    refused(folder, "header of")


def test_headers_that_lie_are_refused(folder):
    good = (folder / "weights.safetensors").read_bytes()
    n = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + n])
    name = next(key for key in header if key != "__metadata__")
    lies = [
        {"data_offsets": [0, 2**50]},
        {"data_offsets": [8, 0]},
        {"shape": [2**40, 2**40]},
        {"dtype": "Q99"},
        {"shape": [-1]},
    ]
    for lie in lies:
        text = json.dumps(header | {name: header[name] | lie}).encode()
        resealed(folder, weights=struct.pack("<Q", len(text)) + text + good[8 + n :])
        refused(folder, "no safetensors file")


def test_arrays_of_another_shape_kind_or_name_are_refused(folder):
    path = folder / "weights.safetensors"
    arrays = kept.unpack(path.read_bytes(), path)
    name = "network.readout.bias" if "share" in arrays else next(iter(arrays))
    if "means" in arrays and len(arrays) > 1:
        name = "offset"
    odd = {
        "shape": np.zeros((3, 3, 3), arrays[name].dtype),
        "dtype": arrays[name].astype(np.int64),
        "nan": np.full_like(arrays[name], np.nan),
    }
    for array in odd.values():
        resealed(folder, weights=kept.pack(arrays | {name: array}))
        refused(folder, name.removeprefix("network."))
    resealed(folder, weights=kept.pack({k: v for k, v in arrays.items() if k != name}))
    refused(folder, "missing")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.update(format="sbtt_models decoder 9"), "format"),
        (lambda m: m.update(decoder={"kind": "magic"}), "decoder"),
        (lambda m: m.update(decoder=None), "decoder"),
        (lambda m: m.update(files=[]), "names no files"),
        (lambda m: m["files"].pop("history.csv"), "names no history.csv"),
        (lambda m: m["facts"].clear(), "must be|missing"),
        (lambda m: m["facts"].update(train_s="x"), "train_s is 'x'"),
        (lambda m: m["facts"].update(train_s=-1.0), "train_s is -1.0"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder, change, match):
    resealed(folder, change)
    refused(folder, match)


@pytest.mark.parametrize("n", [0, -5, 10**9, 10**18, 2.5, True, None])
def test_sizes_from_a_manifest_allocate_nothing(kinds, tmp_path, n):
    folder = shutil.copytree(kinds["autoencoder"], tmp_path / "copy")
    resealed(folder, lambda m: m["facts"].update(n_channels=n))
    refused(folder, "n_channels|encoder.weight_ih")


def test_a_large_network_in_a_manifest_allocates_nothing(kinds, tmp_path):
    folder = shutil.copytree(kinds["autoencoder"], tmp_path / "copy")
    resealed(folder, lambda m: m["decoder"].update(hidden=4096, generator=4096))
    refused(folder, "encoder.weight_ih")


def test_manifests_that_are_too_deep_or_no_text_are_refused(kinds, tmp_path):
    folder = shutil.copytree(kinds["smoothing"], tmp_path / "copy")
    for body in ("[" * 100_000, "7", "null", "{}"):
        (folder / "decoder.json").write_bytes(kept.seal(body))
        refused(folder, "decoder.json")
    (folder / "decoder.json").write_bytes(b"\xff\xfe\x00")
    refused(folder, "decoder.json")
    with pytest.raises(DataError, match=r"decoder\.json: cannot be read"):
        sbtt_models.load(tmp_path / "nowhere")
