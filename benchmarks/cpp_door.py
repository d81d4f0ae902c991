"""The C++ door beside eager PyTorch: calibration, evaluation, .pt2 to .pte, memory of a long calibration."""

import os

# Threads of OpenMP that spin between two operators of PyTorch would take the cores from whoever runs next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from openenn import _core
from report import common, machine, models, print_table, save

SIZE = 224


# A process keeps the record of the memory that it held before it became another program: the command is
# started by one that is smaller than it.
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print((time.perf_counter() - start) * 1e3, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def enn(*arguments: object) -> tuple[float, float]:
    """Runs the command `enn`: its milliseconds as a process, and the most memory that it held, in MB."""
    command = [str(Path(sys.executable).parent / "enn"), *map(str, arguments)]
    launched = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *command], capture_output=True, text=True)
    if launched.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {launched.returncode}: {launched.stderr[-400:]}")
    milliseconds, megabytes = launched.stdout.split()
    return float(milliseconds), float(megabytes)


def measure_images(name: str, threads: int, rounds: int, folder: Path) -> dict[str, float]:
    """Milliseconds per image, best of interleaved rounds."""
    common.set_threads(threads)
    model = models.build(name)
    image = torch.randn(1, 3, SIZE, SIZE)
    exported = torch.export.export(model, (image,))
    torch.export.save(exported, folder / f"{name}.pt2")

    def prepared() -> torch.fx.GraphModule:
        quantizer = EnnQuantizer()
        quantizer.set_quant_params("A8W8", True, False)
        # As torchao has it: its own observers, and nothing else to see.
        quantizer.set_observer("histogram")
        quantizer.set_bias_correction(False)
        module = prepare_pt2e(torch.export.export(model, (image,)).module(), quantizer)
        module(image)
        return module

    program = _core.ExportedProgram.load(str(folder / f"{name}.pt2"))
    engine = _core.prepare_pt2e(program, _core.EnnQuantizer("DEFAULT"), threads)
    array = [image.numpy()]
    engine.run(array)
    quantized = _core.convert_pt2e(engine)
    (folder / f"{name}.json").write_text(quantized.encodings())
    with torch.no_grad():
        observed = prepared()
        reference = convert_pt2e(prepared())
        return common.best_milliseconds(
            {
                "float eager": lambda: model(image),
                "calibration, eager": lambda: observed(image),
                "calibration, engine": lambda: engine.run(array),
                "Q/DQ, eager": lambda: reference(image),
                "Q/DQ, engine": lambda: quantized.run(array, "qdq"),
                "integer, engine": lambda: quantized.run(array, "integer"),
            },
            rounds,
        )


def measure_lowering(name: str, rounds: int, folder: Path) -> float:
    """Milliseconds of the command from .pt2 and given ranges to .pte, best of several."""
    target = folder / f"{name}.pte"
    command = ("quantize", folder / f"{name}.pt2", "--encodings", folder / f"{name}.json", "--pte", target)
    return min(enn(*command)[0] for _ in range(rounds))


def measure_memory(name: str, counts: tuple[int, int], folder: Path) -> dict[int, float]:
    """MB of a calibration on so many images."""
    samples = folder / "samples.npy"
    images = np.lib.format.open_memmap(samples, "w+", np.float32, (counts[1], 3, SIZE, SIZE))
    generator = np.random.default_rng(0)
    for i in range(counts[1]):
        images[i] = generator.standard_normal((3, SIZE, SIZE), np.float32)
    del images
    command = ("quantize", folder / f"{name}.pt2", "--calibration", samples, "--threads", 2)
    return {
        count: enn(*command, "--samples", count, "--output", folder / "quantized.pt2")[1]
        for count in common.steps(list(counts), "calibrating")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["MobileNetV2", "ResNet50"], choices=list(models.MODELS))
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = {
            name: measure_images(name, arguments.threads, arguments.rounds, folder)
            for name in common.steps(arguments.models, "measuring")
        }
        lowering = {name: measure_lowering(name, 5, folder) for name in arguments.models}
        memory = measure_memory(arguments.models[0], (10, 1000), folder)
    info = machine()
    print_table(
        f"Milliseconds per 224 x 224 image, {arguments.threads} threads, {info['cpu']}, best ISA {info['isas'][-1]}",
        ["model", *next(iter(images.values()))],
        [[name, *(f"{time:.1f}" for time in times.values())] for name, times in images.items()],
    )
    print_table(
        "Ratios",
        ["model", "calibration, eager / engine", "calibration, engine / float eager", "Q/DQ eager / integer"],
        [
            [
                name,
                f"{times['calibration, eager'] / times['calibration, engine']:.1f}",
                f"{times['calibration, engine'] / times['float eager']:.2f}",
                f"{times['Q/DQ, eager'] / times['integer, engine']:.1f}",
            ]
            for name, times in images.items()
        ],
    )
    print_table(
        "The command, from .pt2 and ranges to .pte", ["model", "ms"], [[n, f"{t:.0f}"] for n, t in lowering.items()]
    )
    print_table(
        f"Memory of calibrating {arguments.models[0]}", ["images", "MB"], [[n, f"{mb:.0f}"] for n, mb in memory.items()]
    )
    save(
        arguments.json, {"milliseconds": images, "lowering": lowering, "memory": {str(n): m for n, m in memory.items()}}
    )


if __name__ == "__main__":
    main()
