"""Accuracy-aware quantization: the core decides what is tried next, this converts and evaluates it."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from openenn import _core, fx, pt2e
from openenn.guard import said_once
from openenn.models import exported, own_module
from openenn.quantizer import EnnQuantizer
from openenn.repair import equalize
from openenn.samples import arguments_of, first_sample, tensors_of

__all__ = ["Quantized", "quantize"]


class Quantized:
    """What quantize() made: `module` is as convert_pt2e gives it, `recipe` the text that replays it in either door.

    `metric` and `float_metric` are what evaluate() gave, None where it was not asked; `decisions` say what was changed,
    why, and the metric before and after; `macs` and `macs_in_float` count multiply-adds.
    """

    def __init__(self, module: GraphModule, recipe: str) -> None:
        self.module = module
        self.recipe = recipe
        self.metric: float | None = None
        self.float_metric: float | None = None
        self.decisions: list[dict[str, Any]] = json.loads(recipe).get("decisions", [])
        self.evaluations = 0
        self.macs, self.macs_in_float = _core.count_macs(fx.import_converted(module).graph)

    def save_recipe(self, path: str | os.PathLike[str]) -> None:
        """Writes the recipe, for EnnQuantizer.load_recipe() and `enn quantize --recipe`."""
        Path(path).write_text(self.recipe, encoding="utf-8")


@said_once()
def quantize(
    model: torch.nn.Module | ExportedProgram,
    calibration: Iterable[Any],
    evaluate: Callable[[Callable[..., Any]], float] | None = None,
    max_drop: float = 0.01,
    *,
    relative: bool = False,
    inputs: tuple[Any, ...] | None = None,
    quantizer: EnnQuantizer | None = None,
    repair: bool = False,
    recipe: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    max_layers: int = 0,
    max_evaluations: int = 48,
    threads: int | None = None,
) -> Quantized:
    """Quantizes a model so that its metric drops by `max_drop` at most, with the fewest layers in float.

    `calibration` are samples, each a tensor or a tuple of a call's arguments. `evaluate` is called with what takes the
    model's arguments, and gives a number that is larger for a better model; without it the model is quantized as it is.
    With `repair` channels are equalized, the rounding of weights is learned, and ranges are chosen by the error of the
    outputs (the page repair.md): minutes, for each configuration that is tried. A drop is `relative` to the float
    metric's magnitude, or absolute. `recipe`, a path or a text, is replayed and
    nothing is searched. `resume` is a file that keeps each evaluation, for a search that was interrupted or that gets
    another bound.
    """
    first = first_sample(calibration, "once for each configuration", "calibrate")
    start_with = quantizer or EnnQuantizer()
    if repair:
        start_with = EnnQuantizer.from_json(start_with.to_json())
        start_with.set_repair(True)
    flow = _Flow(exported(model, inputs or arguments_of(first)), calibration, threads)
    if recipe is not None or evaluate is None:
        chosen = _of_recipe(recipe) if recipe is not None else start_with
        text = chosen.to_json() if recipe is None else _recipe_text(recipe)
        result = Quantized(flow.converted(chosen._core), text)
        if evaluate is not None:
            result.metric = float(evaluate(flow.converted(chosen._core, "integer")))
        return result
    search = _core.AccuracySearch.create(
        start_with._core,
        max_drop,
        relative,
        max_layers,
        max_evaluations,
        "" if resume is None else os.fspath(resume),
        flow.fingerprint() if resume is not None else "",
    )
    start = time.monotonic()
    while search.step != "done":
        print(search.status(time.monotonic() - start), file=sys.stderr, flush=True)
        if search.step == "float":
            search.tell(float(evaluate(flow.in_float())))
        elif search.step == "rank":
            search.tell_layers(*flow.analyzed(search.quantizer))
        else:
            search.tell(float(evaluate(flow.converted(search.quantizer, "integer"))))
    outcome = search.outcome()
    result = Quantized(flow.converted(outcome.quantizer), outcome.recipe())
    result.metric, result.float_metric, result.evaluations = outcome.metric, outcome.float_metric, outcome.evaluations
    return result


class _Flow:
    """The steps from a float model to a quantized one, for any configuration."""

    def __init__(self, model: ExportedProgram | GraphModule, calibration: Iterable[Any], threads: int | None) -> None:
        self._model = model
        self._calibration = calibration
        self._count = 0  # of the samples
        self._threads = _core.usable_threads(threads or torch.get_num_threads())

    def in_float(self) -> pt2e.PreparedModel:
        """The float model in the engine: composite operators are written as those that it has."""
        return pt2e.prepare_pt2e(self._module(), EnnQuantizer(), self._threads)

    def converted(self, quantizer: "_core.EnnQuantizer", execution: str = "qdq") -> GraphModule:
        prepared = self._prepared(quantizer)
        if quantizer.repairs:
            prepared.search_ranges(self._some_samples(_core.RANGE_SEARCH_SAMPLES), _show_ranges)
        return pt2e.convert_pt2e(prepared, execution=execution)

    def analyzed(self, quantizer: "_core.EnnQuantizer") -> tuple["_core.AnalysisReport", "_core.Graph"]:
        prepared = self._prepared(quantizer)
        floats = fx.import_module(prepared.module).graph
        quantized = fx.import_converted(pt2e.convert_pt2e(prepared)).graph
        analysis = _core.Analysis.of_graphs(floats, quantized, self._threads, _core.RANKING_SAMPLES)
        for sample in self._some_samples(_core.RANKING_SAMPLES):
            analysis.run(tensors_of(sample))
        return analysis.report(), quantized

    def fingerprint(self) -> str:
        """Of the model: what a file of evaluations belongs to."""
        module = self._module()
        known = hashlib.sha256(str(module.graph).encode())
        for name, tensor in module.state_dict().items():
            known.update(name.encode())
            known.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return known.hexdigest()

    def _module(self) -> GraphModule:
        return own_module(self._model)

    def _some_samples(self, most: int) -> list[tuple[Any, ...]]:
        """From all parts of them; precondition: all were seen once."""
        step = max(1, self._count // most)
        return [arguments_of(sample) for sample in islice(self._calibration, 0, step * most, step)]

    def _prepared(self, quantizer: "_core.EnnQuantizer") -> pt2e.PreparedModel:
        module, chosen = self._module(), EnnQuantizer.from_json(quantizer.to_json())
        if quantizer.repairs:
            module = equalize(module, self._calibration, self._threads)
            chosen.set_repair(False)
            chosen.set_weight_rounding("learned")
        prepared = pt2e.prepare_pt2e(module, chosen, self._threads)
        self._count = 0
        for sample in self._calibration:
            prepared(*arguments_of(sample))
            self._count += 1
        return prepared


def _show_ranges(done: int, count: int) -> None:
    """A line for every tenth of the ranges."""
    if done == count or done % max(1, count // 10) == 0:
        print(f"ranges searched: {done} of {count}", file=sys.stderr, flush=True)


def _recipe_text(recipe: str | os.PathLike[str]) -> str:
    if isinstance(recipe, str) and recipe.lstrip().startswith("{"):
        return recipe
    return Path(recipe).read_text(encoding="utf-8")


def _of_recipe(recipe: str | os.PathLike[str]) -> EnnQuantizer:
    if isinstance(recipe, str) and recipe.lstrip().startswith("{"):
        return EnnQuantizer.from_json(recipe)
    return EnnQuantizer.load_recipe(recipe)
