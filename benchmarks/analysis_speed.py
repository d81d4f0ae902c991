"""How long `enn analyze` takes beside calibrating: MobileNetV2 on images of noise, the whole commands.

Both read the archives and the images, compile, run, and write their results.
"""

import argparse
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from networks import NETWORKS, seeded
from report import print_table

ENN = Path(sysconfig.get_path("scripts"), "enn")


def seconds(*arguments: object) -> float:
    """The best of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([ENN, *map(str, arguments)], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    images = parser.parse_args().images
    model = seeded(NETWORKS["mobilenet_v2"], 224)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = np.random.default_rng(0).standard_normal((images, 3, 224, 224), np.float32)
        np.save(folder / "x.npy", data)
        exported = torch.export.export(model, (torch.from_numpy(data[:1]),))
        torch.export.save(exported, folder / "m.pt2")
        for threads in (1, 2):
            common = ("--data", folder / "x.npy", "--threads", threads)
            calibrating = seconds("quantize", folder / "m.pt2", "-o", folder / "q.pt2", *common)
            analyzing = seconds("analyze", folder / "m.pt2", folder / "q.pt2", *common)
            rows.append([str(threads), f"{calibrating:.1f}", f"{analyzing:.1f}", f"{analyzing / calibrating:.1f}"])
    print_table(f"MobileNetV2 on {images} images", ["threads", "quantize s", "analyze s", "ratio"], rows)


if __name__ == "__main__":
    main()
