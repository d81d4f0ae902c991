"""Networks that no installed package builds, written from their papers: transformers."""

import torch
from torch import nn
from torch.nn import functional

from networks.network import Network, image


class Attention(nn.Module):
    """Of `asked` to itself; the values may come from something wider."""

    def __init__(self, width: int, heads: int, values: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value = nn.Linear(values or width, width)

    def forward(self, asked: torch.Tensor, known: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        def split(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        q, k, v = split(self.query(asked)), split(self.key(asked)), split(self.value(known))
        result = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return result.transpose(1, 2).flatten(2)


class EncoderLayer(nn.Module):
    """Norms before each part, or behind it as in BERT."""

    def __init__(self, width: int, heads: int, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(width, heads)
        self.output = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self.norm_first:
            y = self.norm1(x)
            x = x + self.output(self.attention(y, y, mask))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.output(self.attention(x, x, mask)))
        return self.norm2(x + self.mlp(x))


class Deit(nn.Module):
    """Touvron et al. 2021, tiny, with a distillation token beside the class token."""

    def __init__(self, size: int = 224, patch: int = 16, width: int = 192, depth: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.tokens = nn.Parameter(torch.randn(1, 2, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 2, width) * 0.02)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, norm_first=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head, self.distilled = nn.Linear(width, 1000), nn.Linear(width, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.tokens.expand(x.shape[0], -1, -1), x], 1) + self.positions
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return (self.head(x[:, 0]) + self.distilled(x[:, 1])) / 2


class Bert(nn.Module):
    """Devlin et al. 2019, of 4 layers: token, position and segment embeddings, a mask, pooled to classes."""

    def __init__(self, words: int = 8000, longest: int = 128, width: int = 256, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(words, width, padding_idx=0), nn.Embedding(longest, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, norm_first=False) for _ in range(depth))
        self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 2)
        self.register_buffer("places", torch.arange(longest))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.positions(self.places[: tokens.shape[1]])
        x = self.norm(x + self.segments(torch.zeros_like(tokens)))
        hidden = (1.0 - mask[:, None, None, :].to(x.dtype)) * -100.0
        for layer in self.layers:
            x = layer(x, hidden)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class NoNorm(nn.Module):
    """MobileBERT's norm: a scale and a shift."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + self.bias


class MobileBertLayer(nn.Module):
    """512 wide outside, 128 inside its bottleneck, four feed-forward parts."""

    def __init__(self, width: int, narrow: int, heads: int, parts: int) -> None:
        super().__init__()
        self.enter, self.enter_norm = nn.Linear(width, narrow), NoNorm(narrow)
        self.share, self.share_norm = nn.Linear(width, narrow), NoNorm(narrow)
        self.attention = Attention(narrow, heads, values=width)
        self.output, self.output_norm = nn.Linear(narrow, narrow), NoNorm(narrow)
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(narrow, 4 * narrow), nn.ReLU(), nn.Linear(4 * narrow, narrow)) for _ in range(parts)
        )
        self.feed_norm = nn.ModuleList(NoNorm(narrow) for _ in range(parts))
        self.leave, self.leave_norm = nn.Linear(narrow, width), NoNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shared = self.share_norm(self.share(x))
        y = self.output_norm(self.output(self.attention(shared, x, mask)) + self.enter_norm(self.enter(x)))
        for feed, norm in zip(self.feed, self.feed_norm, strict=True):
            y = norm(feed(y) + y)
        return self.leave_norm(self.leave(y) + x)


class MobileBert(nn.Module):
    """Sun et al. 2020: three neighbouring token embeddings, bottlenecks, NoNorm. `depth` layers of 24."""

    def __init__(self, words: int = 30522, depth: int = 24, width: int = 512, narrow: int = 128) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(words, narrow, padding_idx=0), nn.Embedding(512, width)
        self.segments = nn.Embedding(2, width)
        self.enter, self.norm = nn.Linear(3 * narrow, width), NoNorm(width)
        self.layers = nn.ModuleList(MobileBertLayer(width, narrow, 4, 4) for _ in range(depth))
        self.register_buffer("places", torch.arange(512))
        # A random network without real norms grows by each layer; trained ones do not.
        with torch.no_grad():
            for layer in self.layers:
                layer.leave.weight.mul_(0.3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        words = self.words(tokens)
        before = functional.pad(words[:, 1:], (0, 0, 0, 1, 0, 0))
        behind = functional.pad(words[:, :-1], (0, 0, 1, 0, 0, 0))
        x = self.enter(torch.cat([before, words, behind], 2))
        x = x + self.positions(self.places[: tokens.shape[1]]) + self.segments(torch.zeros_like(tokens))
        x = self.norm(x)
        hidden = (1.0 - mask[:, None, None, :].to(x.dtype)) * -100.0
        for layer in self.layers:
            x = layer(x, hidden)
        return x


def _text(words: int):
    def inputs(size: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        tokens = torch.randint(1, words, (1, size), generator=generator)
        used = int(torch.randint(size // 2, size + 1, (1,), generator=generator))
        mask = (torch.arange(size) < used).long()[None]
        return tokens * mask, mask

    return inputs


def _mobilebert(size: int) -> nn.Module:
    return MobileBert(depth=24 if size >= 64 else 4)


NETWORKS: dict[str, Network] = {
    "deit_tiny": Network(Deit, image),
    "bert": Network(lambda _: Bert(), _text(8000), size=128, small=32),
    "mobilebert": Network(_mobilebert, _text(30522), size=128, small=16, classes=None),
}
