"""Whole networks: how close the .pte is to quantized_model and to the float model, and how close XNNPACK comes."""

import argparse

import torch

from report import common, models, photographs, print_table, quantize_for_xnnpack, save, sqnr, xnnpack_program

INPUTS = (torch.zeros(1, 3, 224, 224),)


def compare_photographs() -> dict:
    """EfficientNet-Lite0 with its trained weights on photographs that took no part in calibration."""
    model = models.build("EfficientNet-Lite0")
    samples = list(photographs.calibration_samples())
    quantized = common.quantize(model, common.steps(samples, "calibrating"), INPUTS)
    pte = common.Pte(common.lower(quantized, INPUTS).to_executorch().buffer)
    images = [image for crops in photographs.evaluation_samples().values() for image in crops]
    rows: dict[str, list[torch.Tensor]] = {"float": [], "quantized": [], "reordered": [], "pte": []}
    with torch.no_grad():
        for image in common.steps(images, "evaluating"):
            rows["float"].append(model(image))
            rows["quantized"].append(quantized(image))
            rows["pte"].append(pte(image))
            # The same PyTorch model with its float sums in another order: PyTorch's own convolution
            # instead of oneDNN's.
            with torch.backends.mkldnn.flags(enabled=False):
                rows["reordered"].append(quantized(image))
    logits = {name: torch.cat(values) for name, values in rows.items()}

    def against(name: str, reference: str) -> dict:
        steps = (logits[name] - logits[reference]).abs() / common.output_scale(quantized)
        same = (logits[name].argmax(1) == logits[reference].argmax(1)).float().mean()
        return {"top1": float(same), "largest_steps": round(float(steps.max())), "mean_steps": float(steps.mean())}

    return {
        "images": len(images),
        ".pte against quantized_model": against("pte", "quantized"),
        "quantized_model without oneDNN against itself": against("reordered", "quantized"),
        ".pte against the float model": against("pte", "float"),
        "quantized_model against the float model": against("quantized", "float"),
    }


def compare_noise(name: str, images: int) -> dict:
    """A network with random weights on noise: signal-to-noise ratios."""
    model = models.build(name)
    generator = torch.Generator().manual_seed(1)
    samples = [torch.randn(1, 3, 224, 224, generator=generator) for _ in range(8)]
    tests = [torch.randn(1, 3, 224, 224, generator=generator) for _ in range(images)]

    def outputs(function) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([function(image) for image in tests])

    quantized = common.quantize(model, samples, INPUTS)
    pte = common.Pte(common.lower(quantized, INPUTS).to_executorch().buffer)
    quantized_xnnpack = quantize_for_xnnpack(model, samples, INPUTS)
    xnnpack = common.Pte(xnnpack_program(quantized_xnnpack, INPUTS))
    expected, eager, ours = outputs(model), outputs(quantized), outputs(pte)
    with torch.backends.mkldnn.flags(enabled=False):
        reordered = outputs(quantized)
    return {
        "pte_vs_float": sqnr(expected, ours),
        "quantized_vs_float": sqnr(expected, eager),
        "pte_vs_quantized": sqnr(eager, ours),
        "quantized_reordered_vs_itself": sqnr(eager, reordered),
        "xnnpack_vs_its_quantized": sqnr(outputs(quantized_xnnpack), outputs(xnnpack)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--images", type=int, default=16, help="noise images per random network")
    arguments = parser.parse_args()

    trained = compare_photographs()
    count = trained["images"]
    print_table(
        f"EfficientNet-Lite0, ImageNet weights, {count} crops of photographs",
        ["comparison", "same top-1", "largest logit difference (steps)", "mean (steps)"],
        [
            [name, f"{result['top1']:.1%}", result["largest_steps"], f"{result['mean_steps']:.3f}"]
            for name, result in trained.items()
            if isinstance(result, dict)
        ],
    )
    random = [name for name, (weights, _) in models.MODELS.items() if weights == "random"]
    noise = {name: compare_noise(name, arguments.images) for name in common.steps(random, "random weights")}
    print_table(
        f"Random weights, {arguments.images} images of noise: SQNR in dB",
        [
            "model",
            ".pte vs float",
            "quantized_model vs float",
            ".pte vs quantized_model",
            "quantized_model without oneDNN vs itself",
            "XNNPACK vs its own",
        ],
        [[name, *(f"{value:.1f}" for value in result.values())] for name, result in noise.items()],
    )
    save(arguments.json, {"photographs": trained, "noise": noise})


if __name__ == "__main__":
    main()
