"""Writes archives/<version of torch>/: small programs of torch.export.save, and what torch computed.

Run by hand with each torch that is named there; it needs nothing else. <name>.pt2 is an archive; in results.npz,
<name>.input.<i> and <name>.output.<i> are the leaves of its example inputs and of torch's outputs for them.
"""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export
from torch.nn import functional
from torch.utils import _pytree as pytree

FOLDER = Path(__file__).parent / "archives"


class Residual(nn.Module):
    """Convolutions, a batch norm, a residual, pooling; a weight that lies channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding="same", groups=8)
        self.head = nn.Linear(8, 4)
        nn.init.uniform_(self.norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        x = functional.hardswish(x + self.depthwise(x))
        return self.head(functional.max_pool2d(x, 2).mean((2, 3)))


class Attention(nn.Module):
    """Tokens, a mask of infinities, a norm, a gelu."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(12, 8)
        self.heads = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.register_buffer("mask", torch.full((5, 5), float("-inf")).triu(1), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens)
        q, k, v = self.heads(x).chunk(3, -1)
        x = x + functional.scaled_dot_product_attention(q, k, v, self.mask)
        return functional.softmax(functional.gelu(self.norm(x), approximate="tanh"), -1)


class Nested(nn.Module):
    """Dictionaries and lists on both sides, types, literals, a result of several tensors, one that is not read."""

    def forward(self, x: torch.Tensor, more: dict[str, Any], *, last: torch.Tensor) -> dict[str, Any]:
        a, b = (x * more["factors"][0]).split([2, 3], -1)
        largest, index = b.max(-1, keepdim=True)
        padded = functional.pad(a, (1, 0), value=0.5)[:, 1:].clamp(min=-1.0)
        return {
            "values": [torch.where(last, b, b * 2.0), padded * (padded > 0).to(torch.float16)],
            "index": index + more["factors"][1],
            "largest": (largest,),
            "sums": x.sum([0, 1], dtype=torch.float32),
            "none": None,
            "three": 3,
        }


class Flexible(nn.Module):
    """A batch of any size, read by an expression too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3)
        self.linear = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.silu(self.conv(x)).reshape(x.shape[0] * 2, -1)
        return torch.cat([self.linear(x), x.new_zeros(2 * x.shape[0] + 1, 5)])


class Constants(nn.Module):
    """Tied weights, buffers of both kinds, constants of the module and of the code, a part of a larger storage."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.tied = nn.Linear(6, 6, bias=False)
        self.tied.weight = self.linear.weight
        self.part = torch.arange(12.0)[::2]
        self.register_buffer("shift", torch.randn(6))
        self.register_buffer("temporary", torch.randn(6), persistent=False)
        self.register_buffer("unread", torch.ones(2))
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.tied(self.linear(x) + self.shift) - self.temporary
        return functional.linear(x, self.linear.weight.t()) * self.part + torch.tensor([1.0, -2.0] * 3) * self.count


BATCH = {0: Dim("batch", min=2, max=16)}
Exported = tuple[ExportedProgram, tuple, dict[str, Any]]


def exported(model: nn.Module, inputs: tuple, kwargs: dict[str, Any] | None = None, **options: Any) -> Exported:
    return export(model.eval(), inputs, kwargs, **options), inputs, kwargs or {}


def decomposed() -> Exported:
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
    program, inputs, kwargs = exported(model, (torch.randn(1, 3, 6),))
    return program.run_decompositions(), inputs, kwargs


def nested() -> Exported:
    more = {"factors": [torch.randn(5), torch.tensor([2])], "unread": torch.zeros(2)}
    return exported(Nested(), (torch.randn(3, 5), more), {"last": torch.tensor([True, False, True])})


PROGRAMS = {
    "residual": lambda: exported(Residual(), (torch.randn(2, 3, 8, 8),)),
    "decomposed": decomposed,
    "attention": lambda: exported(Attention(), (torch.randint(12, (2, 5)),)),
    "nested": nested,
    "flexible": lambda: exported(Flexible(), (torch.randn(2, 3, 8),), dynamic_shapes=(BATCH,)),
    "constants": lambda: exported(Constants(), (torch.randn(2, 6),)),
}


def shortened(program: ExportedProgram) -> ExportedProgram:
    """Traces of this file's frames alone, which do not say where it lies."""
    for node in program.graph.nodes:
        if trace := node.meta.get("stack_trace"):
            frames = re.findall(r'File "[^"]*(make_archives\.py", .*\n.*)', trace)
            node.meta["stack_trace"] = "".join(f'  File "{frame}\n' for frame in frames)
    return program


def leaves(name: str, values: Any) -> dict[str, np.ndarray]:
    tensors = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    return {f"{name}.{i}": tensor.detach().numpy() for i, tensor in enumerate(tensors)}


def main() -> None:
    warnings.filterwarnings("ignore")
    folder = FOLDER / torch.__version__.split("+")[0]
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, np.ndarray] = {}
    for name, make in PROGRAMS.items():
        torch.manual_seed(0)
        program, inputs, kwargs = make()
        torch.export.save(shortened(program), folder / f"{name}.pt2")
        with torch.no_grad():
            outputs = program.module()(*inputs, **kwargs)
        results |= leaves(f"{name}.input", (inputs, kwargs)) | leaves(f"{name}.output", outputs)
    np.savez_compressed(folder / "results.npz", **results)


if __name__ == "__main__":
    main()
