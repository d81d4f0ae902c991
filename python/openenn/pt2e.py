"""torchao's prepare_pt2e and convert_pt2e with the C++ engine behind them: calibration and evaluation at its speed.

    from openenn.pt2e import prepare_pt2e, convert_pt2e

in the place of torchao's import. torchao places the observers and rewrites the graph; the core runs the model,
observes, and gives the scales and zero points.
"""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torchao.quantization.pt2e import FixedQParamsObserver, quantize_pt2e
from torchao.quantization.pt2e.quantizer import Quantizer

from openenn import _core, fx
from openenn.correction import BiasCorrector, WeightRounder
from openenn.guard import Guard, guard_of
from openenn.observers import check_observed, observed_by, spec_of, state_tensor, state_text
from openenn.samples import tensors_of

__all__ = ["PreparedModel", "convert_pt2e", "prepare_pt2e"]

Run = Callable[[list[Any]], Sequence[Any]]


class PreparedModel:
    """A float model with observers: each call runs it in the engine on one sample, of torch tensors or numpy arrays."""

    def __init__(self, module: GraphModule, threads: int) -> None:
        self.module = module
        self.threads = threads
        # By the first of their names in the module.
        self._observers: dict[str, torch.nn.Module] = {}
        self._correctors: dict[str, BiasCorrector] = {}
        self._rounders: dict[str, WeightRounder] = {}
        # Which value each observer alone hands on to all that read it: those whose ranges can be searched.
        self._searched: list[tuple[int, int]] = []
        self._calibrator = self._compiled()

    def _compiled(self) -> _core.Calibrator:
        """The model with the parameters that the module has now, and observers that saw nothing."""
        module = self.module
        self._observers, self._correctors, self._rounders = {}, {}, {}
        imported = fx.import_module(module)
        self._graph = imported.graph
        values = {node: value for value, node in imported.values.items()}
        layers = {node: number for number, node in imported.nodes.items()}
        named = {node.name: number for node, number in layers.items()}
        sites = []
        shared = set()
        corrected = []
        rounded = []
        for node in module.graph.nodes:
            observer = fx.observer_of(module, node)
            if observer is None or isinstance(observer, (FixedQParamsObserver, Guard)):
                continue
            if isinstance(observer, BiasCorrector):
                self._correctors[str(node.target)] = observer
                corrected.append((layers[next(iter(node.users))], observer.core))
                continue
            if isinstance(observer, WeightRounder):
                self._rounders[str(node.target)] = observer
                rounded.append((named[observer.layer], observer.core))
                continue
            if not any(observer is known for known in self._observers.values()):
                self._observers[str(node.target)] = observer
            number = next(i for i, known in enumerate(self._observers.values()) if known is observer)
            sites.append((values[_observed_node(module, node)], number))
            source = node.args[0]
            if source.op != "get_attr" and (source.op != "call_function" or list(source.users) != [node]):
                shared.add(number)
        specs = [spec_of(observer) for observer in self._observers.values()]
        constants = {values[node] for node in module.graph.nodes if node.op == "get_attr" and node in values}
        self._searched = [
            (value, number)
            for value, number in sites
            if number not in shared and value not in constants and specs[number].qscheme == "per_tensor_affine"
        ]
        return _core.Calibrator(imported.graph, specs, sites, corrected, rounded, self.threads)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calibrates with one sample, and gives the float model's results."""
        return _run(self.module, self._calibrator.run, args, kwargs)

    def search_ranges(
        self, samples: Sequence[tuple[Any, ...]], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Chooses ranges by the error of the model's outputs, beginning with those observed: after calibrating.

        `samples` are arguments of calls. With fewer than about 32 the ranges fit them and not others. `progress` is
        called with the number of ranges done and of all.
        """
        check_observed(self.module, self._observed)
        leaves = [tensors_of(sample) for sample in samples]
        self._calibrator.search_ranges(
            self._graph, self._searched, leaves, progress or (lambda done, count: None), self.threads
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The parameters and buffers of the model, and what was observed; load_state_dict() resumes from it."""
        state = {name: tensor for name, tensor in self.module.state_dict().items() if not self._is_of_observer(name)}
        return state | {name: state_tensor(item.save()) for name, item in self._statistics().items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes the whole of another state_dict() of this model; changes nothing when it raises."""
        expected = self.state_dict()
        for names, fault in ((expected.keys() - state.keys(), "lacks"), (state.keys() - expected.keys(), "has also")):
            if names:
                raise _core.InvalidArgumentError(f"the state of the prepared model {fault} {', '.join(sorted(names))}")
        previous = {name: expected[name].clone() for name in expected}
        try:
            self._load(state)
        except Exception:
            self._load(previous)
            raise

    def _load(self, state: Mapping[str, torch.Tensor]) -> None:
        statistics = self._statistics()
        self.module.load_state_dict({name: state[name] for name in state if name not in statistics}, strict=False)
        self._calibrator = self._compiled()
        for name, item in self._statistics().items():
            try:
                item.load(state_text(state[name]))
            except _core.EnnError as error:
                raise _core.InvalidArgumentError(f"{name}: {error}") from error

    def _statistics(self) -> dict[str, Any]:
        """What has save() and load(), by its name in the state."""
        observers = {f"{name}._extra_state": self._calibrator.observer(i) for i, name in enumerate(self._observers)}
        corrections = {
            f"{name}._extra_state": self._calibrator.correction(i) for i, name in enumerate(self._correctors)
        }
        roundings = {f"{name}._extra_state": self._calibrator.rounding(i) for i, name in enumerate(self._rounders)}
        return observers | corrections | roundings

    def _is_of_observer(self, name: str) -> bool:
        owner, _, _ = name.rpartition(".")
        known = (*self._observers.values(), *self._correctors.values(), *self._rounders.values())
        return any(self.module.get_submodule(owner) is item for item in known)

    def write_results(self) -> None:
        """Gives torchao's observers the scales and zero points that the core found."""
        check_observed(self.module, self._observed)
        for number, observer in enumerate(self._observers.values()):
            scales, zero_points = self._calibrator.qparams(number)
            found = (torch.tensor(scales, dtype=torch.float32), torch.tensor(zero_points, dtype=torch.int64))
            observer.calculate_qparams = lambda found=found: found
        for number, corrector in enumerate(self._correctors.values()):
            corrector.core = copy.deepcopy(self._calibrator.correction(number))
        for number, rounder in enumerate(self._rounders.values()):
            rounder.core = copy.deepcopy(self._calibrator.rounding(number))
        guard = guard_of(self.module)
        if guard is not None:
            guard.samples = self._calibrator.samples

    def _observed(self, observer: torch.nn.Module) -> "_core.Observed":
        for number, known in enumerate(self._observers.values()):
            if known is observer:
                return self._calibrator.observer(number).observed
        return observed_by(observer)


def prepare_pt2e(model: GraphModule, quantizer: Quantizer, threads: int | None = None) -> PreparedModel:
    """torchao's prepare_pt2e; `threads` are those of the engine, torch's number unless given."""
    prepared = quantize_pt2e.prepare_pt2e(model, quantizer)
    usable = _core.usable_threads(threads or torch.get_num_threads())
    if threads is not None and threads > usable:
        message = f"{threads} threads were asked for, but this process has {usable} CPUs: {usable} are used"
        warnings.warn(message, stacklevel=2)
    return PreparedModel(prepared, usable)


def convert_pt2e(prepared: PreparedModel, fold_quantize: bool = True, execution: str = "qdq") -> GraphModule:
    """torchao's convert_pt2e. The model runs in the engine when it is called, and as any other when it is traced.

    `execution` is "qdq", as PyTorch computes it, or "integer", as the delegate does.
    """
    prepared.write_results()
    converted = quantize_pt2e.convert_pt2e(prepared.module, fold_quantize=fold_quantize)
    return _with_engine(converted, execution, prepared.threads)


def _observed_node(module: GraphModule, node: Node) -> Node:
    """The node whose result an observer sees, behind observers before it."""
    while fx.observer_of(module, node) is not None:
        node = node.args[0]  # type: ignore[assignment]
    return node


def _run(module: GraphModule, run: Run, args: Any, kwargs: Any) -> Any:
    """Calls the engine with the leaves of the arguments; its results in the shape of the module's."""
    leaves = [
        leaf.detach().contiguous() if isinstance(leaf, torch.Tensor) else leaf
        for leaf in pytree.tree_leaves((args, kwargs))
    ]
    results = [torch.from_numpy(array) for array in run(leaves)]
    info = getattr(module.graph._codegen, "pytree_info", None)
    return results if info is None or info.out_spec is None else pytree.tree_unflatten(results, info.out_spec)


def _with_engine(module: GraphModule, execution: str, threads: int) -> GraphModule:
    plain = type(module)
    models: list[_core.Model] = []

    def call(self: GraphModule, *args: Any, **kwargs: Any) -> Any:
        traced = torch.compiler.is_compiling() or torch.compiler.is_exporting() or _get_current_dispatch_mode()
        if traced or self is not module:
            return plain.__call__(self, *args, **kwargs)
        if not models:
            # torchao leaves the types of the nodes that it adds unrecorded.
            exported = torch.export.export(self, *pytree.tree_map(torch.as_tensor, (args, kwargs)))
            models.append(_core.Model.compile(fx.import_program(exported).graph, execution, threads))
        return _run(self, models[0].run, args, kwargs)

    # FX's name of a module's own class: copies do without it, and so without the engine.
    module.__class__ = type("GraphModuleImpl", (plain,), {"__call__": call})
    return module
