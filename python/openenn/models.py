"""Models as people give them: eager modules, exported programs and their modules."""

import copy
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule


def exported(model: torch.nn.Module | ExportedProgram, arguments: tuple[Any, ...]) -> ExportedProgram | GraphModule:
    """The model itself if it was exported, as a program or its module(); else what torch.export makes of it.

    A graph module that torch.fx or another converter traced is an eager module: its inputs have no types.
    """
    if isinstance(model, ExportedProgram) or (isinstance(model, GraphModule) and _is_exported(model)):
        return model
    return torch.export.export(model, arguments)


def own_module(model: ExportedProgram | GraphModule) -> GraphModule:
    """A module of an exported model that may be changed."""
    return model.module() if isinstance(model, ExportedProgram) else copy.deepcopy(model)  # type: ignore[return-value]


def _is_exported(module: GraphModule) -> bool:
    return all("val" in node.meta for node in module.graph.find_nodes(op="placeholder"))
