"""A training that is killed goes on as if nothing had been; damaged checkpoints are refused."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import sbtt_models
from sbtt_models import atomic, kept
from sbtt_models.decoders import LFADS, Autoencoder
from sbtt_models.errors import SimError, SpecError
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import NEURAL, SMALL, stream

LONG = Training(epochs=40, batch_size=6, ramp_epochs=20, checkpoint_every=17)
SHORT = LONG.model_copy(update={"epochs": 6, "checkpoint_every": 1})
DROPPING = NEURAL | {
    "lfads": LFADS(**(SMALL["lfads"].model_dump() | {"l2_scale": 1.0})),
    "state_space": SMALL["state_space"].model_copy(update={"dropout": 0.2}),
}


class Killed(BaseException):
    """As if the process had died."""


def killed_after(epoch):
    def progress(done, most):
        if done == epoch:
            raise Killed

    return progress


def begun(spec, training, folder, epoch, data=None):
    """A training that is stopped while it tells that an epoch is done, before its checkpoint."""
    with pytest.raises(Killed):
        sbtt_models.fit(
            spec, data or stream(), training, seed=3, folder=folder, progress=killed_after(epoch)
        )


def same(one, other):
    assert one.history == other.history
    before, after = one.network.state_dict(), other.network.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(one.rates(stream()), other.rates(stream()))


@pytest.mark.parametrize("spec", DROPPING.values(), ids=DROPPING)
def test_seventeen_and_twentythree_epochs_are_forty(spec, tmp_path):
    straight = sbtt_models.fit(spec, stream(), LONG, seed=3)
    begun(spec, LONG, tmp_path, 18)
    epochs = []
    resumed = sbtt_models.fit(
        spec, stream(), LONG, seed=3, folder=tmp_path, progress=lambda n, _: epochs.append(n)
    )
    assert epochs == list(range(18, 41))
    same(straight, resumed)


def test_drawn_windows_and_patience_go_on_too(tmp_path):
    data = stream(lengths=(16,) * 8)
    data = type(data)(data.counts, data.exposure, data.lengths, 0.02, data.split, window_bins=8)
    rules = {"epochs": 60, "patience": 5, "learning_rate": 0.05, "schedule": "constant"}
    training = LONG.model_copy(update={**rules, "checkpoint_every": 4})
    straight = sbtt_models.fit(SMALL["autoencoder"], data, training, seed=3)
    assert 5 < straight.epochs < 60
    begun(SMALL["autoencoder"], training, tmp_path, straight.epochs - 2, data)
    resumed = sbtt_models.fit(SMALL["autoencoder"], data, training, seed=3, folder=tmp_path)
    assert resumed.history == straight.history
    again = sbtt_models.fit(SMALL["autoencoder"], data, training, seed=3, folder=tmp_path)
    assert again.history == straight.history  # what had stopped for good is not taken further


def test_the_last_two_are_kept_and_the_end(tmp_path):
    training = SHORT.model_copy(update={"checkpoint_every": 4, "epochs": 10})
    sbtt_models.fit(SMALL["autoencoder"], stream(), training, folder=tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"checkpoint-{n:06d}.{end}" for n in (8, 10) for end in ("json", "safetensors")
    ]


def test_a_training_shorter_than_its_checkpoints_keeps_none(tmp_path):
    sbtt_models.fit(
        SMALL["autoencoder"], stream(), LONG.model_copy(update={"epochs": 16}), folder=tmp_path
    )
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    quiet = SHORT.model_copy(update={"checkpoint_every": None})
    sbtt_models.fit(SMALL["autoencoder"], stream(), quiet, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def swap(path):
    path.write_bytes(path.with_name(path.name.replace("5.", "4.")).read_bytes())


DAMAGE = {
    "flipped": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "swapped": swap,
    "gone": lambda path: path.unlink(),
    "pickled": lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR."),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("ending", ["json", "safetensors"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(damage, ending, tmp_path):
    straight = sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3)
    begun(SMALL["autoencoder"], SHORT, tmp_path, 6)
    damage(tmp_path / f"checkpoint-000005.{ending}")
    gone = not (tmp_path / "checkpoint-000005.json").exists()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resumed = sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3, folder=tmp_path)
    told = [str(w.message) for w in caught]
    assert len(told) == (0 if gone else 1)
    assert all("checkpoint-000005" in text and "from epoch 4" in text for text in told)
    same(straight, resumed)
    assert not Path("hacked").exists()


def test_without_any_good_checkpoint_training_begins_anew(tmp_path):
    straight = sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3)
    begun(SMALL["autoencoder"], SHORT, tmp_path, 6)
    for path in tmp_path.glob("*.safetensors"):
        flip(path)
    with pytest.warns(UserWarning, match=r"000005.*000004.*from the beginning"):
        resumed = sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3, folder=tmp_path)
    same(straight, resumed)


def test_a_sealed_checkpoint_of_another_make_is_refused(tmp_path):
    """A manifest with a right digest vouches for nothing: what it says must fit the training."""
    straight = sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3)
    begun(SMALL["autoencoder"], SHORT, tmp_path, 6)
    path = tmp_path / "checkpoint-000005.json"
    content = kept.read_sealed(path)
    for facts in (
        {},
        content["facts"] | {"history": [{"epoch": "x"}]},
        content["facts"] | {"rate": {"steps": "many", "now": 1, "beta": 0}},
        content["facts"] | {"random": {}},
    ):
        path.write_bytes(kept.sealed(content | {"facts": facts}))
        with pytest.warns(UserWarning, match="from epoch 4"):
            same(
                straight,
                sbtt_models.fit(SMALL["autoencoder"], stream(), SHORT, seed=3, folder=tmp_path),
            )
        for file in tmp_path.iterdir():
            file.unlink()
        begun(SMALL["autoencoder"], SHORT, tmp_path, 6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spec": Autoencoder(hidden=7, generator=5)}, "decoder.hidden was 6, is 7"),
        ({"seed": 4}, "seed was 3, is 4"),
        ({"data": stream(1)}, "stream was"),
        ({"training": SHORT.model_copy(update={"epochs": 7})}, "training.epochs was 6, is 7"),
    ],
)
def test_checkpoints_of_another_training_are_not_mixed_in(change, named, tmp_path):
    begun(SMALL["autoencoder"], SHORT, tmp_path, 4)
    call = {"spec": SMALL["autoencoder"], "data": stream(), "training": SHORT, "seed": 3} | change
    with pytest.raises(SpecError, match=named):
        sbtt_models.fit(
            call["spec"], call["data"], call["training"], seed=call["seed"], folder=tmp_path
        )


CALLS = ("write", "rename", "fsync")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Killed()])
@pytest.mark.parametrize("nth", range(1, 13))
def test_a_death_at_any_system_call_loses_no_more_than_an_epoch(nth, error, tmp_path, monkeypatch):
    training = SHORT.model_copy(update={"epochs": 4})
    straight = sbtt_models.fit(SMALL["autoencoder"], stream(), training, seed=3)
    count = 0

    def failing(call):
        def instead(*arguments):
            nonlocal count
            count += 1
            if count == nth:
                raise error
            return call(*arguments)

        return instead

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(atomic, name, failing(getattr(atomic, name)))
        with pytest.raises(Killed if isinstance(error, Killed) else SimError):
            sbtt_models.fit(SMALL["autoencoder"], stream(), training, seed=3, folder=tmp_path)
    resumed = sbtt_models.fit(SMALL["autoencoder"], stream(), training, seed=3, folder=tmp_path)
    same(straight, resumed)
    assert not [path for path in tmp_path.iterdir() if atomic.TEMPORARY in path.name]


@pytest.mark.slow
def test_a_process_killed_at_random_moments(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
import sbtt_models
from tests.sbtt_models.test_checkpoints import LONG
from tests.sbtt_models.test_decoders import SMALL, stream
training = LONG.model_copy(update={{"checkpoint_every": 1}})
tell = lambda done, most: print(done, flush=True)
sbtt_models.fit(
    SMALL["lfads"], stream(), training, seed=3, folder=Path({str(tmp_path)!r}), progress=tell
)
"""
    straight = sbtt_models.fit(SMALL["lfads"], stream(), LONG, seed=3)
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            for _ in range(1 + rng.integers(4)):
                told = process.stdout.readline()
            time.sleep(0.01 * rng.random())  # into the writing of a checkpoint
            os.kill(process.pid, signal.SIGKILL)
        reached.append(int(told))
    assert reached == sorted(reached)
    assert reached[-1] > 8  # each went on where the one before was killed
    resumed = sbtt_models.fit(SMALL["lfads"], stream(), LONG, seed=3, folder=tmp_path)
    same(straight, resumed)
