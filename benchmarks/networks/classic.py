"""torchvision's networks."""

from collections.abc import Callable

from torch import nn

from networks.network import Network, image
from report import common


def _classifier(name: str, **arguments) -> Callable[[int], nn.Module]:
    def build(_size: int) -> nn.Module:
        common.make_torchvision_importable()
        import torchvision.models

        return getattr(torchvision.models, name)(weights=None, **arguments)

    return build


def _segmentation(name: str) -> Callable[[int], nn.Module]:
    class Result(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x)["out"]

    def build(_size: int) -> nn.Module:
        common.make_torchvision_importable()
        import torchvision.models.segmentation

        model = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None)
        return Result(model)

    return build


def _vit_b_16(size: int) -> nn.Module:
    model = _classifier("vit_b_16", image_size=size)(size)
    nn.init.normal_(model.heads.head.weight, std=0.02)  # torchvision begins with zeros
    return model


def _efficientnet_lite0(_size: int) -> nn.Module:
    from efficientnet_lite import pretrained

    return pretrained()


NETWORKS: dict[str, Network] = {
    "mobilenet_v2": Network(_classifier("mobilenet_v2"), image),
    "mobilenet_v3_small": Network(_classifier("mobilenet_v3_small"), image),
    "mobilenet_v3_large": Network(_classifier("mobilenet_v3_large"), image),
    "resnet18": Network(_classifier("resnet18"), image),
    "resnet50": Network(_classifier("resnet50"), image),
    "inception_v3": Network(_classifier("inception_v3", init_weights=False), image, size=299, small=96),
    "densenet121": Network(_classifier("densenet121"), image),
    "squeezenet1_1": Network(_classifier("squeezenet1_1"), image),
    "shufflenet_v2_x1_0": Network(_classifier("shufflenet_v2_x1_0"), image),
    "regnet_y_400mf": Network(_classifier("regnet_y_400mf"), image),
    "efficientnet_b0": Network(_classifier("efficientnet_b0"), image),
    "efficientnet_lite0": Network(_efficientnet_lite0, image, weights="ImageNet"),
    "convnext_tiny": Network(_classifier("convnext_tiny", layer_scale=0.5), image),
    "vit_b_16": Network(_vit_b_16, image),
    "swin_t": Network(_classifier("swin_t"), image),
    "deeplab_v3_mobilenet_v3": Network(_segmentation("deeplabv3_mobilenet_v3_large"), image, size=224),
    "deeplab_v3_resnet50": Network(_segmentation("deeplabv3_resnet50"), image, size=224),
}
