"""Stands in for what upstream's tests expect around them: a phone, downloads, a matching binary of torchaudio."""

import sys
import types
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import common


class RandomWeights(dict):
    """A state dictionary that was not downloaded: loading it leaves the model's own random weights."""


def do_not_download() -> None:
    """Models with weights to download keep random ones, the same in each run."""
    load = torch.nn.Module.load_state_dict

    def load_state_dict(module: torch.nn.Module, state: Any, *args: Any, **kwargs: Any) -> Any:
        return None if isinstance(state, RandomWeights) else load(module, state, *args, **kwargs)

    def random_weights(*args: Any, **kwargs: Any) -> RandomWeights:
        return RandomWeights()

    torch.nn.Module.load_state_dict = load_state_dict
    torch.hub.load_state_dict_from_url = random_weights
    import timm.models._builder
    import torchsr.models.edsr
    import torchvision.models._api

    torchvision.models._api.load_state_dict_from_url = random_weights
    torchsr.models.edsr.load_state_dict_from_url = random_weights
    timm.models._builder.load_pretrained = lambda *args, **kwargs: None


def make_torchaudio_importable() -> None:
    """torchaudio's models are Python; its binary, built for another torch, is not needed by them."""
    glob = Path.glob
    Path.glob = lambda path, pattern: iter(()) if pattern.startswith("_torchaudio") else glob(path, pattern)
    try:
        import torchaudio  # noqa: F401
    finally:
        Path.glob = glob


def run_in_process() -> None:
    """Upstream's executor pushes the program to a phone; this one runs it here, in ExecuTorch's runtime."""
    from executorch.backends.samsung.test.utils import RuntimeExecutor
    from executorch.runtime import Runtime

    def run_on_device(executor: Any) -> tuple[torch.Tensor, ...]:
        program = Runtime.get().load_program(executor.executorch_program.buffer)
        results = program.load_method("forward").execute(executor.inputs)
        return tuple(result.clone() for result in results)

    RuntimeExecutor.run_on_device = run_on_device


def provide_mobilebert() -> None:
    """The script that trains this model is not in ExecuTorch's wheel: its model, without the training."""
    import transformers

    class MobileBertFinetune:
        def get_finetune_mobilebert(self, artifacts: Any, batch_size: int) -> tuple[torch.nn.Module, None]:
            torch.manual_seed(0)
            config = transformers.MobileBertConfig(num_labels=3, return_dict=False)
            return transformers.MobileBertForSequenceClassification(config).eval(), None

        def get_example_inputs(self) -> tuple[torch.Tensor, ...]:
            return (torch.arange(128).reshape(1, 128), torch.ones(1, 128, dtype=torch.long))

    for name in ("samsung", "samsung.scripts", "samsung.scripts.mobilebert_finetune"):
        sys.modules[f"executorch.examples.{name}"] = types.ModuleType(name)
    sys.modules["executorch.examples.samsung.scripts.mobilebert_finetune"].MobileBertFinetune = MobileBertFinetune


common.make_torchvision_importable()
make_torchaudio_importable()
do_not_download()
provide_mobilebert()
run_in_process()
