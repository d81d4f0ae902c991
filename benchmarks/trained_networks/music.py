"""Basic Pitch of Spotify: which notes sound in two seconds of music; convolutions make a constant-Q transform."""

import wave
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly

from trained_networks import onnx_models
from trained_networks.network import (
    Function,
    Inputs,
    Metrics,
    Reference,
    TrainedNetwork,
    debian_files,
    package_file,
    sqnr,
)

RATE, WINDOW = 22050, 43844
FOLDER = Path("/usr/share/asterisk/moh")
CALIBRATION = ["macroform-cold_day", "manolo_camp-morning_coffee"]
EVALUATION = ["macroform-robot_dity", "macroform-the_simplicity", "reno_project-system"]
NOTE = 0.3  # the probability from which a note sounds


def _windows(names: list[str], each: int) -> list[Inputs]:
    """As many windows of each recording, at equal distances."""
    samples: list[Inputs] = []
    for path in debian_files("asterisk-moh-opsound-wav", [str(FOLDER / f"{name}.wav") for name in names]):
        with wave.open(str(path)) as file:
            rate, length = file.getframerate(), file.getnframes()
            sound = np.frombuffer(file.readframes(length), np.int16) / 32768
        wide = WINDOW * rate // RATE + 1
        for start in np.linspace(0, length - wide, each + 1)[1:].astype(int):
            window = resample_poly(sound[start : start + wide], RATE, rate)[:WINDOW]
            samples.append((torch.from_numpy(window.astype(np.float32)).reshape(1, -1, 1),))
    return samples


def basic_pitch(quick: bool = False) -> TrainedNetwork:
    """F1 of the notes that sound in each frame to those of the float network."""
    path = package_file("basic-pitch", "saved_models/icassp_2022/nmp.onnx")
    model = onnx_models.load(path, (1, WINDOW, 1))
    reference = Reference(model, _windows(EVALUATION, 2 if quick else 10))

    def evaluate(function: Function) -> Metrics:
        # The results are the probabilities of onsets, of notes and of finer steps of pitch.
        exact = torch.cat([notes for _, notes, _ in reference.results()])
        actual = torch.cat([notes for _, notes, _ in reference.of(function)])
        expected, found = exact > NOTE, actual > NOTE
        f1 = 2 * (expected & found).sum() / (expected.sum() + found.sum())
        return {"F1 of notes to float": float(f1), "SQNR of probabilities": sqnr(exact, actual)}

    data = f"{len(reference.samples)} windows of music"
    return TrainedNetwork(model, _windows(CALIBRATION, 4 if quick else 15), evaluate, data)
