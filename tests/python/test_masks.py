"""Attention under the masks that models write, in 8 bits: as close to its float model as attention without one."""

from collections.abc import Callable

import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn

import common
from report import sqnr

LOWEST = torch.finfo(torch.float32).min
BATCH, HEADS, TOKENS = 2, 4, 24


def added(scores: torch.Tensor, hidden: torch.Tensor, number: float) -> torch.Tensor:
    """As BERT does: 0 where tokens are, the number where none are."""
    return scores + (1.0 - (~hidden).float()) * number


def filled(scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    inverted = 1.0 - (~hidden).float()
    return scores + inverted.masked_fill(inverted.bool(), LOWEST)


def written(scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """As nn.MultiheadAttention does for key_padding_mask."""
    mask = torch.zeros_like(hidden, dtype=torch.float32).masked_fill_(hidden, float("-inf"))
    return scores + mask.expand(-1, HEADS, -1, -1).reshape(BATCH * HEADS, 1, TOKENS).view(BATCH, HEADS, 1, TOKENS)


def beside_a_sink(scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return torch.cat([scores.masked_fill(hidden, -1e9), torch.zeros(BATCH, HEADS, TOKENS, 1)], -1)


MASKS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "none": lambda scores, hidden: scores,
    "filled with -inf": lambda scores, hidden: scores.masked_fill(hidden, float("-inf")),
    "filled with the lowest": lambda scores, hidden: scores.masked_fill(hidden, LOWEST),
    "filled with -1e9": lambda scores, hidden: scores.masked_fill(hidden, -1e9),
    "where": lambda scores, hidden: torch.where(hidden, torch.full((), -1e4), scores),
    "triangle": lambda scores, hidden: torch.where(torch.tril(torch.ones(TOKENS, TOKENS)).bool(), scores, -1e4),
    "filled, then viewed": lambda scores, hidden: scores.masked_fill(hidden, float("-inf")).view(
        BATCH * HEADS, TOKENS, TOKENS
    ),
    "filled, then bounded": lambda scores, hidden: scores.masked_fill(hidden, LOWEST).clamp(min=LOWEST),
    "capped, then filled": lambda scores, hidden: (torch.tanh(scores / 5) * 5).masked_fill(hidden, -1e9),
    "product of -10000": lambda scores, hidden: added(scores, hidden, -10000.0),
    "product of the lowest": lambda scores, hidden: added(scores, hidden, LOWEST),
    "filled, then added": filled,
    "sum, then bounded": lambda scores, hidden: torch.max(filled(scores, hidden), torch.tensor(LOWEST)),
    "written in place": written,
    "beside a sink": beside_a_sink,
}


class Attention(nn.Module):
    def __init__(self, mask: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.mask = mask
        self.projection, self.output = nn.Linear(64, 192), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        query, key, value = (self.projection(x) * 4).view(BATCH, TOKENS, 3, HEADS, 16).permute(2, 0, 3, 1, 4).unbind(0)
        scores = self.mask(query @ key.transpose(-1, -2) / 4, hidden[:, None, None, :])
        weights = scores.softmax(-1)[..., :TOKENS].view(BATCH, HEADS, TOKENS, TOKENS)
        return self.output((weights @ value).permute(0, 2, 1, 3).reshape(BATCH, TOKENS, 64))


@pytest.mark.forms
@pytest.mark.parametrize("mask", MASKS)
def test_masked_scores_keep_their_steps(mask: str) -> None:
    torch.manual_seed(0)
    model = Attention(MASKS[mask]).eval()
    inputs = (torch.randn(BATCH, TOKENS, 64), torch.arange(TOKENS)[None] >= torch.tensor([[13], [20]]))
    with torch.no_grad():
        expected = model(*inputs)
    quantized = common.quantize(model, [inputs], inputs, EnnQuantizer())
    assert sqnr(expected, quantized(*inputs)) > 23
    lowered = common.lower(quantized, inputs)
    difference = common.Pte(lowered.to_executorch().buffer)(*inputs) - quantized(*inputs)
    assert difference.abs().max() <= 1.001 * common.output_scale(quantized)


def test_a_mask_that_is_an_input_stays_float_however_it_is_moved() -> None:
    class Added(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            mask = mask.view(BATCH, 1, 1, TOKENS).expand(-1, HEADS, TOKENS, -1)
            return (x @ x.transpose(-1, -2) + mask).softmax(-1) @ x

    inputs = (torch.randn(BATCH, HEADS, TOKENS, 8), torch.full((BATCH, TOKENS), LOWEST).triu(13))
    quantizer = EnnQuantizer()
    quantizer.annotate(torch.export.export(Added(), inputs).module())
    rows = {row.name: row for row in quantizer.explain().rows}
    for name in ("mask", "view", "expand", "add"):
        assert (rows[name].decision, rows[name].reason) == (
            "in float",
            "no 8-bit scale holds beside the scores of a softmax what masks them (-inf, -10000)",
        )
    assert rows["softmax"].decision == "quantized"


def test_large_numbers_that_mask_nothing_are_quantized() -> None:
    """Time in milliseconds, coordinates, a bias below -1000."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)
            nn.init.constant_(self.linear.bias, -2000.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x * 1000.0 + 4096.0)

    inputs = (torch.randn(4, 8),)
    quantizer = EnnQuantizer()
    quantizer.annotate(torch.export.export(Scaled(), inputs).module())
    decisions = {row.name: row.decision for row in quantizer.explain().rows}
    assert (decisions["mul"], decisions["add"], decisions["linear"]) == ("quantized",) * 3
