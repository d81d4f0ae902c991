"""The two doors, model by model: a quantized program lowered in Python and, as a .pt2 archive, in C++.

Shown: whether the delegate loads the same bytes and the .pte files say the same, and how long each door takes.
"""

import argparse
import io
import time
from typing import Any

import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir._serialize._program import PTEFile, deserialize_pte_binary
from executorch.exir.schema import Tensor

from networks import NETWORKS, Network, seeded
from openenn import EnnError, _core
from report import common, print_table, save

MODELS = [
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "efficientnet_lite0",
    "mobilenet_v3_large",
    "vit_b_16",
    "deeplab_v3_mobilenet_v3",
    "edsr",
    "wav2letter",
]


def archive_of(program: torch.export.ExportedProgram) -> bytes:
    archive = io.BytesIO()
    torch.export.save(program, archive)
    return archive.getvalue()


def payloads_of(pte: PTEFile) -> list[bytes]:
    return [bytes(delegate.data) for delegate in pte.program.backend_delegate_data]


def interface_of(pte: PTEFile) -> Any:
    """What a program takes, gives and passes to its delegates: all but where its tensors lie."""
    (plan,) = pte.program.execution_plan

    def values(indices: list[int]) -> list[Any]:
        found = [plan.values[i].val for i in indices]
        return [(v.scalar_type, v.sizes, v.dim_order) if isinstance(v, Tensor) else v for v in found]

    calls = [instruction.instr_args.args for instruction in plan.chains[0].instructions]
    # Where an argument comes from: the number of the input, or of the result.
    numbers = {value: f"input {i}" for i, value in enumerate(plan.inputs)}
    names = [[numbers.get(value, values([value])) for value in call] for call in calls]
    delegates = [(delegate.id, delegate.compile_specs) for delegate in plan.delegates]
    results = {value: f"argument {i}" for i, value in enumerate(calls[0])}
    returned = [numbers.get(value, results.get(value)) for value in plan.outputs]
    trees = plan.container_meta_type
    return plan.name, values(plan.inputs), values(plan.outputs), trees, names, returned, plan.operators, delegates


def compare(program: torch.export.ExportedProgram) -> dict[str, Any]:
    """One program through both doors."""
    archive = archive_of(program)
    start = time.perf_counter()
    edge = to_edge_transform_and_lower(program, partitioner=[EnnPartitioner()])
    python = edge.to_executorch().buffer
    middle = time.perf_counter()
    cpp, payload = _core.lower_pt2(archive)
    end = time.perf_counter()
    expected, actual = deserialize_pte_binary(python), deserialize_pte_binary(cpp)
    return {
        "archive": archive,
        "python_pte": python,
        "cpp_pte": cpp,
        "payload": len(payload),
        "same_payload": payloads_of(expected) == payloads_of(actual) == [payload],
        "same_interface": interface_of(expected) == interface_of(actual),
        "python_seconds": middle - start,
        "cpp_seconds": end - middle,
    }


def quantized(network: Network, size: int) -> torch.export.ExportedProgram:
    model = seeded(network, size)
    samples = list(network.samples(size, 2, seed=0))
    return torch.export.export(common.quantize(model, samples, samples[0]), samples[0])


COLUMNS = ["model", "size", "payload", "same payload", "same .pte otherwise", "Python (ms)", "C++ (ms)"]


def row(name: str, result: dict[str, Any]) -> list[str]:
    if "error" in result:
        return [name, str(result["size"]), result["error"], *[""] * 4]
    return [
        name,
        str(result["size"]),
        common.size_text(result["payload"]),
        "yes" if result["same_payload"] else "NO",
        "yes" if result["same_interface"] else "NO",
        f"{result['python_seconds'] * 1e3:.0f}",
        f"{result['cpp_seconds'] * 1e3:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), default=MODELS, metavar="NAME")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--json", help="write the results to this file")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name in common.steps(arguments.models, "models"):
        network = NETWORKS[name]
        size = network.small if arguments.small else network.size
        try:
            result = compare(quantized(network, size))
            kept = {key: value for key, value in result.items() if not isinstance(value, bytes)}
        except EnnError as e:
            kept = {"error": str(e)}
        results[name] = kept | {"size": size}
        common.console.print(*row(name, results[name]))
    print_table("One program through two doors", COLUMNS, [row(name, results[name]) for name in results])
    save(arguments.json, {"models": results})


if __name__ == "__main__":
    main()
