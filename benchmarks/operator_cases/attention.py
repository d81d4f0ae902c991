"""Matrix products, softmax, norms and attention."""

import torch
from torch import nn
from torch.nn import functional

from operator_cases.case import Call, Case


class Shifted(nn.Module):
    """A norm whose parameters are not their initial ones."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        for parameter in norm.parameters():
            nn.init.normal_(parameter, 0.5, 0.5)
        for name, buffer in norm.named_buffers():
            if name == "running_mean":
                nn.init.normal_(buffer, 0.5, 0.5)
            elif name == "running_var":
                nn.init.uniform_(buffer, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)


HEADS = (4, 12, 197, 64)

CASES: dict[str, Case] = {
    "matmul": Case(("matmul",), lambda: Call(torch.matmul), ((8, 12, 128, 64), (8, 12, 64, 128))),
    "matmul (second transposed)": Case(
        ("matmul",), lambda: Call(lambda a, b: a @ b.transpose(-2, -1)), ((4, 12, 197, 64), HEADS)
    ),
    "bmm": Case(("matmul",), lambda: Call(torch.bmm), ((16, 200, 80), (16, 80, 330))),
    "mm": Case(("matmul",), lambda: Call(torch.mm), ((1024, 300), (300, 1000))),
    "baddbmm": Case(("matmul", "add"), lambda: Call(torch.baddbmm), ((16, 256, 256), (16, 256, 40), (16, 40, 256))),
    "linear (weight computed)": Case(
        ("matmul",), lambda: Call(lambda x, w: functional.linear(x, w)), ((1024, 300), (1000, 300))
    ),
    "softmax": Case(("softmax",), lambda: Call(lambda x: x.softmax(-1)), ((4, 12, 160, 150),)),
    "softmax (channels)": Case(("softmax",), lambda: Call(lambda x: x.softmax(1)), ((4, 21, 112, 112),)),
    "log_softmax": Case(("log_softmax",), lambda: Call(lambda x: x.log_softmax(-1)), ((1000, 1000),)),
    "layer_norm": Case(("layer_norm",), lambda: Shifted(nn.LayerNorm(768)), ((8, 197, 768),)),
    "rms_norm": Case(("rms_norm",), lambda: Shifted(nn.RMSNorm(768)), ((8, 197, 768),)),
    "group_norm": Case(("group_norm",), lambda: Shifted(nn.GroupNorm(8, 64)), ((4, 64, 64, 64),)),
    "instance_norm": Case(("group_norm",), lambda: Shifted(nn.InstanceNorm2d(64, affine=True)), ((4, 64, 64, 64),)),
    "batch_norm (alone)": Case(("batch_norm",), lambda: Shifted(nn.BatchNorm2d(64)), ((4, 64, 64, 64),)),
    "scaled_dot_product_attention": Case(
        ("matmul", "softmax"),
        lambda: Call(functional.scaled_dot_product_attention),
        ((8, 12, 197, 64),) * 3,
        chain=True,
    ),
}
