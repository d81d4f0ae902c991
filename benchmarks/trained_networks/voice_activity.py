"""Silero's voice activity detector at 16 kHz: a Fourier transform as a convolution, an LSTM cell, its state."""

import numpy as np
import torch
from torch import nn

from trained_networks import speech
from trained_networks.network import Function, Metrics, Reference, TrainedNetwork, need_module, package_file, sqnr

FRAME, CONTEXT = 512, 64


class SileroVad(nn.Module):
    """576 samples (64 of the frame before, 512 new ones) and the state give the probability of speech and a state."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = nn.functional.pad(x, (0, 64), mode="reflect").unsqueeze(1)
        x = self.stft_conv(x)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = torch.relu(convolution(x))
        hidden, cell = self.lstm_cell(x.squeeze(-1), (state[0], state[1]))
        probability = torch.sigmoid(self.final_conv(torch.relu(hidden.unsqueeze(-1))))
        return probability.squeeze(1), torch.stack((hidden, cell))


def _load() -> SileroVad:
    weights = package_file("silero-vad", "data/silero_vad_16k.safetensors")
    need_module("safetensors")
    from safetensors.torch import load_file

    model = SileroVad()
    model.load_state_dict(load_file(weights))
    return model.eval()


def _frames(samples: np.ndarray) -> list[torch.Tensor]:
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    count = len(samples) // FRAME
    return [torch.from_numpy(padded[i * FRAME : i * FRAME + FRAME + CONTEXT].copy())[None] for i in range(count)]


def _labels(clean: np.ndarray) -> torch.Tensor:
    """Whether each frame of the speech without noise is within 40 dB of its loud ones."""
    energy = np.square(clean[: len(clean) // FRAME * FRAME].reshape(-1, FRAME)).mean(1)
    return torch.from_numpy(energy > np.quantile(energy, 0.95) * 1e-4)


def _loop(function: Function, frames: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The probabilities of a recording, and the state that each frame finds."""
    state = torch.zeros(2, 1, 128)
    probabilities, states = [], []
    with torch.no_grad():
        for frame in frames:
            states.append(state)
            probability, state = function(frame, state)
            probabilities.append(probability)
    return probabilities, states


def voice_activity(quick: bool = False) -> TrainedNetwork:
    """Accuracy per frame with the float network's state, and with the network's own."""
    model = _load()
    seconds = 3.0 if quick else 7.0
    calibration = []
    for i, name in enumerate(speech.CALIBRATION):
        frames = _frames(speech.in_noise(name, seconds, seed=i)[0])
        calibration += list(zip(frames, _loop(model, frames)[1], strict=True))[::5]
    recordings = [speech.in_noise(name, seconds, seed=100 + i) for i, name in enumerate(speech.EVALUATION)]
    sequences = [_frames(noisy) for noisy, _ in recordings]
    labels = torch.cat([_labels(clean) for _, clean in recordings])
    samples = [sample for frames in sequences for sample in zip(frames, _loop(model, frames)[1], strict=True)]
    reference = Reference(model, samples)

    def accuracy(probabilities: list[torch.Tensor]) -> float:
        return float(((torch.cat(probabilities).flatten() > 0.5) == labels).float().mean())

    def evaluate(function: Function) -> Metrics:
        exact = [probability for probability, _ in reference.results()]
        actual = [probability for probability, _ in reference.of(function)]
        alone = [probability for frames in sequences for probability in _loop(function, frames)[0]]
        return {
            "accuracy per frame": accuracy(actual),
            "accuracy, own state": accuracy(alone),
            "SQNR of probabilities": sqnr(torch.cat(exact), torch.cat(actual)),
        }

    return TrainedNetwork(model, calibration, evaluate, f"{len(samples)} frames of speech in noise")
