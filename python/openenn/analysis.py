"""What quantization costs a model, layer by layer: the core measures, this imports the models."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from openenn import _core, fx, pt2e
from openenn.models import exported, own_module
from openenn.quantizer import EnnQuantizer
from openenn.samples import arguments_of, first_sample, tensors_of

__all__ = ["AnalysisReport", "analyze"]


class AnalysisReport:
    """What analyze() measured: str() is a table of the layers that contribute most to the error of the outputs.

    `layers` is in the order of execution and `ranking` their numbers, the largest contribution first; `inputs`,
    `outputs` and `samples` are the inputs that are quantized, the outputs, and the number of samples; `programs` has
    the outputs of each program that was compared. The page analysis.md says what a layer has.
    """

    def __init__(self, core: "_core.AnalysisReport") -> None:
        self._core = core
        self.samples = core.samples
        self.layers = core.layers
        self.ranking = core.ranking
        self.inputs = core.inputs
        self.outputs = core.outputs
        self.programs = dict(core.programs)

    def to_text(self, most: int = 20) -> str:
        """The table of that many layers."""
        return self._core.to_text(most)

    def to_json(self) -> str:
        """Everything; the page analysis.md has the schema."""
        return self._core.to_json()

    def to_html(self, title: str = "Quantization") -> str:
        """One page with pictures, without scripts and references to other files."""
        return self._core.to_html(title)

    def __str__(self) -> str:
        return self.to_text()


def analyze(
    model: torch.nn.Module | ExportedProgram,
    samples: Iterable[Any],
    quantizer: EnnQuantizer | None = None,
    *,
    quantized: GraphModule | None = None,
    programs: Mapping[str, Callable[..., Any]] | None = None,
    threads: int | None = None,
    sensitivity: int = 0,
) -> AnalysisReport:
    """Measures on samples, each a tensor or a tuple of a call's arguments, what quantization does to each layer.

    The model is quantized by the quantizer and calibrated on the samples, or `quantized` is what convert_pt2e made of
    it. `programs` are other forms of the model by name, called as it is, such as a `.pte`: their outputs are compared
    with the float model's. With `sensitivity` the layers are ranked by what each makes in the outputs when it alone is
    quantized, on so many samples.
    """
    first = first_sample(samples, "twice, to calibrate and to measure", "measure")
    module = own_module(exported(model, arguments_of(first)))
    prepared = pt2e.prepare_pt2e(module, quantizer or EnnQuantizer(), threads)
    floats = fx.import_module(prepared.module).graph
    if quantized is None:
        for sample in samples:
            prepared(*arguments_of(sample))
        quantized = pt2e.convert_pt2e(prepared)
    analysis = _core.Analysis.of_graphs(floats, fx.import_converted(quantized).graph, prepared.threads, sensitivity)
    for sample in samples:
        arguments = arguments_of(sample)
        analysis.run(tensors_of(arguments))
        for name, program in (programs or {}).items():
            analysis.compare(name, tensors_of(program(*arguments)))
    return AnalysisReport(analysis.report())
