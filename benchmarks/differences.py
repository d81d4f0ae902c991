"""Effect of each difference of placement from upstream's (docs/differences.md): SQNR of the quantized model against
the float model in dB, EnnQuantizer's default and Compatibility.UPSTREAM side by side."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from operator_cases.case import Call
from report import common, models, print_table, save, sqnr

IMAGE = (4, 32, 24, 24)


class SqueezeExcite(nn.Module):
    """A feature map times a gate in (0, 1) for each of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(32, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))


class Residual(nn.Module):
    """relu of a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(x + self.convolution(x))


@dataclass
class Difference:
    """A model that shows it, with normal inputs times `factors`."""

    build: Callable[[], nn.Module]
    factors: tuple[float, ...]
    shape: tuple[int, ...] = IMAGE


def torchvision_model(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        common.make_torchvision_importable()
        import torchvision.models

        return models.warm_batch_norm(getattr(torchvision.models, name)(weights=None))

    return build


DIFFERENCES = {
    "sigmoid": Difference(lambda: Call(torch.sigmoid), (2.0,)),
    "mul (squeeze and excite)": Difference(SqueezeExcite, (4.0,)),
    "mul, operands 100 : 1": Difference(lambda: Call(torch.mul), (100.0, 1.0)),
    "sub, operands 10 : 1": Difference(lambda: Call(torch.sub), (10.0, 1.0)),
    "add, operands 10 : 1": Difference(lambda: Call(torch.add), (10.0, 1.0)),
    "add + relu (residual)": Difference(Residual, (1.0,)),
    "convolution + clamp(0, 1)": Difference(
        lambda: nn.Sequential(nn.Conv2d(32, 32, 3), Call(lambda x: x.clamp(0.0, 1.0))), (4.0,)
    ),
    "convolution + silu": Difference(lambda: nn.Sequential(nn.Conv2d(32, 32, 3), nn.SiLU()), (4.0,)),
    "convolution + hardswish": Difference(lambda: nn.Sequential(nn.Conv2d(32, 32, 3), nn.Hardswish()), (4.0,)),
    "MobileNetV2, random weights": Difference(torchvision_model("mobilenet_v2"), (1.0,), (2, 3, 96, 96)),
    "MobileNetV3-Large, random weights": Difference(torchvision_model("mobilenet_v3_large"), (1.0,), (2, 3, 96, 96)),
    "ResNet18, random weights": Difference(torchvision_model("resnet18"), (1.0,), (2, 3, 96, 96)),
}


def measure(difference: Difference) -> dict[str, float]:
    """SQNR in dB by placement, on inputs that took no part in calibration."""
    from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer

    torch.manual_seed(0)
    model = difference.build().eval()
    batches = [tuple(torch.randn(difference.shape) * factor for factor in difference.factors) for _ in range(6)]
    *samples, test = batches
    results = {}
    for name in ("default", "upstream"):
        quantizer = EnnQuantizer(name)
        quantizer.set_quant_params("A8W8", is_per_channel=True, is_qat=False)
        quantized = common.quantize(model, samples, test, quantizer)
        with torch.no_grad():
            results[name] = sqnr(model(*test), quantized(*test))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--only", default="", help="part of a name")
    arguments = parser.parse_args()
    chosen = [name for name in DIFFERENCES if arguments.only in name]
    results = {name: measure(DIFFERENCES[name]) for name in common.steps(chosen, "measuring")}
    print_table(
        "SQNR against the float model in dB",
        ["model", *next(iter(results.values()))],
        [[name, *(f"{value:.1f}" for value in result.values())] for name, result in results.items()],
    )
    save(arguments.json, results)


if __name__ == "__main__":
    main()
