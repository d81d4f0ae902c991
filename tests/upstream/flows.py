"""Our two flows for ExecuTorch's cross-backend suite, in float and in 8 bits, next to XNNPACK's."""

import functools
from typing import Any

import stand_ins  # noqa: F401
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from executorch.backends.test.harness import Tester
from executorch.backends.test.harness.stages import Quantize, StageType, ToEdgeTransformAndLower
from executorch.backends.test.suite import flow
from executorch.backends.test.suite.flows import xnnpack


class EnnTester(Tester):
    """The documented six steps."""

    __test__ = False

    def __init__(self, module: torch.nn.Module, example_inputs: tuple[torch.Tensor, ...], **arguments: Any) -> None:
        lower = functools.partial(ToEdgeTransformAndLower, EnnPartitioner)
        stages = Tester.default_stage_classes() | {StageType.TO_EDGE_TRANSFORM_AND_LOWER: lower}
        super().__init__(module=module, stage_classes=stages, example_inputs=example_inputs, **arguments)


def quantize_stage() -> Quantize:
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", True, False)
    return Quantize(quantizer)


FLOWS = [
    flow.TestFlow("enn", backend="enn", tester_factory=EnnTester),
    flow.TestFlow(
        "enn_a8w8", backend="enn", tester_factory=EnnTester, quantize=True, quantize_stage_factory=quantize_stage
    ),
    xnnpack.XNNPACK_TEST_FLOW,
    xnnpack.XNNPACK_STATIC_INT8_PER_CHANNEL_TEST_FLOW,
]
flow.all_flows = lambda: {entry.name: entry for entry in FLOWS}
