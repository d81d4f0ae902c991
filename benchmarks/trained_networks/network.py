"""A trained network: its module, what calibrates it, and its task's metric on other samples."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...]
# Called like the module: a tensor for one output, a tuple of tensors for several.
Function = Callable[..., Any]
Metrics = dict[str, float]


class MissingPackageError(Exception):
    """A package that a network comes from is not installed; the message is the command that installs it."""


@dataclass
class TrainedNetwork:
    """A float module in evaluation mode, with its data."""

    model: nn.Module
    calibration: list[Inputs]
    # Metrics of anything that is called like the module. The first is the task's: 1 is the best. No sample of it
    # is among those that calibrate.
    evaluate: Callable[[Function], Metrics]
    data: str  # what is evaluated: "100 crops of photographs"


def package_file(package: str, path: str, module: str | None = None) -> Path:
    """A file inside an installed package of PyPI, which is not imported."""
    spec = importlib.util.find_spec(module or package.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / path).exists():
            return Path(folder) / path
    raise MissingPackageError(f"pip install --no-deps {package}")


def need_module(module: str, package: str | None = None) -> None:
    """Raises MissingPackageError where `module` cannot be imported."""
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError(f"pip install --no-deps {package or module}")


def debian_files(package: str, paths: Sequence[str]) -> list[Path]:
    """Files that a package of Debian installs."""
    files = [Path(path) for path in paths]
    if not all(file.exists() for file in files):
        raise MissingPackageError(f"apt-get install {package}")
    return files


def run(function: Function, samples: Sequence[Inputs]) -> list[Any]:
    """The function's results for all samples."""
    with torch.no_grad():
        return [function(*sample) for sample in samples]


def sqnr(signal: torch.Tensor, noisy: torch.Tensor) -> float:
    """Signal-to-quantization-noise ratio in decibels."""
    noise = (signal - noisy).double().square().sum()
    return float(10 * torch.log10(signal.double().square().sum() / noise)) if noise > 0 else float("inf")


class Reference:
    """The float module's results for the samples, computed when they are first asked for."""

    def __init__(self, model: nn.Module, samples: Sequence[Inputs]) -> None:
        self.model = model
        self.samples = samples
        self._results: list[Any] | None = None

    def results(self) -> list[Any]:
        if self._results is None:
            self._results = run(self.model, self.samples)
        return self._results

    def of(self, function: Function) -> list[Any]:
        """What `function` gives for the samples."""
        return self.results() if function is self.model else run(function, self.samples)
