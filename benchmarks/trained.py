"""Trained networks in 8 bits: each one's task metric, for openenn and for other quantizers.

Interactively: `from trained import NETWORKS; network = NETWORKS["mobilenet_v2"]()` gives `network.model`,
`network.calibration` (tuples of inputs) and `network.evaluate(function)`, whose function is called like the model.
The JSON that this program writes is rendered into README.md by scripts/generate_tables.py.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from report import common, machine, print_table
from trained_networks import NETWORKS, MissingPackageError, TrainedNetwork
from trained_networks.engines import COLUMNS, ENGINES


def one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def measure(name: str, network: TrainedNetwork, engines: list[str]) -> dict[str, Any]:
    """The metrics by column, and what else is known of each engine's result."""
    metrics = {"float": network.evaluate(network.model)}
    figures: dict[str, Any] = {}
    for engine in engines:
        start = time.perf_counter()
        try:
            quantized = ENGINES[engine].quantize(network)
            middle = time.perf_counter()
            for column, function in quantized.functions.items():
                metrics[column] = network.evaluate(function)
            figures[engine] = quantized.figures
        except MissingPackageError as e:
            common.console.print(f"[yellow]{name}, {engine}: skipped, its package is missing: {e}[/yellow]")
            continue
        except Exception as e:  # a peer that fails on a network has no figure there
            figures[engine] = {"error": one_line(e)}
            metrics |= {column: {} for column in ENGINES[engine].columns}
            common.console.print(f"[red]{name}, {engine}: {one_line(e)}[/red]", markup=True)
            continue
        end = time.perf_counter()
        print(f"{name}, {engine}: quantized in {middle - start:.0f} s, evaluated in {end - middle:.0f} s", flush=True)
    return {"data": network.data, "metrics": metrics, "figures": figures}


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The new figures, and those of engines that did not run now, where they are of the same data."""
    if old is None or old["data"] != new["data"]:
        return new
    return {"data": new["data"], **{key: old[key] | new[key] for key in ("metrics", "figures")}}


def text(value: float | None) -> str:
    if value is None:
        return "–"
    return "exact" if value == float("inf") else f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"


def rows_of(name: str, result: dict[str, Any]) -> list[list[str]]:
    """One row for each metric."""
    metrics = result["metrics"]
    share = result["figures"].get("openenn", {}).get("MACs in float")
    return [
        [
            name if i == 0 else "",
            metric,
            *(text(metrics.get(column, {}).get(metric)) for column in COLUMNS),
            "" if i or share is None else f"{share:.1%}",
        ]
        for i, metric in enumerate(metrics["float"])
    ]


def finite(value: Any) -> Any:
    """JSON has no infinity: the SQNR of equal results is written as null, and so is what is no number."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def names(text: str, known: dict[str, Any], parser: argparse.ArgumentParser) -> list[str]:
    chosen = text.split(",")
    for name in chosen:
        if name not in known:
            parser.error(f"'{name}' is not one of {', '.join(known)}")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS), help=f"of {', '.join(NETWORKS)}")
    usual = ",".join(name for name, engine in ENGINES.items() if engine.by_default)
    parser.add_argument("--engines", default=usual, help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument(
        "--json", help="write the results to this file; what it has of other networks and engines stays"
    )
    arguments = parser.parse_args()
    chosen = names(arguments.networks, NETWORKS, parser)
    engines = names(arguments.engines, ENGINES, parser)
    common.set_threads(arguments.threads)
    results: dict[str, Any] = {}
    if arguments.json and Path(arguments.json).exists():
        results = json.loads(Path(arguments.json).read_text())["networks"]
    measured = []
    for name in common.steps(chosen, "networks"):
        try:
            network = NETWORKS[name](quick=arguments.quick)
        except MissingPackageError as e:
            common.console.print(f"[yellow]{name}: skipped, its package is missing: {e}[/yellow]")
            continue
        results[name] = merged(results.get(name), measure(name, network, engines))
        measured.append(name)
        if arguments.json:
            ordered = {name: finite(results[name]) for name in NETWORKS if name in results}
            recorded = {"machine": machine() | {"threads": arguments.threads}, "networks": ordered}
            Path(arguments.json).write_text(json.dumps(recorded, indent=2) + "\n")
    if not common.console.is_terminal:
        common.console.width = 150
    print_table(
        "Trained networks in 8 bits",
        ["network", "metric", *COLUMNS, "MACs in float"],
        [row for name in measured for row in rows_of(name, results[name])],
    )


if __name__ == "__main__":
    main()
