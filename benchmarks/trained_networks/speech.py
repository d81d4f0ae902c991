"""Speech of Debian's asterisk-core-sounds-en-wav at 16 kHz, alone and in noise."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import lfilter, resample_poly

from trained_networks.network import debian_files

RATE = 16000
FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")

CALIBRATION = [
    "conf-adminmenu",
    "demo-abouttotry",
    "vm-options",
    "tt-monkeys",
    "dir-intro",
    "conf-usermenu",
    "vm-opts-full",
]
EVALUATION = [
    "demo-congrats",
    "basic-pbx-ivr-main",
    "priv-callee-options",
    "demo-echotest",
    "vm-msginstruct",
    "demo-moreinfo",
]


@cache
def recording(name: str) -> np.ndarray:
    """Values in (-1, 1)."""
    (path,) = debian_files("asterisk-core-sounds-en-wav", [str(FOLDER / f"{name}.wav")])
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        return resample_poly(samples, RATE, file.getframerate()).astype(np.float32)


def _noise(random: np.random.Generator, length: int) -> np.ndarray:
    """White, pink-like or brown-like noise of RMS 1."""
    white = random.standard_normal(length)
    noise = lfilter([1], [1, -random.choice([0.0, 0.7, 0.95])], white)
    return noise / np.sqrt(np.mean(noise**2))


def in_noise(name: str, seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A recording that pauses of half a second to a second interrupt, with noise; and the same without the noise."""
    random = np.random.default_rng(seed)
    speech = recording(name)
    parts = [np.zeros(RATE // 2, np.float32)]
    position = 0
    while position < len(speech) and sum(map(len, parts)) < seconds * RATE:
        length = int(random.uniform(1.0, 2.5) * RATE)
        parts += [speech[position : position + length], np.zeros(int(random.uniform(0.5, 1.0) * RATE), np.float32)]
        position += length
    clean = np.concatenate(parts)[: int(seconds * RATE)] * 10 ** -random.uniform(0.0, 1.3)
    loudness = np.sqrt(np.mean(clean[np.abs(clean) > 1e-3] ** 2))
    noise = _noise(random, len(clean)) * loudness * 10 ** (-random.uniform(5, 30) / 20)
    return (clean + noise).astype(np.float32), clean
