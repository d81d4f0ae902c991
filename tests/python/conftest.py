"""Fixtures: the examples' and benchmarks' modules, quantized and lowered models made once per session."""

import functools
import gc
import importlib.util
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("examples", "benchmarks"):
    sys.path.insert(0, str(ROOT / folder))

import pytest  # noqa: E402

pytest.register_assert_rewrite("together")

import shortcuts  # noqa: E402
import torch  # noqa: E402
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner  # noqa: E402
from executorch.backends.samsung.utils.export_utils import get_edge_compile_config  # noqa: E402

import common  # noqa: E402
import models  # noqa: E402

common.make_torchvision_importable()
shortcuts.apply()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help="the tests of `make test`: none that is marked full, and of each function that is marked forms the first",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    kept, left = [], []
    functions = set()
    for item in items:
        function = (item.path, item.originalname)
        if item.get_closest_marker("full") or (item.get_closest_marker("forms") and function in functions):
            left.append(item)
        else:
            functions.add(function)
            kept.append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@dataclass
class Lowered:
    """A model on its way: each stage once."""

    model: torch.nn.Module
    inputs: tuple[torch.Tensor, ...]
    quantized: torch.fx.GraphModule
    program: torch.export.ExportedProgram
    buffer: bytes
    delegate_calls: int
    outside: list[str]
    reasons: dict[str, str]


def lower(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], upstream_config: bool = False, **flow) -> Lowered:
    """The six steps; `flow` goes to common.quantize."""
    quantized = common.quantize(model, [inputs], inputs, **flow)
    partitioner = EnnPartitioner()
    config = get_edge_compile_config() if upstream_config else None
    edge = common.lower(quantized, inputs, partitioner, config)
    calls = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
    delegates = [call for call in calls if "executorch_call_delegate" in call]
    outside = [call for call in calls if call not in delegates and "getitem" not in call]
    program = edge.exported_program()
    buffer = edge.to_executorch().buffer
    return Lowered(model, inputs, quantized, program, buffer, len(delegates), outside, partitioner.reasons)


def upstream_quantizer(is_per_channel: bool, is_qat: bool = False):
    """Upstream's own quantizer, loaded from its files under another package name."""
    backends = importlib.util.find_spec("executorch.backends").submodule_search_locations[0]
    folder = Path(backends, "samsung", "quantizer")
    name = "upstream_samsung_quantizer"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    module = sys.modules[name]
    assert module.quantizer.__file__ == str(folder / "quantizer.py")
    quantizer = module.EnnQuantizer()
    quantizer.setup_quant_params(module.Precision.A8W8, is_per_channel, is_qat)
    return quantizer


@functools.cache
def lowered_model(name: str, size: int, batch: int, upstream_config: bool, per_channel: bool, fold: bool) -> Lowered:
    model = models.build(name)
    inputs = (torch.randn(batch, 3, size, size),)
    return lower(model, inputs, upstream_config, is_per_channel=per_channel, fold_quantize=fold)


_collected = time.process_time()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """The same seed for every test, and graphs with their weights left over from few."""
    global _collected
    torch.manual_seed(0)
    yield
    if time.process_time() - _collected > 4:  # it takes a sixth of a second
        gc.collect()
        _collected = time.process_time()


@pytest.fixture(scope="session")
def small_network() -> Lowered:
    """Convolutions, a residual, pooling and a linear layer on 32 x 32 images."""
    from torch import nn

    torch.manual_seed(1)

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(16, 16, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.relu(x + self.conv(x))

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        Residual(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    ).eval()
    return lower(model, (torch.randn(1, 3, 32, 32),))
