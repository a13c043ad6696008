"""Beginning a training from an earlier one, and letting a part of the network learn."""

import pytest
import torch

import sbtt_models
from sbtt_models.decoders import Autoencoder, Kalman, Smoothing, Transformer, ZeroFilled
from sbtt_models.errors import SpecError
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream

STILL = Training(epochs=1, learning_rate=1e-12, schedule="constant", batch_size=8)


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_training_begins_with_the_weights_of_the_start(spec):
    data = stream()
    first = sbtt_models.fit(spec, data, QUICK, seed=3)
    again = sbtt_models.fit(spec, data, STILL, seed=8, start=first)
    before, after = first.network.state_dict(), again.network.state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("adapt", ["encoder", "read_in"])
@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_only_the_named_part_learns(spec, adapt):
    data = stream()
    first = sbtt_models.fit(spec, data, QUICK)
    training = QUICK.model_copy(update={"learning_rate": 0.05})
    second = sbtt_models.fit(spec, stream(7), training, start=first, adapt=adapt)
    network = second.network
    named = network.encoder_parts if adapt == "encoder" else network.read_in_parts
    before = first.network.state_dict()
    moved = {name for name, value in network.state_dict().items() if (value != before[name]).any()}
    assert moved == {name for name in before if name.startswith(named)}
    assert set(network.read_in_parts) != set(network.encoder_parts)


def test_a_start_of_another_shape_is_refused_by_name():
    data = stream()
    fitted = sbtt_models.fit(SMALL["autoencoder"], data, QUICK)
    with pytest.raises(SpecError, match=r"is a autoencoder, the decoder a transformer"):
        sbtt_models.fit(SMALL["transformer"], data, QUICK, start=fitted)
    with pytest.raises(SpecError, match=r"encoder.weight_ih_l0 .*decoder.hidden was 6, is 7"):
        sbtt_models.fit(Autoencoder(hidden=7, generator=5), data, QUICK, start=fitted)
    fewer = stream()
    fewer = type(fewer)(
        fewer.counts[..., :3], fewer.exposure[..., :3], fewer.lengths, 0.02, fewer.split
    )
    with pytest.raises(SpecError, match="channels or the length of the windows differ"):
        sbtt_models.fit(SMALL["autoencoder"], fewer, QUICK, start=fitted)
    with pytest.raises(SpecError, match="FittedSmoother is no trained network"):
        sbtt_models.fit(Transformer(), data, QUICK, start=sbtt_models.fit(Smoothing(), data))
    for spec in (Kalman(), Smoothing()):
        with pytest.raises(SpecError, match=f"decoder of kind {spec.kind} is fitted afresh"):
            sbtt_models.fit(spec, data, QUICK, start=fitted)


def test_a_part_cannot_learn_alone_without_a_start():
    with pytest.raises(SpecError, match="adapt: encoder alone"):
        sbtt_models.fit(SMALL["autoencoder"], stream(), QUICK, adapt="encoder")


def test_a_zero_filled_network_begins_from_a_zero_filled_one():
    spec = ZeroFilled(network=SMALL["autoencoder"])
    first = sbtt_models.fit(spec, stream(), QUICK)
    again = sbtt_models.fit(spec, stream(), STILL, start=first)
    torch.testing.assert_close(
        again.fitted.network.readout.weight, first.fitted.network.readout.weight
    )
