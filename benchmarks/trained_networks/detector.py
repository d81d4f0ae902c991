"""NudeNet's YOLOv8n: boxes (0 to 320) and scores (0 to 1) of 18 classes in one output of 22 x 2100."""

import numpy as np
import torch
from PIL import Image

from trained_networks import onnx_models, pictures
from trained_networks.network import Function, Inputs, Metrics, Reference, TrainedNetwork, package_file, sqnr

SIZE = 320
SCORE, OVERLAP, MATCH = 0.2, 0.45, 0.5


def _overlaps(box: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Intersection over union of one box with others; corners x1, y1, x2, y2."""
    sides = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])).clamp(min=0)
    shared = sides.prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared)


def detections(output: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Class and box of each object: scores above the threshold, without boxes that a better one overlaps."""
    scores, classes = output[0, 4:].max(0)
    kept = (scores >= SCORE).nonzero()[:, 0]
    kept = kept[scores[kept].argsort(descending=True)]
    centre, half = output[0, :2, kept].T, output[0, 2:4, kept].T / 2
    boxes, found = torch.cat((centre - half, centre + half), 1), []
    left = torch.ones(len(kept), dtype=torch.bool)
    for i in range(len(kept)):
        if left[i]:
            found.append((int(classes[kept[i]]), boxes[i]))
            left &= _overlaps(boxes[i], boxes) <= OVERLAP
    return found


def matches(expected: list[tuple[int, torch.Tensor]], found: list[tuple[int, torch.Tensor]]) -> int:
    """How many objects have a counterpart of their class whose box overlaps theirs by half; each counts once."""
    count, left = 0, list(found)
    for kind, box in expected:
        candidates = [i for i, (other, _) in enumerate(left) if other == kind]
        if candidates:
            overlaps = _overlaps(box, torch.stack([left[i][1] for i in candidates]))
            if float(overlaps.max()) >= MATCH:
                count += 1
                del left[candidates[int(overlaps.argmax())]]
    return count


def _samples(names: pictures.Names, faces: np.ndarray, per_photograph: int, seed: int) -> list[Inputs]:
    """Crops of photographs, two of three of them with faces pasted in at random places and sizes."""
    random = np.random.default_rng(seed)
    samples = []
    for i, crop in enumerate(pictures.crops(names, per_photograph, SIZE, seed)):
        image = Image.fromarray(crop.permute(1, 2, 0).numpy().astype(np.uint8))
        for _ in range(0 if i % 3 == 0 else random.integers(1, 4)):
            side = int(random.integers(60, 150))
            face = Image.fromarray((faces[random.integers(len(faces))] * 255).astype(np.uint8)).convert("RGB")
            place = tuple(int(v) for v in random.integers(0, SIZE - side, 2))
            image.paste(face.resize((side, side), Image.Resampling.BICUBIC), place)
        samples.append((torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().contiguous() / 255,))
    return samples


def yolov8n(quick: bool = False) -> TrainedNetwork:
    """F1 of the objects that are found to those that the float network finds."""
    import skimage.data

    model = onnx_models.load(package_file("nudenet", "320n.onnx"), (1, 3, SIZE, SIZE))
    faces = skimage.data.lfw_subset()[:100]
    evaluation = _samples(pictures.EVALUATION, faces[1::2], 1 if quick else 5, seed=1)
    reference = Reference(model, evaluation)

    def evaluate(function: Function) -> Metrics:
        exact, actual = reference.results(), reference.of(function)
        pairs = [(detections(a), detections(b)) for a, b in zip(exact, actual, strict=True)]
        total = sum(len(expected) + len(found) for expected, found in pairs)
        return {
            "F1 of objects to float": 2 * sum(matches(*pair) for pair in pairs) / total,
            "SQNR of scores": sqnr(torch.cat(exact)[:, 4:], torch.cat(actual)[:, 4:]),
        }

    count = sum(len(detections(result)) for result in reference.results())
    calibration = _samples(pictures.CALIBRATION, faces[::2], 1 if quick else 3, seed=0)
    return TrainedNetwork(model, calibration, evaluate, f"{len(evaluation)} photographs with {count} objects")
