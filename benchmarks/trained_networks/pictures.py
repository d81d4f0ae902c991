"""Photographs inside scikit-image, scikit-learn and Debian's wallpaper packages, cut into square crops."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from report import photographs
from trained_networks.network import debian_files

Names = tuple[list[str], list[str], list[str]]
MATE = "/usr/share/backgrounds/mate/nature"
LOMIRI = "/usr/share/backgrounds"

# Names of photographs of the examples (scikit-image, scikit-learn), then files of Debian's packages.
CALIBRATION = (
    ["astronaut.png", "rocket.jpg", "china.jpg", "motorcycle_left.png", "grass.png", "page.png", "moon.png", "ihc.png"],
    ["Aqua.jpg", "Blinds.jpg", "FreshFlower.jpg", "GreenMeadow.jpg", "RainDrops.jpg", "TwoWings.jpg", "Wood.jpg"],
    [
        "Bridge_by_Sander_Klootwijk.jpg",
        "Picture_0B_by_freespace.jpg",
        "Wine_by_Jakkub_Mede.jpg",
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "life_by_Aitzol_Berasategi.jpg",
        "seeding_by_Clements_Engelhardt.jpg",
    ],
)
EVALUATION = (
    ["chelsea.png", "coffee.png", "camera.png", "flower.jpg", "coins.png", "gravel.png", "retina.jpg"],
    ["Dune.jpg", "Garden.jpg", "LadyBird.jpg", "Storm.jpg", "YellowFlower.jpg"],
    [
        "Dragonfly_by_Bolly.jpg",
        "Kleiber_by_Lukas_Baubkus.jpg",
        "Picture_1A_by_freespace.jpg",
        "free_by_Peter_Nerlich.jpg",
        "friends_by_Aitzol_Berasategi.jpg",
        "greentock_by_Peter_Nerlich.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "sunset_by_Aitzol_Berasategi.jpg",
    ],
)


@cache
def _opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def images(names: Names) -> list[Image.Image]:
    packaged, mate, lomiri = names
    files = [
        *debian_files("mate-backgrounds", [f"{MATE}/{name}" for name in mate]),
        *debian_files("lomiri-wallpapers-16.04 lomiri-wallpapers-20.04", [f"{LOMIRI}/{name}" for name in lomiri]),
    ]
    return [*map(photographs.open_photograph, packaged), *map(_opened, files)]


def crops(names: Names, per_photograph: int, size: int, seed: int) -> torch.Tensor:
    """N x 3 x size x size with values from 0 to 255: of each photograph the whole square, then random ones."""
    random = np.random.default_rng(seed)
    cuts = []
    for image in images(names):
        for i in range(per_photograph):
            side = min(image.size) * (1.0 if i == 0 else random.uniform(0.5, 1.0))
            x, y = (0.5, 0.5) if i == 0 else random.uniform(size=2)
            left, top = x * (image.width - side), y * (image.height - side)
            cut = image.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
            if i and random.random() < 0.5:
                cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            cuts.append(torch.from_numpy(np.array(cut)).permute(2, 0, 1).to(torch.float32))
    return torch.stack(cuts)
