"""Lines and pages of text in Debian's fonts, with colours, noise and blur. The words are Python's documentation."""

import pydoc_data.topics
import re
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from trained_networks.network import debian_files

FOLDER = "/usr/share/fonts/truetype"
FONTS = {
    "fonts-dejavu-core": ["dejavu/DejaVuSans.ttf", "dejavu/DejaVuSerif-Bold.ttf", "dejavu/DejaVuSansMono.ttf"],
    "fonts-liberation": [
        "liberation/LiberationSans-Regular.ttf",
        "liberation/LiberationSerif-Regular.ttf",
        "liberation/LiberationSerif-Italic.ttf",
        "liberation/LiberationSansNarrow-Bold.ttf",
    ],
    "fonts-freefont-ttf": ["freefont/FreeSerif.ttf", "freefont/FreeSansOblique.ttf", "freefont/FreeMonoBold.ttf"],
}


@cache
def _font(index: int, size: int) -> ImageFont.FreeTypeFont:
    files = [
        path for package, names in FONTS.items() for path in debian_files(package, [f"{FOLDER}/{n}" for n in names])
    ]
    return ImageFont.truetype(str(files[index % len(files)]), size)


@cache
def _words(calibration: bool) -> list[str]:
    """Of the even topics for calibration, of the odd ones otherwise."""
    topics = sorted(pydoc_data.topics.topics)[0 if calibration else 1 :: 2]
    return re.findall(
        r"[A-Za-z][A-Za-z'-]*[,.]?|[0-9.]+", " ".join(pydoc_data.topics.topics[topic] for topic in topics)
    )


def text(random: np.random.Generator, length: int, calibration: bool) -> str:
    """Words that follow each other, at most `length` characters; now and then a price or a date."""
    if random.random() < 0.15:
        return random.choice(
            [f"{random.integers(1, 999)}.{random.integers(10, 99)} EUR", f"{random.integers(1, 28):02}/11/2026"]
        )
    words = _words(calibration)
    start = int(random.integers(len(words) - 40))
    line = words[start][:length]
    for word in words[start + 1 : start + 40]:
        if len(line) + 1 + len(word) > length:
            break
        line += " " + word
    return line


def _colours(random: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Background and ink, far enough apart to be read; dark on bright more often."""
    bright, dark = random.integers(170, 256, 3), random.integers(0, 90, 3)
    pair = (tuple(map(int, bright)), tuple(map(int, dark)))
    return pair if random.random() < 0.8 else pair[::-1]


def _worn(random: np.random.Generator, image: Image.Image) -> np.ndarray:
    """Values from 0 to 255, after some blur and noise."""
    blurred = image.filter(ImageFilter.GaussianBlur(random.uniform(0.0, 0.8)))
    noisy = np.asarray(blurred, np.float32) + random.normal(0, random.uniform(0, 8), (*image.size[::-1], 3))
    return noisy.clip(0, 255).astype(np.float32)


def line(random: np.random.Generator, height: int, width: int, words: str) -> np.ndarray:
    """The words in one line of that height, 3 channels; as wide as they are, at most `width`."""
    font = _font(int(random.integers(10)), 40)
    left, top, right, bottom = font.getbbox(words)
    background, ink = _colours(random)
    image = Image.new("RGB", (int(right - left) + 16, int(bottom - top) + 14), background)
    ImageDraw.Draw(image).text((8 - left, 7 - top), words, ink, font)
    image = image.rotate(random.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor=background)
    wide = min(width, round(image.width * height / image.height))
    return _worn(random, image.resize((wide, height), Image.Resampling.BICUBIC))


def page(random: np.random.Generator, size: int, calibration: bool) -> np.ndarray:
    """size x size x 3: lines of several heights, some of them in boxes of another colour."""
    background, ink = _colours(random)
    image = Image.new("RGB", (size, size), background)
    draw = ImageDraw.Draw(image)
    y = int(random.integers(4, 30))
    while y < size - 30:
        font = _font(int(random.integers(10)), int(random.integers(11, 26)))
        words = text(random, int(random.integers(4, 30)), calibration)
        x = int(random.integers(4, size // 3))
        left, top, right, bottom = draw.textbbox((x, y), words, font)
        if random.random() < 0.2:
            paper, colour = _colours(random)
            draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), paper)
            draw.text((x, y), words, colour, font)
        else:
            draw.text((x, y), words, ink, font)
        y = int(bottom) + int(random.integers(6, 40))
    turned = image.rotate(random.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=background)
    return _worn(random, turned)
