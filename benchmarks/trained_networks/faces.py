"""MTCNN's third network, O-Net of facenet-pytorch: is a crop a face, its box, and five landmarks."""

import numpy as np
import torch
from torch import nn

from trained_networks.network import Function, Inputs, Metrics, Reference, TrainedNetwork, package_file, sqnr

SIZE = 48


class ONet(nn.Module):
    """Layers with the names of the weights; corrections of the box, landmarks, probabilities of no face and a face."""

    def __init__(self) -> None:
        super().__init__()
        for i, (channels, out, kernel) in enumerate(((3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2)), 1):
            setattr(self, f"conv{i}", nn.Conv2d(channels, out, kernel))
            setattr(self, f"prelu{i}", nn.PReLU(out))
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        for i, window in enumerate((3, 3, 2, None), 1):
            x = getattr(self, f"prelu{i}")(getattr(self, f"conv{i}")(x))
            if window:
                x = nn.functional.max_pool2d(x, window, 2, ceil_mode=True)
        x = self.prelu5(self.dense5(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense6_2(x), self.dense6_3(x), torch.softmax(self.dense6_1(x), 1)


def _samples(crops: np.ndarray) -> list[Inputs]:
    """Grey values from 0 to 1, enlarged to the network's size."""
    images = torch.from_numpy(crops).float()[:, None]
    large = nn.functional.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return [(((image * 255 - 127.5) / 128).expand(1, 3, SIZE, SIZE).contiguous(),) for image in large]


def mtcnn_onet(quick: bool = False) -> TrainedNetwork:
    """Share of faces whose landmarks are all within 2 % of the side; faces and others told apart as the float does."""
    import skimage.data

    model = ONet()
    weights = package_file("facenet-pytorch", "data/onet.pt")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()
    crops = skimage.data.lfw_subset()  # 100 faces, then 100 crops of something else
    faces = torch.arange(0, 200, 2) < 100
    reference = Reference(model, _samples(crops[::2]))

    def evaluate(function: Function) -> Metrics:
        exact = [torch.cat(values) for values in zip(*reference.results(), strict=True)]
        actual = [torch.cat(values) for values in zip(*reference.of(function), strict=True)]
        near = ((exact[1] - actual[1])[faces].abs() <= 0.02).all(1)
        same = exact[2].argmax(1) == actual[2].argmax(1)
        return {
            "landmarks as float": float(near.float().mean()),
            "face or not as float": float(same.float().mean()),
            "SQNR of landmarks": sqnr(exact[1], actual[1]),
        }

    calibration = _samples(crops[1 :: 10 if quick else 2])
    return TrainedNetwork(model, calibration, evaluate, "50 faces, 50 other crops")
