"""The same code on CUDA: the same rates, repeatable, resumed, and no waiting inside an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.loop import Loop
from sbtt_models.training import Training
from tests.sbtt_models.test_checkpoints import Killed, killed_after
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here"),
]


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_cpu_and_cuda_agree(spec: DecoderSpec, tmp_path: Path) -> None:
    data = stream()
    fitted = sbtt_models.fit(spec, data, QUICK, device="cpu")
    fitted.save(tmp_path)
    moved = sbtt_models.load(tmp_path, device="cuda")
    np.testing.assert_allclose(moved.rates(data), fitted.rates(data), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_a_training_repeats_itself_and_is_read_back_anywhere(
    spec: DecoderSpec, tmp_path: Path
) -> None:
    data = stream()
    first, second = (sbtt_models.fit(spec, data, QUICK, seed=3, device="cuda") for _ in range(2))
    np.testing.assert_array_equal(first.rates(data), second.rates(data))
    first.save(tmp_path)
    there = sbtt_models.load(tmp_path, device="cpu").rates(data)
    np.testing.assert_allclose(there, first.rates(data), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_nothing_waits_for_the_device_inside_an_epoch(
    spec: NeuralSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any synchronisation within a step is an error; an epoch is read back at its end."""
    step = Loop._step

    def strict(loop: Loop, *given: object) -> dict[str, torch.Tensor]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(loop, *given)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Loop, "_step", strict)
    sbtt_models.fit(spec, stream(), QUICK, device="cuda")


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_mixed_precision_trains(spec: NeuralSpec) -> None:
    data = stream()
    mixed = QUICK.model_copy(update={"precision": "bfloat16"})
    assert np.isfinite(sbtt_models.fit(spec, data, mixed, device="cuda").rates(data)).all()


def test_a_resumed_training_equals_a_straight_one(tmp_path: Path) -> None:
    rules = Training(epochs=8, batch_size=6, ramp_epochs=4, checkpoint_every=3)
    spec, data = SMALL["lfads"], stream()
    straight = sbtt_models.fit(spec, data, rules, seed=3, device="cuda")
    given = {"seed": 3, "device": "cuda", "folder": tmp_path}
    with pytest.raises(Killed):
        sbtt_models.fit(spec, data, rules, progress=killed_after(5), **given)
    resumed = sbtt_models.fit(spec, data, rules, **given)
    assert resumed.history == straight.history
    np.testing.assert_array_equal(resumed.rates(data), straight.rates(data))
