"""torchao's folding of batch norms into layers, kept to where it is right.

prepare_pt2e folds before it asks a quantizer anything, prepare_qat_pt2e fuses after it asked. Neither looks whether
other nodes read the layer too, which are then given the normalized values, or whether the weight is another layer's
too, which is then folded as well or not at all. Both end in an error where a weight is computed, where a batch norm has
no running statistics, and where a transposed convolution has groups.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.nn import functional
from torchao.quantization.pt2e import quantize_pt2e

_aten = torch.ops.aten
_NORMS = (_aten.batch_norm.default, _aten._native_batch_norm_legit_no_training.default)
_TRANSPOSED = (_aten.conv_transpose1d.default, _aten.conv_transpose2d.input, _aten.conv_transpose3d.input)
_GROUPS = 6  # which argument of a transposed convolution they are
# The functions that torchao's patterns of quantization-aware training are made for.
_CONVOLUTIONS: dict[Any, tuple[Any, ...]] = {
    functional.conv1d: (_aten.conv1d.default, _aten.conv1d.padding),
    functional.conv2d: (_aten.conv2d.default, _aten.conv2d.padding),
    functional.conv_transpose1d: (_aten.conv_transpose1d.default,),
    functional.conv_transpose2d: (_aten.conv_transpose2d.input,),
}


def fold_batch_norms(model: GraphModule) -> None:
    """torchao's folding of post-training quantization."""
    quantize_pt2e._fuse_conv_bn_(model)
    quantize_pt2e._fuse_linear_bn_(model)


def guarded_fold(fold: Callable[[GraphModule], None]) -> Callable[[GraphModule], None]:
    """For the folding of post-training quantization, of batch norms into convolutions or into linear layers."""

    def guarded(model: GraphModule) -> None:
        norms = _norms(model)
        foldable = [norm for norm in norms if _is_foldable(norm)]
        readers = _readers(model)
        for norm in foldable:
            for parameter in norm.args[0].args[1:3]:
                if parameter is not None and readers[parameter.target] > 1:
                    readers[parameter.target] -= 1
                    _give_own(model, norm.args[0], parameter)
        grouped = [norm.args[0] for norm in foldable if _groups(norm.args[0]) > 1]
        with _out_of_reach(model, [norm for norm in norms if norm not in foldable]), _ungrouped(model, grouped):
            fold(model)

    return guarded


def guarded_fuse(fuse: Callable[[GraphModule], GraphModule]) -> Callable[[GraphModule], GraphModule]:
    """For the fusion of quantization-aware training, which divides by the weights of the batch norm."""

    def guarded(m: GraphModule) -> GraphModule:
        readers = _readers(m)

        def is_fusible(norm: Node) -> bool:
            parameters = [item for item in (*norm.args[0].args[1:3], *norm.args[1:5]) if item is not None]
            return (
                all(readers[parameter.target] == 1 for parameter in parameters)
                and _groups(norm.args[0]) == 1
                and bool(_value(m, norm.args[1]).count_nonzero() == _value(m, norm.args[1]).numel())
            )

        norms = [
            norm for norm in _norms(m) if not (_is_foldable(norm) and norm.args[1] is not None and is_fusible(norm))
        ]
        with _out_of_reach(m, norms):
            return fuse(m)

    return guarded


def quick_fold(fold: Callable[..., GraphModule]) -> Callable[..., GraphModule]:
    """For the folding that convert_pt2e does after training, for one function of convolution.

    It traces two dozen patterns, which takes seconds, for every model with a batch norm.
    """

    def quick(m: GraphModule, conv_fn: Any, example_inputs: Any, is_cuda: bool) -> GraphModule:
        kinds = {convolution.target for norm in _norms(m) if (convolution := _fused_convolution(norm)) is not None}
        known = conv_fn in _CONVOLUTIONS
        return m if known and kinds.isdisjoint(_CONVOLUTIONS[conv_fn]) else fold(m, conv_fn, example_inputs, is_cuda)

    return quick


def give_parameters(model: GraphModule) -> None:
    """Gives batch norms without parameters (affine=False) those that change nothing: torchao's patterns need them."""
    for norm in model.graph.find_nodes(op="call_function", target=_aten.batch_norm.default):
        if not _is_attribute(norm.args[3]):
            continue
        arguments = list(norm.args)
        for place, name, value in ((1, "weight", 1.0), (2, "bias", 0.0)):
            if arguments[place] is not None:
                continue
            mean = _value(model, norm.args[3])
            attribute = f"{norm.name}_{name}"
            model.register_buffer(attribute, torch.full_like(mean, value))
            with model.graph.inserting_before(norm):
                arguments[place] = model.graph.get_attr(attribute)
            arguments[place].meta = dict(norm.args[3].meta)
        norm.args = tuple(arguments)
    model.recompile()


def _norms(model: GraphModule) -> list[Node]:
    return [node for node in model.graph.nodes if node.target in _NORMS]


def _readers(model: GraphModule) -> Counter[str]:
    return Counter(str(node.target) for node in model.graph.nodes if node.op == "get_attr" for _ in node.users)


def _value(model: GraphModule, attribute: Node) -> torch.Tensor:
    return operator.attrgetter(str(attribute.target))(model)


def _is_attribute(node: object) -> bool:
    return isinstance(node, Node) and node.op == "get_attr"


def _groups(layer: Node) -> int:
    transposed = layer.target in _TRANSPOSED
    return layer.args[_GROUPS] if transposed and len(layer.args) > _GROUPS else 1  # type: ignore[return-value]


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


def _fused_convolution(norm: Node) -> Node | None:
    """The convolution of a fused form of quantization-aware training: its result is divided, and a bias added."""
    node: Any = norm.args[0]
    for operation in (_aten.add.Tensor, _aten.div.Tensor):
        if isinstance(node, Node) and node.target is operation:
            node = node.args[0]
    known = {target for targets in _CONVOLUTIONS.values() for target in targets}
    return node if node is not norm.args[0] and isinstance(node, Node) and node.target in known else None


def _give_own(model: GraphModule, layer: Node, parameter: Node) -> None:
    value = _value(model, parameter)
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
            between[norm] = model.graph.call_function(_aten.alias.default, (norm.args[0],))
        norm.replace_input_with(norm.args[0], between[norm])
    yield
    for norm, alias in between.items():
        norm.replace_input_with(alias, alias.args[0])
        model.graph.erase_node(alias)
    model.recompile()


@contextmanager
def _ungrouped(model: GraphModule, layers: Iterable[Node]) -> Iterator[None]:
    """Gives transposed convolutions the weights of one group, [C / groups, groups * K, ...], for as long."""
    names = {str(layer.args[1].target): _groups(layer) for layer in layers}
    shapes = {}
    for name, groups in names.items():
        weight = operator.attrgetter(name)(model)
        shapes[name] = weight.shape
        apart = weight.detach().unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2)
        _set(model, name, torch.nn.Parameter(apart, weight.requires_grad))
    yield
    for name, groups in names.items():
        weight = operator.attrgetter(name)(model)
        together = weight.detach().unflatten(1, (groups, -1)).transpose(0, 1).reshape(shapes[name])
        _set(model, name, torch.nn.Parameter(together, weight.requires_grad))


def _set(model: GraphModule, name: str, parameter: torch.nn.Parameter) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(owner), attribute, parameter)
