"""Fashion-MNIST through the command `enn`: a small MobileNetV2 is trained and exported, everything else is C++.

`enn quantize` calibrates on training images, `enn evaluate` measures float, Q/DQ, integer and the .pte on the 10,000
test images. The integer predictions must be those of the .pte in ExecuTorch's runtime, all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import common
import fashion_mnist
from openenn.runtime import register

ENN = os.environ.get("ENN_COMMAND", str(Path(sysconfig.get_path("scripts"), "enn")))
STEPS = ["--mean", str(fashion_mnist.MEAN), "--std", str(fashion_mnist.DEVIATION)]


def enn(*arguments: object) -> str:
    command = [ENN, *map(str, arguments)]
    print("$", " ".join(command), flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def exported(folder: Path, epochs: int, images: int) -> Path:
    """model.pt2, trained for some minutes on two cores."""
    torch.manual_seed(0)
    model = fashion_mnist.SmallMobileNetV2()
    pixels, labels = fashion_mnist.load("train")
    data = (pixels[:images], labels[:images])
    steps = epochs * (images // fashion_mnist.BATCH)
    training = fashion_mnist.train(model.train(), data, epochs, rate=0.1)
    for loss in common.steps(training, "training", steps):
        assert np.isfinite(loss)
    path = folder / "model.pt2"
    torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 1, 28, 28),)), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=20_000, help="training images")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    threads = ["--threads", options.threads]
    data = fashion_mnist.FOLDER
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = exported(folder, options.epochs, options.images)
        calibration = ["--calibration", data / "train-images-idx3-ubyte.gz", "--samples", 500, *STEPS]
        outputs = ["-o", folder / "model_a8w8.pt2", "--pte", folder / "model.pte"]
        print(enn("quantize", model, *outputs, *calibration, *threads))
        test = ["--data", data / "t10k-images-idx3-ubyte.gz", "--labels", data / "t10k-labels-idx1-ubyte.gz", *STEPS]
        models = [model, folder / "model_a8w8.pt2", folder / "model.pte"]
        report = enn("evaluate", *models, *test, "--predictions", folder / "out", *threads, "--json")
        for column in json.loads(report)["models"]:
            sqnr = f", SQNR to float {column['sqnr']:.1f} dB" if column["sqnr"] else ""
            print(f"{column['name']:8} top-1 {100 * column['top1']:.2f} %{sqnr}")

        register()
        program = common.Pte((folder / "model.pte").read_bytes())
        images, _ = fashion_mnist.load("t10k")
        predictions = [
            int(program(fashion_mnist.normalize(image[None])).argmax(1)) for image in common.steps(images, "ExecuTorch")
        ]
        integer = np.load(folder / "out" / "integer.npy")
        differing = int((integer != np.array(predictions)).sum())
        print(f"integer predictions that differ from ExecuTorch's: {differing} of {len(integer)}")
        sys.exit(differing != 0)


if __name__ == "__main__":
    main()
