"""The example of quantization-aware training on few images: the quantized programs keep the accuracy."""

import copy

import pytest
import torch

import fashion_mnist
import fashion_mnist_qat

TRAINING, TEST, EPOCHS = 8000, 2000, 2
# Per cent of 2,000 images: two standard deviations of the difference of two models that disagree on 2 % of them.
NOISE = 1.3


@pytest.mark.full
def test_quantized_models_keep_the_accuracy(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fashion_mnist_qat, "DEMO_FOLDER", tmp_path)
    data, test = (
        tuple(tensor[:count] for tensor in fashion_mnist.load(part))
        for part, count in (("train", TRAINING), ("t10k", TEST))
    )
    model = fashion_mnist_qat.trained_float_model(data, EPOCHS)
    reused = fashion_mnist_qat.trained_float_model(data, EPOCHS)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), reused.state_dict().values(), strict=True)
    )
    before = copy.deepcopy(model.state_dict())
    reference = fashion_mnist_qat.accuracy(model, test, "float")
    assert reference > 60  # chance gives 10
    ptq = fashion_mnist_qat.quantize(model, fashion_mnist_qat.calibration_samples(data), fashion_mnist_qat.INPUTS)
    assert fashion_mnist_qat.accuracy_of_program(ptq, test, "ptq") > reference - 0.5 - NOISE
    few = tuple(tensor[:2000] for tensor in data)
    aware = fashion_mnist_qat.quantized_in_training(model, few, 1)
    assert fashion_mnist_qat.accuracy_of_program(aware, test, "qat") > reference - 0.1 - NOISE
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
