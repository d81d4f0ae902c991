"""A small MobileNetV2 on Fashion-MNIST: float, quantized after training, and trained with quantization.

The accuracies of the last two are those of their .pte in ExecuTorch's runtime, over all 10,000 test images.
"""

import argparse
import copy
import time

import torch
from rich.table import Table
from torch import nn

import fashion_mnist
from common import DEMO_FOLDER, Pte, console, lower, quantize, steps
from fashion_mnist import BATCH, Images, Labels

INPUTS = (torch.zeros(BATCH, 1, 28, 28),)
CALIBRATION_BATCHES = 8
FLOAT_RATE, QAT_RATE = 0.2, 0.03


def train(model: nn.Module, data: tuple[Images, Labels], epochs: int, rate: float, description: str) -> None:
    """Trains `model`, with a progress bar."""
    for _ in steps(fashion_mnist.train(model, data, epochs, rate), description, epochs * (len(data[0]) // BATCH)):
        pass


def trained_float_model(data: tuple[Images, Labels], epochs: int, retrain: bool = False) -> nn.Module:
    """The model in float: its weights of an earlier run, or trained and saved."""
    path = DEMO_FOLDER / "fashion_mnist_float.pt"
    torch.manual_seed(0)
    model = fashion_mnist.SmallMobileNetV2()
    if path.is_file() and not retrain:
        model.load_state_dict(torch.load(path, weights_only=True))
        console.print(f"float weights of an earlier run: {path}")
        return model.eval()
    train(model.to(memory_format=torch.channels_last).train(), data, epochs, FLOAT_RATE, "training in float")
    DEMO_FOLDER.mkdir(parents=True, exist_ok=True)
    model = model.to(memory_format=torch.contiguous_format)
    torch.save(model.state_dict(), path)
    return model.eval()


def quantized_in_training(model: nn.Module, data: tuple[Images, Labels], epochs: int) -> torch.fx.GraphModule:
    """The model converted after training with quantization, which starts from the weights of `model`."""
    from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

    from openenn import qat

    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", is_per_channel=True, is_qat=True)
    exported = torch.export.export(copy.deepcopy(model).train(), INPUTS).module()
    prepared = prepare_qat_pt2e(exported, quantizer)
    qat.calibrate(prepared, calibration_samples(data))
    train(prepared, data, epochs, QAT_RATE, "training with quantization")
    move_exported_model_to_eval(prepared)
    with console.status("converting"):
        return convert_pt2e(prepared)


def calibration_samples(data: tuple[Images, Labels]) -> list[tuple[torch.Tensor]]:
    part = (data[0][: CALIBRATION_BATCHES * BATCH], data[1][: CALIBRATION_BATCHES * BATCH])
    return [(images,) for images, _ in fashion_mnist.batches(part)]


def accuracy_of_program(quantized: torch.fx.GraphModule, test: tuple[Images, Labels], name: str) -> float:
    """Top-1 of the .pte, in per cent."""
    with console.status("lowering to the EnnBackend delegate"):
        program = lower(quantized, INPUTS).to_executorch()
    DEMO_FOLDER.mkdir(parents=True, exist_ok=True)
    path = DEMO_FOLDER / f"fashion_mnist_{name}.pte"
    program.save(str(path))
    return accuracy(Pte(path), test, f"evaluating {path.name}")


def accuracy(function, test: tuple[Images, Labels], description: str) -> float:
    batches = steps(fashion_mnist.batches(test), description, len(test[0]) // BATCH)
    return fashion_mnist.top1(function, batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5, help="of training in float")
    parser.add_argument("--qat-epochs", type=int, default=2, help="of training with quantization")
    parser.add_argument("--retrain", action="store_true", help="do not reuse the float weights of an earlier run")
    arguments = parser.parse_args()

    started = time.perf_counter()
    data, test = fashion_mnist.load("train"), fashion_mnist.load("t10k")
    model = trained_float_model(data, arguments.epochs, arguments.retrain)
    results = {"float, eager PyTorch": accuracy(model, test, "evaluating the float model")}
    ptq = quantize(model, calibration_samples(data), INPUTS)
    results["quantized after training, .pte"] = accuracy_of_program(ptq, test, "ptq")
    aware = quantized_in_training(model, data, arguments.qat_epochs)
    results["trained with quantization, .pte"] = accuracy_of_program(aware, test, "qat")

    table = Table(title=f"Fashion-MNIST, top-1 over {len(test[0]):,} test images")
    for column in ("model", "top-1", "against float"):
        table.add_column(column, justify="left" if column == "model" else "right")
    reference = next(iter(results.values()))
    for name, value in results.items():
        table.add_row(name, f"{value:.2f} %", f"{value - reference:+.2f}")
    console.print(table)
    console.print(f"the whole run took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
