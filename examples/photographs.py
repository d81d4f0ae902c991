"""Photographs that ship inside scikit-image and scikit-learn, cut into 224 x 224 crops. Nothing is downloaded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
import torch
from PIL import Image

_FOLDERS = [Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images"]

CALIBRATION = [
    "astronaut.png",
    "rocket.jpg",
    "china.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "grass.png",
    "brick.png",
    "moon.png",
    "page.png",
]
EVALUATION = [
    "chelsea.png",
    "coffee.png",
    "camera.png",
    "flower.jpg",
    "coins.png",
    "retina.jpg",
    "gravel.png",
    "motorcycle_right.png",
]

# Crops of an evaluation photograph: side in parts of its shorter side, place of the centre in parts of what
# is left free, mirrored or not. The first is the whole square.
CROPS = [
    (1.0, 0.5, 0.5, False),
    (1.0, 0.5, 0.5, True),
    (0.75, 0.5, 0.5, False),
    (0.75, 0.5, 0.5, True),
    (0.75, 0.0, 0.0, False),
    (0.75, 0.0, 1.0, False),
    (0.75, 1.0, 0.0, False),
    (0.75, 1.0, 1.0, False),
    (0.5, 0.5, 0.5, False),
]


def open_photograph(name: str) -> Image.Image:
    path = next(folder / name for folder in _FOLDERS if (folder / name).exists())
    return Image.open(path).convert("RGB")


def crop(image: Image.Image, side: float, x: float, y: float, mirrored: bool) -> torch.Tensor:
    """A 1 x 3 x 224 x 224 input of EfficientNet-Lite0."""
    size = side * min(image.size)
    left, top = x * (image.width - size), y * (image.height - size)
    cut = image.resize((224, 224), Image.Resampling.BICUBIC, (left, top, left + size, top + size))
    if mirrored:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1).to(torch.float32)
    return ((pixels - 127) / 128).unsqueeze(0).contiguous()


def calibration_samples(per_photograph: int = 6, seed: int = 0) -> Iterator[torch.Tensor]:
    """Random crops of the calibration photographs, mirrored at random, brightness and contrast varied."""
    random = np.random.default_rng(seed)
    for name in CALIBRATION:
        image = open_photograph(name)
        for _ in range(per_photograph):
            x = crop(image, random.uniform(0.5, 1.0), random.uniform(), random.uniform(), random.random() < 0.5)
            contrast, brightness = random.uniform(0.8, 1.2), random.uniform(-0.15, 0.15)
            yield (x * contrast + brightness).clamp(-127 / 128, 1.0)


def evaluation_samples() -> dict[str, list[torch.Tensor]]:
    """The crops of each evaluation photograph."""
    return {name: [crop(open_photograph(name), *place) for place in CROPS] for name in EVALUATION}
