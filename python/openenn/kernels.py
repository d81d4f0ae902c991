"""Nodes that are left to ExecuTorch and that none of its kernels computes: the program would not load, or not run."""

import logging
from collections import defaultdict
from collections.abc import Callable

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from executorch.exir.passes import to_out_var_skiplist
from torch.export import ExportedProgram
from torch.fx import Node

_logger = logging.getLogger("openenn")


def warn_of_missing(program: ExportedProgram, is_taken: Callable[[Node], bool]) -> None:
    """Warns of the operators of such nodes, unless they were taken; another partitioner may take them yet."""
    missing = defaultdict(list)
    refused = defaultdict(list)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        tensors = isinstance(value, (torch.Tensor, tuple, list))
        if isinstance(node.target, EdgeOpOverload) and tensors and not is_taken(node):
            kernel = _kernel(node.target)
            if kernel is None:
                continue
            if kernel not in _registered():
                missing[kernel].append(node.name)
            elif limit := _limit(kernel, node):
                refused[kernel, limit].append(node.name)
    for kernel, names in missing.items():
        _logger.warning(
            "ExecuTorch has no kernel '%s' in this process, which node%s %s need%s: unless another backend takes it, "
            "the program loads only where someone registers that kernel",
            kernel,
            *_need(names),
        )
    for (kernel, limit), names in refused.items():
        _logger.warning(
            "ExecuTorch's kernel '%s' takes %s, and node%s %s need%s more: unless another backend takes it, "
            "the program loads, but does not run",
            kernel,
            limit,
            *_need(names),
        )


def _need(names: list[str]) -> tuple[str, str, str]:
    several = len(names) > 1
    return "s" if several else "", ", ".join(f"'{name}'" for name in names), "" if several else "s"


def _limit(kernel: str, node: Node) -> str | None:
    """What a kernel takes that refuses this node, which its operator allows; None where it computes the node."""
    if kernel == "aten::convolution.out" and node.args[0].meta["val"].dim() > 4:  # type: ignore[union-attr]
        return "only 1-d and 2-d convolutions"
    return None


def _registered() -> set[str]:
    from executorch.extension.pybindings import portable_lib

    return set(portable_lib._get_operator_names())


def _kernel(target: EdgeOpOverload) -> str | None:
    """The name of the kernel that the runtime looks for; None for what needs none."""
    if target in to_out_var_skiplist or target._op in to_out_var_skiplist:
        return None
    try:
        schema = target.to_out_variant()._schema
    except RuntimeError:
        schema = target._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
