"""Operators that read and write at indices, or copy elements more than once."""

import torch
from torch import nn
from torch.nn import functional

from operator_cases.case import IMAGE, Call, Case

_SEED = torch.Generator().manual_seed(0)
_ROWS = torch.randint(-500, 500, (2048,), generator=_SEED)
_COLUMN_OF_ROWS = torch.randint(0, 1000, (2048, 1), generator=_SEED).expand(-1, 512)
# Each once: which of several writes to one place stays is undefined in PyTorch.
_DISTINCT_ROWS = torch.randperm(1000, generator=_SEED)[:800]

CASES: dict[str, Case] = {
    "embedding": Case(
        ("index",), lambda: nn.Embedding(1000, 512), make_inputs=lambda: (torch.randint(0, 1000, (16, 128)),)
    ),
    "index": Case(("index",), lambda: Call(lambda x: x[_ROWS]), ((1000, 512),)),
    "gather": Case(("index",), lambda: Call(lambda x: x.gather(0, _COLUMN_OF_ROWS)), ((1000, 512),)),
    "index_put": Case(
        ("scatter",), lambda: Call(lambda x, y: torch.index_put(x, (_DISTINCT_ROWS,), y)), ((1000, 1024), (800, 1024))
    ),
    "slice_scatter": Case(
        ("scatter",), lambda: Call(lambda x, y: x.slice_scatter(y, 1, 8, 40)), (IMAGE, (4, 32, 64, 64))
    ),
    "stack": Case(("stack",), lambda: Call(lambda x, y: torch.stack([x, y], 2)), (IMAGE, IMAGE)),
    "repeat": Case(("elements",), lambda: Call(lambda x: x.repeat(1, 2, 2, 1)), (IMAGE,)),
    "roll": Case(("roll",), lambda: Call(lambda x: x.roll((3, -3), (2, 3))), (IMAGE,)),
    "pad reflect": Case(("pad",), lambda: Call(lambda x: functional.pad(x, (3, 3, 3, 3), "reflect")), (IMAGE,)),
}
