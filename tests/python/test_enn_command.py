"""The command `enn`, end to end: its figures against NumPy, Pillow, PyTorch and ExecuTorch's runtime."""

import importlib.metadata
import json
import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import test_batch_norms
import test_computed_weights
import test_grid_sample
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.exir import to_edge_transform_and_lower
from PIL import Image
from torch import nn

import common
from report import sqnr

ENN = Path(os.environ.get("ENN_COMMAND", Path(sysconfig.get_path("scripts"), "enn")))
CLASSES = 7


def enn(*arguments, code: int = 0) -> str:
    """Standard output, or with a code other than 0 standard error."""
    done = subprocess.run([ENN, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def enn_json(*arguments):
    return json.loads(enn(*arguments, "--json"))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6()
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Normed(nn.Module):
    """Convolutions and their batch norms, with statistics that change the values much."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -1, 1)
                nn.init.uniform_(module.running_var, 0.1, 0.3)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Running(nn.Module):
    """A buffer that each call changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 3, 1, 1))

    def forward(self, x):
        self.total.add_(x.mean((2, 3), keepdim=True))
        return x * self.total


class Pixels(nn.Module):
    """What the command feeds a model comes out again."""

    def forward(self, x):
        return x + 0.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """model.pt2, model_a8w8.pt2, data.npz with 40 labelled samples."""
    folder = tmp_path_factory.mktemp("enn")
    torch.manual_seed(0)
    model = Classifier().eval()
    samples = torch.randn(40, 3, 12, 12)
    inputs = (samples[:1],)
    torch.export.save(torch.export.export(model, inputs), folder / "model.pt2")
    quantized = common.quantize(model, [(sample[None],) for sample in samples], inputs)
    torch.export.save(torch.export.export(quantized, inputs), folder / "model_a8w8.pt2")
    with torch.no_grad():
        expected = torch.cat([model(sample[None]) for sample in samples]).numpy()
        q_expected = torch.cat([quantized(sample[None]) for sample in samples]).numpy()
    labels = np.random.default_rng(0).integers(0, CLASSES, 40)
    np.savez_compressed(folder / "data.npz", x=samples.numpy(), labels=labels)
    np.savez(folder / "expected.npz", float=expected, qdq=q_expected)
    normed = Normed().eval()
    torch.export.save(torch.export.export(normed, inputs), folder / "normed.pt2")
    quantized = common.quantize(normed, [(sample[None],) for sample in samples[:8]], inputs)
    torch.export.save(torch.export.export(quantized, inputs), folder / "normed_a8w8.pt2")
    return folder


def test_inspect_counts(folder) -> None:
    report = enn_json("inspect", folder / "model.pt2", "--steps")
    assert report["parameters"] == sum(p.numel() for p in Classifier().parameters())
    assert report["macs"] == 36 * 8 * 27 + 36 * 8 * 9 + 8 * CLASSES
    assert report["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3, 12, 12]}]
    assert report["partitions"] == 1
    assert all(step["kernel"] for step in report["program"]["steps"])
    quantized = enn_json("inspect", folder / "model_a8w8.pt2")
    assert quantized["quantized"]
    assert any(row["kind"] == "activation" and row["scale"] > 0 for row in quantized["ranges"])


def test_evaluate_gives_numpys_figures(folder) -> None:
    labels = np.load(folder / "data.npz")["labels"]
    expected = np.load(folder / "expected.npz")
    enn("lower", folder / "model_a8w8.pt2", "-o", folder / "model.pte")
    models = [folder / name for name in ("model.pt2", "model_a8w8.pt2", "model.pte")]
    saved = folder / "predictions"
    report = enn_json("evaluate", *models, "--data", folder / "data.npz", "--predictions", saved)
    assert report["samples"] == 40
    columns = {column["name"]: column for column in report["models"]}
    assert list(columns) == ["float", "qdq", "integer", "pte"]
    for name in ("float", "qdq"):
        scores = expected[name]
        assert columns[name]["top1"] == pytest.approx(np.mean(scores.argmax(1) == labels))
        five = np.argsort(-scores, 1, kind="stable")[:, :5]
        assert columns[name]["top5"] == pytest.approx(np.mean((five == labels[:, None]).any(1)))
    reference, values = expected["float"].astype(float), expected["qdq"].astype(float)
    sqnr = 10 * np.log10((reference**2).sum() / ((reference - values) ** 2).sum())
    # The engine's float sums run in another order.
    assert columns["qdq"]["sqnr"] == pytest.approx(sqnr, abs=0.5)
    cosine = (reference * values).sum() / np.sqrt((reference**2).sum() * (values**2).sum())
    assert columns["qdq"]["cosine"] == pytest.approx(cosine, abs=1e-4)
    for key in ("top1", "top5", "sqnr", "cosine", "max_difference"):
        assert columns["pte"][key] == columns["integer"][key]
    assert np.array_equal(np.load(saved / "pte.npy"), np.load(saved / "integer.npy"))


def test_lowered_file_runs_in_executorch_with_the_same_bits(folder) -> None:
    program = folder / "run.pte"
    enn("lower", folder / "model_a8w8.pt2", "-o", program)
    enn("run", program, "--input", folder / "data.npz", "-o", folder / "out")
    ours = np.load(folder / "out" / "output_0.npy")
    model = common.Pte(program.read_bytes())
    samples = torch.from_numpy(np.load(folder / "data.npz")["x"])
    theirs = torch.cat([model(sample[None].contiguous()) for sample in samples]).numpy()
    assert np.array_equal(ours, theirs)


class Swapped(nn.Module):
    """Inputs of one type are read in another order, one of them not at all; one is returned."""

    def forward(self, a, unread, b):
        return b.neg() - a, a, b.exp()


def test_inputs_of_a_program_of_the_python_door_are_told_apart(tmp_path) -> None:
    inputs = tuple(torch.randn(2, 3) for _ in range(3))
    program = to_edge_transform_and_lower(torch.export.export(Swapped(), inputs), partitioner=[EnnPartitioner()])
    (tmp_path / "model.pte").write_bytes(program.to_executorch().buffer)
    np.savez(tmp_path / "data.npz", **{f"input_{i}": value.numpy() for i, value in enumerate(inputs)})
    enn("run", tmp_path / "model.pte", "--input", tmp_path / "data.npz", "-o", tmp_path / "out")
    for i, expected in enumerate(common.Pte((tmp_path / "model.pte").read_bytes()).outputs(*inputs)):
        assert np.array_equal(np.load(tmp_path / "out" / f"output_{i}.npy"), expected.numpy())


def test_quantize_gives_an_ordinary_pytorch_model(folder, tmp_path) -> None:
    model, data = folder / "model.pt2", folder / "data.npz"
    once = enn_json("quantize", model, "-o", tmp_path / "q.pt2", "--pte", tmp_path / "q.pte", "--calibration", data)
    assert once["samples"] == 40
    # The same samples in two parts, and ranges from a file, are the same encodings.
    arrays = np.load(data)
    minmax = ["--observer", "minmax"]
    whole = enn_json("quantize", model, "-o", tmp_path / "m.pt2", "--calibration", data, *minmax)
    parts = []
    for i, part in enumerate((slice(0, 13), slice(13, 40))):
        np.save(tmp_path / f"{i}.npy", arrays["x"][part])
        saved = tmp_path / f"{i}.json"
        enn("quantize", model, "--calibration", tmp_path / f"{i}.npy", "--save-statistics", saved, *minmax)
        parts += ["--resume", saved]
    merged = enn_json("quantize", model, "--save-encodings", tmp_path / "e.json", *parts, *minmax)
    assert merged["encodings_hash"] == whole["encodings_hash"]
    enn("quantize", model, "--encodings", tmp_path / "e.json", "--save-encodings", tmp_path / "g.json", *minmax)
    assert (tmp_path / "g.json").read_text() == (tmp_path / "e.json").read_text()
    # AIMET's format has the module's names.
    enn("quantize", model, *parts, *minmax, "--save-encodings", tmp_path / "a.json", "--aimet")
    aimet = json.loads((tmp_path / "a.json").read_text())
    names = {item["name"] for item in aimet["param_encodings"]}
    assert names == {"features.0.weight", "features.2.weight", "head.weight"}
    enn("quantize", model, "--encodings", tmp_path / "a.json", "--save-encodings", tmp_path / "h.json", *minmax)
    saved, given = (json.loads((tmp_path / name).read_text())["tensors"] for name in ("e.json", "h.json"))
    assert given == {name: {k: v for k, v in row.items() if k not in ("min", "max")} for name, row in saved.items()}

    quantized = torch.export.load(tmp_path / "q.pt2").module()
    samples = torch.from_numpy(arrays["x"])
    theirs = torch.cat([quantized(sample[None]) for sample in samples]).detach().numpy()
    enn("run", tmp_path / "q.pt2", "--input", data, "--execution", "qdq", "-o", tmp_path / "out")
    (ours,) = (np.load(path) for path in (tmp_path / "out").glob("*.npy"))
    step = np.diff(np.unique(theirs)).min()
    assert np.mean(np.abs(ours - theirs) > step / 2) <= 0.01
    report = enn_json("evaluate", model, tmp_path / "q.pt2", tmp_path / "q.pte", "--data", data)
    columns = {column["name"]: column for column in report["models"]}
    assert columns["integer"]["sqnr"] == columns["pte"]["sqnr"] > 20
    left = enn_json("quantize", model, "-o", tmp_path / "l.pt2", "--calibration", data, "--exclude", "linear*")
    assert left["encodings_hash"] != once["encodings_hash"]


@pytest.mark.forms
@pytest.mark.parametrize(
    ("model", "image"),
    [
        (test_batch_norms.PreActivation, (3, 9, 8)),
        (test_batch_norms.SharedHead, (3, 9, 8)),
        (test_batch_norms.ComputedWeight, (3, 9, 8)),
        (test_grid_sample.SpatialTransformer, (3, 32, 32)),
        (lambda: test_computed_weights.model_with("spectral_norm"), (3, 9, 11)),
        (lambda: test_computed_weights.model_with("standardized by batch norm"), (3, 9, 11)),
        (lambda: test_computed_weights.model_with("standardized with a gain"), (3, 9, 11)),
    ],
)
def test_quantize_what_torchao_and_compilers_stumble_over(model, image, tmp_path) -> None:
    torch.manual_seed(0)
    network = model().eval()
    samples = torch.nn.functional.interpolate(torch.randn(5, 3, *(size // 2 for size in image[1:])), image[1:])
    torch.export.save(torch.export.export(network, (samples[:1],)), tmp_path / "model.pt2")
    np.save(tmp_path / "samples.npy", samples[:4].numpy())
    quantized, program = tmp_path / "quantized.pt2", tmp_path / "model.pte"
    enn("quantize", tmp_path / "model.pt2", "-o", quantized, "--calibration", tmp_path / "samples.npy")
    enn("lower", quantized, "-o", program)
    with torch.no_grad():
        expected = network(samples[4:])
    actual = common.Pte(program.read_bytes())(samples[4:])
    assert sqnr(expected, actual) > 25


def test_compare_and_bench(folder) -> None:
    data = ["--data", folder / "data.npz", "--samples", 3]
    report = enn_json("compare", folder / "model.pt2", folder / "model_a8w8.pt2", *data)
    assert "output 0" in [row["name"] for row in report["tensors"]]
    assert all(row["sqnr"] is None or row["sqnr"] > 15 for row in report["tensors"])
    same = enn_json("compare", folder / "model.pt2", folder / "model.pt2", *data)
    assert {row["max_difference"] for row in same["tensors"]} == {0}
    report = enn_json("bench", folder / "model_a8w8.pt2", "--rounds", 3, "--threads", 2, "--isa", "reference")
    assert report["isa"] == "reference"
    assert report["macs"] == sum(step["macs"] for step in report["steps"]) > 0
    for run in ("a", "b"):
        arguments = ["--input", folder / "data.npz", "--values", "-o", folder / run]
        enn("run", folder / f"model{'_a8w8' if run == 'b' else ''}.pt2", *arguments)
    assert enn_json("compare", folder / "a", folder / "b")["tensors"]


def test_compare_joins_the_values_that_are_the_same(folder, tmp_path) -> None:
    """Both doors fold a batch norm into its convolution, whose name then stands for the value after it."""
    data = ["--data", folder / "data.npz", "--samples", 4]
    model = folder / "normed.pt2"
    enn("quantize", model, "-o", tmp_path / "cpp.pt2", "--calibration", folder / "data.npz")
    expected = [
        ("relu", "stem.2"),
        ("conv2d_1", "body.0"),
        ("mean", ""),
        ("linear", "head"),
        ("output 0", ""),
    ]
    for quantized in (folder / "normed_a8w8.pt2", tmp_path / "cpp.pt2"):
        for pair in ((model, quantized), (quantized, model)):
            rows = enn_json("compare", *pair, *data)["tensors"]
            values = [(row["name"], row["module"]) for row in rows if row["name"] != "x"]
            assert values == expected
            assert all(row["sqnr"] > 25 for row in rows)
    # One archive and itself: every value of the float model, in the order of execution.
    rows = enn_json("compare", model, model, *data)["tensors"]
    names = ["conv2d", "batch_norm", "relu", "conv2d_1", "batch_norm_1", "mean", "linear", "output 0"]
    assert [row["name"] for row in rows] == names


def test_compare_keeps_buffers_from_sample_to_sample(folder, tmp_path) -> None:
    torch.export.save(torch.export.export(Running(), (torch.zeros(1, 3, 12, 12),)), tmp_path / "model.pt2")
    data = ["--data", folder / "data.npz", "--samples", 5]
    rows = enn_json("compare", tmp_path / "model.pt2", tmp_path / "model.pt2", *data)["tensors"]
    assert all(row["max_difference"] == 0 for row in rows)
    model = Running()
    largest = max(
        model(sample[None]).abs().max().item() for sample in torch.from_numpy(np.load(folder / "data.npz")["x"][:5])
    )
    assert rows[-1]["name"] == "output 0"
    assert rows[-1]["largest"] == pytest.approx(largest, rel=1e-5)


def test_compare_refuses_models_of_other_sizes(folder, tmp_path) -> None:
    data = ["--data", folder / "data.npz"]
    torch.export.save(torch.export.export(Classifier().eval(), (torch.randn(1, 3, 16, 16),)), tmp_path / "larger.pt2")
    torch.export.save(torch.export.export(Pixels(), (torch.randn(1, 3, 12, 12),)), tmp_path / "pixels.pt2")
    for name in ("larger", "pixels"):
        enn("lower", tmp_path / f"{name}.pt2", "-o", tmp_path / f"{name}.pte")
    for suffix in (".pt2", ".pte"):
        message = enn("compare", folder / "model.pt2", tmp_path / f"larger{suffix}", *data, code=1)
        assert "input 0 is float32[1, 3, 12, 12]" in message
        assert "float32[1, 3, 16, 16]" in message
        message = enn("compare", folder / "model.pt2", tmp_path / f"pixels{suffix}", *data, code=1)
        assert "output 0 is float32[1, 7]" in message
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "a" / "x.npy", np.zeros((2, 3), np.float32))
    np.save(tmp_path / "b" / "x.npy", np.zeros((3, 2), np.float32))
    assert "'x' is float32[2, 3]" in enn("compare", tmp_path / "a", tmp_path / "b", code=1)


def test_runs_of_an_archive_and_of_its_program_have_names_in_common(folder, tmp_path) -> None:
    enn("lower", folder / "model_a8w8.pt2", "-o", tmp_path / "model.pte")
    np.savez(tmp_path / "numbered.npz", input_0=np.load(folder / "data.npz")["x"])
    enn("run", folder / "model_a8w8.pt2", "--input", folder / "data.npz", "-o", tmp_path / "archive")
    for model in (tmp_path / "model.pte", folder / "model_a8w8.pt2"):
        enn("run", model, "--input", tmp_path / "numbered.npz", "-o", tmp_path / "program")
        (row,) = enn_json("compare", tmp_path / "archive", tmp_path / "program")["tensors"]
        assert (row["name"], row["elements"], row["max_difference"]) == ("output_0", 40 * CLASSES, 0)
    # Values inside: in the order of execution, not in that of the alphabet.
    enn("run", folder / "normed.pt2", "--input", folder / "data.npz", "--values", "-o", tmp_path / "values")
    rows = enn_json("compare", tmp_path / "values", tmp_path / "values")["tensors"]
    names = ["conv2d", "batch_norm", "relu", "conv2d_1", "batch_norm_1", "mean", "linear", "output_0"]
    assert [row["name"] for row in rows] == names


def test_outputs_are_written_where_they_are_named(folder, tmp_path) -> None:
    model = folder / "model_a8w8.pt2"
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.pte"
    link.symlink_to("real/model.pte")
    enn("lower", model, "-o", link)
    expected = (tmp_path / "real" / "model.pte").read_bytes()
    assert link.is_symlink()
    for name in ("-", "/dev/stdout"):
        done = subprocess.run([ENN, "lower", model, "-o", name], capture_output=True, timeout=120, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stdout == expected
        assert b"one call of the delegate" in done.stderr
    with (tmp_path / "redirected.pte").open("wb") as file:
        subprocess.run([ENN, "lower", model, "-o", "/dev/stdout"], stdout=file, timeout=120, check=True)
    assert (tmp_path / "redirected.pte").read_bytes() == expected
    assert Path("/dev/stdout").is_symlink()
    assert "where --json prints the report" in enn("lower", model, "-o", "-", "--json", code=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.pte", "real", "redirected.pte"]


def test_outputs_that_cannot_be_written_are_found_out_first(folder, tmp_path) -> None:
    model = tmp_path / "model.pt2"
    model.write_bytes((folder / "model.pt2").read_bytes())
    absent = tmp_path / "absent" / "q.pt2"
    before = model.read_bytes()
    # None of them gets as far as the calibration data, which is not there.
    quantize = ["quantize", model, "--calibration", tmp_path / "none.npy"]
    for arguments, part in [
        ([*quantize, "-o", absent], "absent"),
        ([*quantize, "-o", tmp_path / "q.pt2", "--save-encodings", absent], "absent"),
        ([*quantize, "-o", tmp_path], "Is a directory"),
        ([*quantize, "-o", model], "an input is not replaced"),
        ([*quantize, "-o", tmp_path / "q.pt2", "--pte", tmp_path / "q.pt2"], "--pte and --output name the same file"),
        (["lower", model, "-o", model], "an input is not replaced"),
        (["run", model, "--input", folder / "data.npz", "-o", model], "cannot make the folder"),
    ]:
        message = enn(*arguments, code=1)
        assert part in message
        assert "none.npy" not in message
    assert model.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([ENN, "inspect", model], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr


def test_layers_are_named_by_node_module_or_class(folder, tmp_path) -> None:
    quantize = ["quantize", folder / "model.pt2", "--calibration", folder / "data.npz", "--samples", 2]

    def encodings(*options) -> str:
        enn(*quantize, *options, "--save-encodings", tmp_path / "e.json")
        return (tmp_path / "e.json").read_text()

    whole = encodings()
    linear = encodings("--exclude", "linear")
    assert linear != whole
    assert encodings("--exclude", "head") == linear
    assert encodings("--exclude", "torch.nn.Linear") == linear
    assert encodings("--exclude", "aten.linear.default") == linear
    assert encodings("--exclude", "features.0") == encodings("--exclude", "conv2d")
    observed = encodings("--observer", "linear=minmax")
    assert observed != whole
    assert encodings("--observer", "head=minmax") == observed
    assert encodings("--observer", "torch.nn.Linear=minmax") == observed
    for option in ("--exclude", "--observer"):
        pattern = "nosuch*" if option == "--exclude" else "nosuch*=mse"
        message = enn(*quantize, option, pattern, "-o", tmp_path / "q.pt2", code=1)
        assert f"{option} 'nosuch*' matches nothing in the model" in message
    done = subprocess.run(
        [ENN, *map(str, quantize), "--exclude", "aten.softmax.int", "-o", tmp_path / "q.pt2"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "'aten.softmax.int', which the model does not have" in done.stderr


def test_labels_that_are_no_class_are_errors(folder, tmp_path) -> None:
    samples = np.load(folder / "data.npz")["x"][:3]
    for labels in ([0, CLASSES, 1], [0, -1, 1], [0, 1.5, 1]):
        np.savez(tmp_path / "data.npz", x=samples, labels=np.array(labels))
        message = enn("evaluate", folder / "model.pt2", "--data", tmp_path / "data.npz", code=1)
        assert f"data.npz[1] has the label {labels[1]}, but the model's 7 classes are 0 to 6" in message
    # Class maps: 255 and -1 stand for no class, other numbers are wrong.
    torch.export.save(torch.export.export(Pixels(), (torch.zeros(1, 3, 2, 2),)), tmp_path / "m.pt2")
    maps = np.array([[[0, 1], [2, 255]]])
    np.savez(tmp_path / "maps.npz", x=np.zeros((1, 3, 2, 2), np.float32), labels=maps)
    assert enn_json("evaluate", tmp_path / "m.pt2", "--data", tmp_path / "maps.npz")["models"][0]["miou"] == 1 / 9
    np.savez(tmp_path / "maps.npz", x=np.zeros((1, 3, 2, 2), np.float32), labels=maps + 1)
    assert "has the label 3" in enn("evaluate", tmp_path / "m.pt2", "--data", tmp_path / "maps.npz", code=1)


def test_unreadable_images_can_be_skipped(folder, tmp_path) -> None:
    for i in range(5):
        smooth_image(12, 12).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "4.png").write_bytes(b"")
    np.save(tmp_path / "labels.npy", np.arange(5))
    evaluate = ["evaluate", folder / "model.pt2", "--data", tmp_path, "--labels", tmp_path / "labels.npy"]
    assert "1.png" in enn(*evaluate, code=1)
    (tmp_path / "labels.npy").rename(folder / "labels.npy")
    evaluate[-1] = folder / "labels.npy"
    saved = tmp_path / "saved"
    report = enn_json(*evaluate, "--skip-unreadable", "--predictions", saved)
    assert (report["samples"], report["skipped"]) == (3, 2)
    # The images are all the same: one label in 0, 2, 3 is right or none is.
    predicted = np.load(saved / "float.npy")
    assert report["models"][0]["top1"] == pytest.approx(np.mean(predicted == [0, 2, 3]))
    done = subprocess.run(
        [ENN, *map(str, evaluate), "--skip-unreadable"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "2 image(s) could not be read and were left out; the first: " in done.stderr
    assert enn_json("evaluate", folder / "model.pt2", "--data", tmp_path, "--skip-unreadable", "--samples", 2)[
        "samples"
    ] == (2)
    quantize = ["quantize", folder / "model.pt2", "-o", folder / "skipped.pt2", "--calibration", tmp_path]
    assert enn_json(*quantize, "--skip-unreadable")["samples"] == 3
    for i in (0, 2, 3):
        (tmp_path / f"{i}.png").write_bytes(b"")
    assert "none of 5 images can be read" in enn(*evaluate, "--skip-unreadable", code=1)
    # An image that the model does not take is another fault.
    smooth_image(9, 9).save(tmp_path / "0.png")
    assert "0.png" in enn(*evaluate, "--skip-unreadable", code=1)


def test_ranges_are_a_table_with_the_weights(folder) -> None:
    rows = {row["value"]: row for row in enn_json("inspect", folder / "model_a8w8.pt2")["ranges"]}
    assert rows["x"]["kind"] == "activation"
    assert rows["x"]["max"] == pytest.approx(rows["x"]["scale"] * (127 - rows["x"]["zero_point"]), rel=1e-6)
    weights = [row for row in rows.values() if row["kind"] == "weight"]
    torch.manual_seed(0)
    model = Classifier().eval()
    expected = [model.features[0], model.features[2], model.head]
    assert [row["module"] for row in weights] == ["features.0", "features.2", "head"]
    largest = {max(row["scales"]) * 127 for row in weights}
    for layer in expected:
        assert min(abs(value - layer.weight.abs().max().item()) for value in largest) < 1e-6
    lines = enn("inspect", folder / "model_a8w8.pt2", "--ranges").splitlines()
    (head,) = [line for line in lines if line.startswith("value ")]
    assert head.split() == ["value", "module", "kind", "scale", "zero", "point", "smallest", "largest"]
    assert sum("weight, " in line and " channels" in line for line in lines) == 3


def test_steps_lead_back_to_the_model(folder, tmp_path) -> None:
    enn("lower", folder / "model_a8w8.pt2", "-o", tmp_path / "plain.pte")
    enn("lower", folder / "model_a8w8.pt2", "-o", tmp_path / "lines.pte", "--source-lines")
    assert b"test_enn_command.py" not in (tmp_path / "plain.pte").read_bytes()
    for model, lines in (
        (folder / "model_a8w8.pt2", True),
        (tmp_path / "plain.pte", False),
        (tmp_path / "lines.pte", True),
    ):
        program = enn_json("inspect", model, "--steps")
        steps = (program.get("program") or program["delegates"][0]["program"])["steps"]
        modules = [step["module"] for step in steps]
        assert {"features.0", "features.2", "head"} <= set(modules)
        sources = {step["source"] for step in steps if step["module"]}
        assert all(source.startswith(("test_enn_command.py:", "torch/nn/")) == lines for source in sources)
        assert [step["module"] for step in enn_json("bench", model, "--rounds", 1)["steps"]] == modules
    assert "features.2" in enn("bench", folder / "model_a8w8.pt2", "--rounds", 1)


def test_a_command_or_a_number_that_is_wrong_is_named(folder) -> None:
    assert enn("inpsect", code=2) == "enn: unknown command 'inpsect'; did you mean 'inspect'?\n"
    assert "the commands are inspect, quantize" in enn("translate", code=2)
    assert enn("--version").strip() == importlib.metadata.version("openenn")
    cpus = len(os.sched_getaffinity(0))
    arguments = [ENN, "bench", folder / "model.pt2", "--threads", "99", "--rounds", "1", "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.startswith(f"enn: --threads 99: this process has {cpus} CPU")
    assert json.loads(done.stdout)["threads"] == cpus


def smooth_image(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin(x / 9 + c) * np.cos(y / (7 + c)) for c in range(3)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("size", [(61, 83), (20, 17)])
def test_images_become_pillows_pixels(tmp_path, suffix, size) -> None:
    """Decoded, resized and cropped as torchvision does it: both take Pillow's steps."""
    torch.export.save(torch.export.export(Pixels(), (torch.zeros(1, 3, 24, 24),)), tmp_path / "m.pt2")
    (tmp_path / "images").mkdir()
    smooth_image(*size).save(tmp_path / "images" / f"a{suffix}")
    steps = ["--resize", 30, "--crop", 24, "--mean", "0.5,0.4,0.3", "--std", "0.2,0.25,0.5"]
    enn("run", tmp_path / "m.pt2", "--input", tmp_path / "images", *steps, "-o", tmp_path)
    (ours,) = (np.load(path) for path in tmp_path.glob("*.npy"))

    image = Image.open(tmp_path / "images" / f"a{suffix}").convert("RGB")
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(30 * width / short), int(30 * height / short)), Image.Resampling.BILINEAR)
    left, top = round((image.width - 24) / 2), round((image.height - 24) / 2)
    pixels = np.asarray(image.crop((left, top, left + 24, top + 24)))
    mean, deviation = np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.25, 0.5])
    back = np.rint((ours[0].transpose(1, 2, 0) * deviation + mean) * 255)
    # The same libjpeg need not be inside of Pillow.
    assert np.abs(back - pixels).max() <= (0 if suffix == ".png" else 1)


def test_labelled_folders_and_lists(tmp_path) -> None:
    torch.export.save(torch.export.export(Classifier().eval(), (torch.zeros(1, 3, 12, 12),)), tmp_path / "m.pt2")
    outside = tmp_path / "outside.png"
    smooth_image(12, 12).save(outside)
    names = []
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            smooth_image(12, 12 + i).save(tmp_path / "data" / name / f"{name} {i}.png")
            names.append(f"{name} {i}.png")
        (tmp_path / "data" / name / "link.png").symlink_to(outside)
    report = enn_json("evaluate", tmp_path / "m.pt2", "--data", tmp_path / "data", "--crop", 12)
    assert report["samples"] == 6
    assert "top1" in report["models"][0]
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)))
    report = enn_json(
        "evaluate", tmp_path / "m.pt2", "--data", tmp_path / "data" / "cat", "--labels", labels, "--crop", 12
    )
    assert report["samples"] == 3
    labels.write_text("one\n")
    message = enn("evaluate", tmp_path / "m.pt2", "--data", tmp_path / "data", "--labels", labels, code=1)
    assert "line 1" in message


def test_failures_are_one_sentence(folder, tmp_path) -> None:
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\0\xff\xffxx")
    np.save(tmp_path / "wrong.npy", np.zeros((4, 5), np.float32))
    broken = tmp_path / "broken.pt2"
    broken.write_bytes((folder / "model.pt2").read_bytes()[:-40])
    model = folder / "model.pt2"
    for arguments, part in [
        (["inspect", tmp_path / "none.pt2"], "none.pt2"),
        (["inspect", broken], "broken.pt2"),
        (["lower", broken, "-o", tmp_path / "x.pte"], "broken.pt2"),
        (["evaluate", model, "--data", tmp_path / "broken.npy"], "broken.npy"),
        (["evaluate", model, "--data", tmp_path / "wrong.npy"], "takes float32[3, 12, 12]"),
        (["bench", model, "--isa", "none"], "none"),
        (["quantize", model, "-o", tmp_path / "x.pt2"], "--calibration"),
        (["quantize", model, "-o", tmp_path / "x.pt2", "--config", broken], "broken.pt2"),
        (["quantize", model, "-o", tmp_path / "x.pt2", "--resume", tmp_path / "wrong.npy"], "wrong.npy"),
    ]:
        message = enn(*arguments, code=1)
        assert part in message
        assert message.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))
    enn("evaluate", model, code=2)
    enn("bench", model, "--threads", 0, code=2)
