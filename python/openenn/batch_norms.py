"""torchao's folding of batch norms into layers, kept to where it is right.

prepare_pt2e folds before it asks a quantizer anything. It does not look whether others read the layer too, which are
then given the normalized values, or whether the weight is another layer's too, which is then folded as well or not at
all. It ends in an error where a weight is computed or a batch norm has no running statistics.
"""

import functools
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import quantize_pt2e

_NORMS = (torch.ops.aten.batch_norm.default, torch.ops.aten._native_batch_norm_legit_no_training.default)


def keep_to_what_is_right() -> None:
    """Once for a process."""
    for name in ("_fuse_conv_bn_", "_fuse_linear_bn_"):
        fold = getattr(quantize_pt2e, name)
        if not hasattr(fold, "__wrapped__"):
            setattr(quantize_pt2e, name, _guarded(fold))


def _guarded(fold: Callable[[GraphModule], None]) -> Callable[[GraphModule], None]:
    @functools.wraps(fold)
    def guarded(model: GraphModule) -> None:
        norms = [node for node in model.graph.nodes if node.target in _NORMS]
        foldable = [norm for norm in norms if _is_foldable(norm)]
        readers = Counter(node.target for node in model.graph.nodes if node.op == "get_attr" for _ in node.users)
        for norm in foldable:
            for parameter in norm.args[0].args[1:3]:
                if parameter is not None and readers[parameter.target] > 1:
                    readers[parameter.target] -= 1
                    _give_own(model, norm.args[0], parameter)
        with _out_of_reach(model, [norm for norm in norms if norm not in foldable]):
            fold(model)

    return guarded


def _is_attribute(node: object) -> bool:
    return isinstance(node, Node) and node.op == "get_attr"


def _is_foldable(norm: Node) -> bool:
    layer = norm.args[0]
    required = (*layer.args[1:2], *norm.args[3:5])
    optional = (*layer.args[2:3], *norm.args[1:3])
    return (
        len(layer.users) == 1
        and len(layer.args) > 1
        and all(map(_is_attribute, required))
        and all(argument is None or _is_attribute(argument) for argument in optional)
    )


def _give_own(model: GraphModule, layer: Node, parameter: Node) -> None:
    value = operator.attrgetter(parameter.target)(model)
    name = f"{parameter.target.replace('.', '_')}_of_{layer.name}"
    model.register_parameter(name, torch.nn.Parameter(value.detach(), requires_grad=value.requires_grad))
    with model.graph.inserting_before(layer):
        own = model.graph.get_attr(name)
    own.meta = dict(parameter.meta)
    layer.replace_input_with(parameter, own)


@contextmanager
def _out_of_reach(model: GraphModule, norms: list[Node]) -> Iterator[None]:
    """Puts something between the norms and what they read."""
    between = {}
    for norm in norms:
        with model.graph.inserting_before(norm):
            between[norm] = model.graph.call_function(torch.ops.aten.alias.default, (norm.args[0],))
        norm.replace_input_with(norm.args[0], between[norm])
    yield
    for norm, alias in between.items():
        norm.replace_input_with(alias, alias.args[0])
        model.graph.erase_node(alias)
    model.recompile()
