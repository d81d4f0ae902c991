"""EfficientNet-Lite0 with its ImageNet weights: calibrated on photographs, evaluated on others."""

import time

import torch
from rich.table import Table

from common import (
    DEMO_FOLDER,
    Pte,
    best_milliseconds,
    console,
    lower,
    make_torchvision_importable,
    output_scale,
    quantize,
    size_text,
    steps,
)
from efficientnet_lite import pretrained
from photographs import calibration_samples, evaluation_samples

make_torchvision_importable()
from torchvision.models._meta import _IMAGENET_CATEGORIES as LABELS  # noqa: E402


def main() -> None:
    started = time.perf_counter()
    model = pretrained()
    inputs = (torch.randn(1, 3, 224, 224),)
    samples = list(calibration_samples())

    quantized = quantize(model, steps(samples, "calibrating on photographs"), inputs)
    with console.status("lowering to the EnnBackend delegate"):
        program = lower(quantized, inputs).to_executorch()
    DEMO_FOLDER.mkdir(parents=True, exist_ok=True)
    pte_path = DEMO_FOLDER / "efficientnet_lite0.pte"
    program.save(str(pte_path))
    float_path = DEMO_FOLDER / "efficientnet_lite0_float.pt2"
    torch.export.save(torch.export.export(model, inputs), str(float_path))
    pte = Pte(pte_path)

    photographs = evaluation_samples()
    images = [(name, image) for name, crops in photographs.items() for image in crops]
    with torch.no_grad():
        logits = [
            torch.cat([model(image), quantized(image), pte(image)])
            for _, image in steps(images, "evaluating on other photographs")
        ]
    top = [rows.argmax(dim=1).tolist() for rows in logits]

    table = Table(title="EfficientNet-Lite0: what each model sees (whole photograph)")
    for column in ("photograph", "float", "quantized_model", ".pte"):
        table.add_column(column)
    seen = set()
    for (name, _), labels in zip(images, top, strict=True):
        if name not in seen:
            seen.add(name)
            table.add_row(name, *(LABELS[label] for label in labels))
    console.print(table)

    difference = torch.stack([rows[2] - rows[1] for rows in logits]).abs() / output_scale(quantized)
    agree = sum(labels[1] == labels[2] for labels in top)
    agree_float = sum(labels[0] == labels[2] for labels in top)
    with torch.no_grad():
        image = images[0][1]
        times = best_milliseconds(
            {"float": lambda: model(image), "qdq": lambda: quantized(image), "pte": lambda: pte(image)}, rounds=5
        )

    count = len(images)
    summary = Table(title=f"{count} crops of {len(photographs)} photographs, none of them used for calibration")
    summary.add_column("figure")
    summary.add_column("value", justify="right")
    summary.add_row("top-1 of the .pte equal to quantized_model's", f"{agree} of {count} ({agree / count:.1%})")
    summary.add_row(
        "top-1 of the .pte equal to the float model's", f"{agree_float} of {count} ({agree_float / count:.1%})"
    )
    summary.add_row("largest logit difference, .pte - quantized_model", f"{difference.max():.0f} quantization steps")
    summary.add_row("mean absolute logit difference", f"{difference.mean():.4f} steps")
    summary.add_section()
    summary.add_row("float model on disk", size_text(float_path.stat().st_size))
    summary.add_row(".pte on disk", size_text(pte_path.stat().st_size))
    summary.add_section()
    summary.add_row(f"float eager, {torch.get_num_threads()} threads", f"{times['float']:.1f} ms per image")
    summary.add_row(f"quantized_model eager, {torch.get_num_threads()} threads", f"{times['qdq']:.1f} ms per image")
    summary.add_row(".pte, ExecuTorch's thread pool", f"{times['pte']:.1f} ms per image")
    console.print(summary)
    console.print(f"saved {pte_path}; the whole run took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
