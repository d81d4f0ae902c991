"""Channels of like range: the core sees the samples and gives new weights, this writes them into the model."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from openenn import _core, fx
from openenn.batch_norms import fold_batch_norms
from openenn.models import exported, own_module
from openenn.quantizer import EnnQuantizer
from openenn.samples import arguments_of, first_sample, tensors_of

__all__ = ["equalize"]


def equalize(
    model: torch.nn.Module | ExportedProgram, samples: Iterable[Any], threads: int | None = None
) -> GraphModule:
    """The exported model with other weights and biases: channels that layers alone read get about the same range.

    In float it computes the same, but for rounding, and for channels after a clamp such as relu6 that reach twice as
    far as any sample shows. `samples` are each a tensor or a tuple of a call's arguments. The result is what
    prepare_pt2e takes; batch norms are folded into their convolutions. The model itself is not changed.
    """
    first = first_sample(samples, "once", "look at")
    module = own_module(exported(model, arguments_of(first)))
    fold_batch_norms(module)
    EnnQuantizer().transform_for_annotation(module)
    imported = fx.import_module(module)
    equalizer = _core.Equalizer(imported.graph, _core.usable_threads(threads or torch.get_num_threads()))
    for sample in samples:
        equalizer.run(tensors_of(arguments_of(sample)))
    for value, elements in equalizer.constants():
        owner, _, name = str(imported.values[value].target).rpartition(".")
        parameter = torch.nn.Parameter(torch.from_numpy(elements), requires_grad=False)
        setattr(module.get_submodule(owner), name, parameter)
    return module
