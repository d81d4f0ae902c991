"""ONNX files as PyTorch modules of fixed input shapes that torch.export takes: constants folded, then onnx2torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from report import common
from trained_networks.network import need_module


def load(path: Path, shape: tuple[int, ...]) -> nn.Module:
    """The network of a file with one input."""
    for module in ("onnx", "onnx2torch", "torchvision"):
        need_module(module)
    common.make_torchvision_importable()  # onnx2torch imports it
    import onnx
    import onnx2torch

    model = onnx.load(path)
    sizes = model.graph.input[0].type.tensor_type.shape
    sizes.Clear()
    for size in shape:
        sizes.dim.add().dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    converted = onnx2torch.convert(_fold_constants(model)).eval()
    return _with_static_arguments(converted)


def _fold_constants(model: Any) -> Any:
    """The model without nodes that depend on no input's values, such as the arithmetic of shapes."""
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    changed = True
    while changed:
        changed = False
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        shapes = {}
        for value in [*model.graph.input, *model.graph.value_info]:
            dimensions = value.type.tensor_type.shape.dim
            if value.type.tensor_type.HasField("shape") and all(size.HasField("dim_value") for size in dimensions):
                shapes[value.name] = [size.dim_value for size in dimensions]
        constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
        kept = []
        for node in model.graph.node:
            if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
                results = [np.array(shapes[node.input[0]], np.int64)]
            elif all(name in constants or not name for name in node.input):
                graph = onnx.helper.make_graph(
                    [node],
                    "node",
                    [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name],
                    [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output],
                )
                alone = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
                results = ReferenceEvaluator(alone).run(None, {name: constants[name] for name in node.input if name})
            else:
                kept.append(node)
                continue
            changed = True
            for name, result in zip(node.output, results, strict=True):
                constants[name] = np.asarray(result)
        used = {name for node in kept for name in node.input}
        del model.graph.node[:]
        model.graph.node.extend(kept)
        del model.graph.initializer[:]
        model.graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
        )
        del model.graph.value_info[:]
    return model


def _reshape(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])


def _slice(
    x: torch.Tensor, starts: list[int], ends: list[int], axes: list[int] | None = None, steps: list[int] | None = None
) -> torch.Tensor:
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    places = [slice(None)] * x.dim()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[axis] = slice(start, end, step)
    return x[tuple(places)]


def _split(axis: int, parts: int) -> Any:
    def split(x: torch.Tensor, sizes: list[int] | None = None) -> tuple[torch.Tensor, ...]:
        return torch.split(x, sizes or x.shape[axis] // parts, axis)

    return split


def _resize(mode: str, align_corners: bool | None) -> Any:
    def resize(
        x: torch.Tensor, roi: Any = None, scales: list[float] | None = None, sizes: list[int] | None = None
    ) -> torch.Tensor:
        size, scale = (sizes[2:], None) if sizes else (None, (scales or [])[2:])
        name = mode if mode == "nearest" else "bilinear"
        return nn.functional.interpolate(x, size, scale, name, align_corners)

    return resize


def _pad(mode: str) -> Any:
    def pad(x: torch.Tensor, amounts: list[int], value: float | None = None) -> torch.Tensor:
        """`amounts`: the beginnings of all axes, then their ends. PyTorch takes both of the last axis first."""
        pairs = list(zip(amounts[: x.dim()], amounts[x.dim() :], strict=True))
        while pairs and pairs[0] == (0, 0):
            del pairs[0]
        flat = [amount for pair in reversed(pairs) for amount in pair]
        return nn.functional.pad(x, flat, mode, value if mode == "constant" else None)

    return pad


def _unsqueeze(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def _static(module: nn.Module) -> Any:
    """What a module of onnx2torch does, with lists for the tensors that give shapes, places and axes."""
    name = type(module).__name__
    if name == "OnnxReshape":
        return _reshape
    if name == "OnnxSlice":
        return _slice
    if name == "OnnxSplit13":
        return _split(module.axis, module.num_splits)
    if name == "OnnxResize":
        return _resize(module.onnx_mode, module.align_corners)
    if name == "OnnxPadDynamic":
        return _pad(module.mode)
    if name == "OnnxUnsqueezeDynamicAxes":
        return _unsqueeze
    return None


def _with_static_arguments(module: fx.GraphModule) -> fx.GraphModule:
    """The module whose shapes, places and axes are numbers instead of buffers, which torch.export cannot read."""

    def constant(argument: Any) -> Any:
        if isinstance(argument, fx.Node) and argument.op == "get_attr":
            value: Any = module
            for part in str(argument.target).split("."):
                value = getattr(value, part)
            return value.tolist()
        return argument

    for node in list(module.graph.nodes):
        function = _static(module.get_submodule(node.target)) if node.op == "call_module" else None
        if function is not None:
            with module.graph.inserting_before(node):
                arguments = (node.args[0], *map(constant, node.args[1:]))
                options = {key: constant(value) for key, value in node.kwargs.items()}
                node.replace_all_uses_with(module.graph.call_function(function, arguments, options))
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module
