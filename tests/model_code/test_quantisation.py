"""int8 copies: what becomes int8, what stays as it was, and which layers are left out."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tally.errors import TallyError
from tally.predictor import Probabilities, open_session
from tally.quantisation import Quantiser
from tally.sensitivity import choose_layers, damage
from tests.model_code.convolutions import LAYERS, network, noise
from tests.model_code.tiny_model import write_model


@pytest.fixture(scope="module")
def quantiser() -> Quantiser:
    return Quantiser(network(), noise(20))


def answers(model: onnx.ModelProto, photos: np.ndarray) -> Probabilities:
    (found,) = open_session(model.SerializeToString(), 1).run(["probabilities"], {"photos": photos})
    return np.asarray(found)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def test_convolutions_become_int8_by_channel_and_the_rest_stays(quantiser: Quantiser) -> None:
    assert quantiser.layers == LAYERS
    found = weights(quantiser.int8())
    for layer, channels in (("first", 8), ("depthwise", 8), ("last", 16)):
        assert found[f"{layer}.weight_quantized"].dtype == np.int8
        assert found[f"{layer}.weight_scale"].shape == (channels,)
        assert f"{layer}.weight" not in found
    assert found["linear.weight"].dtype == np.float32
    assert found["scale"] == 255
    kinds = [node.op_type for node in quantiser.int8().graph.node]
    assert kinds.index("QuantizeLinear") > kinds.index("Div"), "what is before the network is exact"


def test_an_int8_copy_answers_nearly_the_same_for_any_batch(quantiser: Quantiser) -> None:
    photos = noise(40, seed=1)
    plain, int8 = answers(network(), photos), answers(quantiser.int8(), photos)
    assert 0 < damage(plain, int8) < 0.05
    np.testing.assert_allclose(int8.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(int8[:1], answers(quantiser.int8(), photos[:1]), atol=1e-6)


def test_layers_that_are_left_keep_their_weights(quantiser: Quantiser) -> None:
    found = weights(quantiser.int8(["depthwise"]))
    assert found["depthwise.weight"].dtype == np.float32
    assert found["first.weight_quantized"].dtype == found["last.weight_quantized"].dtype == np.int8
    every = answers(quantiser.int8(LAYERS), noise(4))
    assert damage(every, answers(network(), noise(4))) < 0.01


def test_batch_normalisation_is_folded_into_the_layer_before_it() -> None:
    model = network()
    places = [node.name for node in model.graph.node]
    statistics = {"norm.scale": 1.5, "norm.bias": 0.1, "norm.mean": 0.2, "norm.variance": 0.7}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.full(16, value, np.float32), name) for name, value in statistics.items()
    )
    mean = model.graph.node[places.index("mean")]
    mean.input[0] = "normal"
    norm = onnx.helper.make_node("BatchNormalization", ["e", *statistics], ["normal"], "norm")
    model.graph.node.insert(places.index("mean"), norm)
    onnx.checker.check_model(model)
    quantiser = Quantiser(model, noise(20))
    assert quantiser.layers == LAYERS
    int8 = quantiser.int8()
    assert "BatchNormalization" not in {node.op_type for node in int8.graph.node}
    assert {item.domain for item in int8.opset_import} <= {"", "com.microsoft"}
    photos = noise(20, seed=1)
    assert damage(answers(model, photos), answers(int8, photos)) < 0.05


def test_the_same_photos_give_the_same_model() -> None:
    first, second = (Quantiser(network(), noise(9)).int8() for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_ranges_are_those_of_all_photos_and_not_of_one_batch() -> None:
    dark, bright = noise(8) // 8, noise(8, seed=1)
    both = weights(Quantiser(network(), np.concatenate([dark, bright])).int8())
    alone = weights(Quantiser(network(), dark).int8())
    assert both["b_scale"] > 2 * alone["b_scale"]


def test_a_network_without_convolutions_is_refused(tmp_path: Path) -> None:
    model = onnx.load(write_model(tmp_path) / "model.onnx")
    with pytest.raises(TallyError, match="set low_precision=off"):
        Quantiser(model, noise(2))


class Harms(Quantiser):
    """Layers whose harm is known and adds up; a model is the set of its int8 layers, by name."""

    def __init__(self, harms: dict[str, float]) -> None:
        self.harms, self.layers, self.asked = harms, tuple(harms), list[frozenset[str]]()

    def int8(self, left: object = ()) -> onnx.ModelProto:
        self.asked.append(frozenset(left))  # type: ignore[call-overload]
        return onnx.ModelProto(doc_string=",".join(name for name in self.layers if name not in self.asked[-1]))

    def answers(self, model: onnx.ModelProto) -> Probabilities:
        harm = sum(self.harms[name] for name in model.doc_string.split(",") if name)
        return np.array([[1 - harm, harm, 0, 0, 0]], np.float32)


PLAIN = np.array([[1, 0, 0, 0, 0]], np.float32)


def test_nothing_is_left_where_all_layers_together_do_little() -> None:
    layers = Harms({"a": 0.001, "b": 0.002})
    chosen = choose_layers(layers, PLAIN, layers.answers)
    assert (chosen.left, len(layers.asked)) == ((), 1)


def test_the_most_harmful_layers_are_left_until_it_is_close_enough() -> None:
    layers = Harms({"a": 0.001, "b": 0.02, "c": 0.001, "d": 0.03, "e": 0.001, "f": 0.001, "g": 0.001, "h": 0.001})
    chosen = choose_layers(layers, PLAIN, layers.answers)
    assert chosen.left == ("d", "b")
    assert chosen.damage == pytest.approx(0.006, abs=1e-6)


def test_at_most_half_of_the_layers_are_left_and_the_least_harmful_model_is_taken() -> None:
    layers = Harms(dict.fromkeys("abcdefgh", 0.05))
    chosen = choose_layers(layers, PLAIN, layers.answers)
    assert chosen.left == tuple("abcd"), "a tie keeps the order of the network"
    assert max(len(left) for left in layers.asked if len(left) != 7) == 4


def test_damage_is_how_much_probability_moves() -> None:
    other = np.array([[0.5, 0.25, 0.25, 0, 0], [1, 0, 0, 0, 0]], np.float32)
    assert damage(np.repeat(PLAIN, 2, axis=0), other) == pytest.approx(0.25)
