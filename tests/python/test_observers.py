"""The core's observers against torchao's, bit for bit; those that torchao lacks against what they promise."""

import json
import warnings

import numpy as np
import pytest
import torch
from torchao.quantization.pt2e import observer as torchao_observers

from openenn import _core

EPS = 2**-12
Batches = list[np.ndarray]


def core(observer: str, qscheme: str = "per_tensor_affine", ch_axis: int = -1, dtype: str = "int8") -> _core.Observer:
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    if qscheme == "per_channel_symmetric":
        low = -127
    return _core.make_observer(_core.QuantizationSpec(dtype, low, high, qscheme, observer, ch_axis, EPS))


def torchao(
    observer: str, qscheme: str = "per_tensor_affine", ch_axis: int = -1, dtype: str = "int8"
) -> torch.nn.Module:
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    if qscheme == "per_channel_symmetric":
        low = -127
    arguments = {"ch_axis": ch_axis} if ch_axis >= 0 else {}
    return getattr(torchao_observers, f"{observer}Observer")(
        dtype=getattr(torch, dtype),
        quant_min=low,
        quant_max=high,
        qscheme=getattr(torch, qscheme),
        eps=EPS,
        **arguments,
    )


def same(observer: str, batches: Batches, **options: object) -> None:
    ours, theirs = core(observer, **options), torchao(observer, **options)
    torch.set_num_threads(1)
    for batch in batches:
        ours.observe(batch, threads=2)
        theirs(torch.from_numpy(batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale, zero_point = theirs.calculate_qparams()
    if observer == "Histogram":
        state = json.loads(ours.save())
        np.testing.assert_array_equal(np.float32(state["counts"]), theirs.histogram.numpy())
        assert np.float32(state["low"]) == theirs.min_val and np.float32(state["high"]) == theirs.max_val
    scales, zero_points = ours.qparams()
    np.testing.assert_array_equal(np.float32(scales), scale.float().numpy())
    np.testing.assert_array_equal(zero_points, zero_point.numpy())


def normal(rng: np.random.Generator, batches: int, size: int = 3000, scale: float = 1.0) -> Batches:
    return [
        (rng.standard_normal((3, size // 3)) * scale * rng.uniform(0.3, 2)).astype(np.float32) for _ in range(batches)
    ]


def outliers(rng: np.random.Generator) -> Batches:
    batches = normal(rng, 6)
    for batch in batches:
        batch[0, :3] *= 40
    return batches


CASES = {
    "one": lambda rng: normal(rng, 1),
    "many": lambda rng: normal(rng, 40),
    "outliers": outliers,
    "relu": lambda rng: [np.maximum(batch, 0) for batch in normal(rng, 8)],
    "negative": lambda rng: [-np.abs(batch) - 1 for batch in normal(rng, 8)],
    "positive": lambda rng: [np.abs(batch) + 2 for batch in normal(rng, 4)],
    "huge": lambda rng: normal(rng, 4, scale=1e30),
    "tiny": lambda rng: normal(rng, 4, scale=1e-30),
    "subnormal": lambda rng: normal(rng, 2, scale=1e-41),
    "zeros": lambda rng: [np.zeros((2, 5), np.float32)] * 3,
    "constant": lambda rng: [np.full((2, 5), 1.75, np.float32)] * 2,
    "constant, then not": lambda rng: [np.full((3, 5), -0.3, np.float32), *normal(rng, 3)],
    "growing": lambda rng: [batch * (1 + i) for i, batch in enumerate(normal(rng, 12))],
    "integers": lambda rng: [rng.integers(-9, 9, (3, 500)).astype(np.float32) for _ in range(5)],
    "large": lambda rng: [rng.standard_gamma(0.3, (4, 300_000)).astype(np.float32) * (1 + i) for i in range(3)],
    "single": lambda rng: [np.float32([[x]]) for x in (3, -2, 5)],
}


@pytest.mark.parametrize("qscheme", ["per_tensor_affine", "per_tensor_symmetric"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("observer", ["MinMax", "MovingAverageMinMax", "Histogram"])
@pytest.mark.parametrize("case", CASES)
def test_equals_torchao(case: str, observer: str, dtype: str, qscheme: str) -> None:
    if case == "large" and (dtype, qscheme) != ("int8", "per_tensor_affine"):
        pytest.skip("the histogram does not depend on them")
    batches = [np.ascontiguousarray(batch, np.float32) for batch in CASES[case](np.random.default_rng(5))]
    same(observer, batches, dtype=dtype, qscheme=qscheme)


@pytest.mark.parametrize("observer", ["PerChannelMinMax", "MovingAveragePerChannelMinMax"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_per_channel_equals_torchao(observer: str, axis: int) -> None:
    rng = np.random.default_rng(6)
    batches = [
        (rng.standard_normal((5, 4, 3, 2)) * rng.uniform(0, 3, (5, 1, 3, 1))).astype(np.float32) for _ in range(3)
    ]
    batches[0][:, 0] = 0
    same(observer, batches, qscheme="per_channel_symmetric", ch_axis=axis)


def test_counts_beyond_what_float32_holds() -> None:
    rng = np.random.default_rng(7)
    batch = rng.standard_gamma(2.0, 1 << 20).astype(np.float32)
    same("Histogram", [batch * (1.3 if i == 17 else 1.0) for i in range(40)])


def test_nothing_observed_gives_torchaos_default() -> None:
    for observer in ("MinMax", "Histogram"):
        assert core(observer).qparams() == ([1.0], [0])


@pytest.mark.parametrize(("value", "match"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_what_is_not_finite_is_an_error_at_the_end(value: float, match: str) -> None:
    for name in ("MinMax", "MovingAverageMinMax", "Histogram", "Percentile", "Mse", "Kl"):
        observer = core(name)
        observer.observe(np.float32([1, value, 2]))
        with pytest.raises(_core.EnnError, match=match):
            observer.qparams()


def test_too_wide_a_range_is_an_error() -> None:
    for name in ("MinMax", "Histogram"):
        observer = core(name)
        observer.observe(np.float32([-3e38, 3e38]))
        with pytest.raises(_core.EnnError, match="differ by more"):
            observer.qparams()


@pytest.mark.parametrize("observer", ["MinMax", "MovingAverageMinMax", "Histogram", "Percentile", "Mse", "Kl"])
def test_state_is_saved_exactly_and_resumed(observer: str) -> None:
    batches = outliers(np.random.default_rng(8))
    whole, first, second = core(observer), core(observer), core(observer)
    for i, batch in enumerate(batches):
        whole.observe(batch)
        (first if i < 3 else second).observe(batch)
    resumed = core(observer)
    resumed.load(first.save())
    assert resumed.save() == first.save()
    for batch in batches[3:]:
        resumed.observe(batch)
    assert resumed.save() == whole.save()
    # Merging is commutative.
    left, right = core(observer), core(observer)
    left.load(first.save())
    left.merge(second)
    right.load(second.save())
    right.merge(first)
    assert left.qparams() == right.qparams()
    if observer == "MinMax":
        assert left.qparams() == whole.qparams()


def test_thread_count_and_order_change_nothing() -> None:
    rng = np.random.default_rng(9)
    values = rng.standard_normal(300_000).astype(np.float32)
    states = set()
    for threads in (1, 2, 3):
        for batch in (values, values[::-1].copy(), rng.permutation(values)):
            observer = core("Histogram")
            observer.observe(batch, threads=threads)
            states.add(observer.save())
    assert len(states) == 1


def test_percentile_cuts_the_tails() -> None:
    rng = np.random.default_rng(10)
    values = rng.standard_normal(1_000_000).astype(np.float32)
    observer = core("Percentile")
    observer.observe(values)
    scales, zero_points = observer.qparams()
    low = (-128 - zero_points[0]) * scales[0]
    high = (127 - zero_points[0]) * scales[0]
    bin_width = (values.max() - values.min()) / 2048
    assert abs(low - np.percentile(values, 0.01)) < bin_width + scales[0]
    assert abs(high - np.percentile(values, 99.99)) < bin_width + scales[0]


def error_of(observer: str, values: np.ndarray) -> float:
    ours = core(observer)
    ours.observe(values)
    scales, zero_points = ours.qparams()
    q = torch.fake_quantize_per_tensor_affine(torch.from_numpy(values), scales[0], zero_points[0], -128, 127)
    return squared_error(q.numpy() - values, scales[0], clipping_of(values))


def clipping_of(values: np.ndarray) -> float:
    return 30 if values.min() >= 0 else 2.5


def squared_error(errors: np.ndarray, scale: float, clipping: float) -> float:
    """The mean; what is clipped, and so is off by more than half a step, counts `clipping` times."""
    return float((errors**2 * np.where(np.abs(errors) > 0.5001 * scale, clipping, 1)).mean())


@pytest.mark.parametrize("shape", ["laplace", "relu", "student"])
def test_mse_has_the_least_error(shape: str) -> None:
    rng = np.random.default_rng(11)
    values = {
        "laplace": rng.laplace(size=200_000),
        "relu": np.maximum(rng.standard_normal(200_000), 0),
        "student": rng.standard_t(3, size=200_000),
    }[shape].astype(np.float32)
    # A step is wider by the margins at most: what the two outermost values of each side differ by, and two bins.
    ordered = np.sort(values)
    width = ordered[-1] - ordered[0]
    margins = sum(min(0.2, difference / width) for difference in np.diff(ordered)[[0, -1]])
    least = error_of("Mse", values) / (1 + margins + 2 / 2048) ** 2
    for other in ("MinMax", "Histogram", "Percentile", "Kl"):
        assert least <= error_of(other, values) * 1.02, other
    # The best of all ranges, found by trying them.
    best = (
        min(
            squared_error((np.clip(np.round(values / s) + z, -128, 127) - z) * s - values, s, clipping_of(values))
            for low in np.linspace(0.05, 1, 20) * min(values.min(), 0)
            for high in np.linspace(0.05, 1, 20) * values.max()
            for s, z in [((high - low) / 255, -128 - np.round(low / ((high - low) / 255)))]
        )
        if shape != "student"
        else np.inf
    )
    assert least <= best * 1.02


def width_of(tensors: list[list[float]]) -> float:
    """Of the range after these tensors, which are too few values for any to be clipped."""
    observer = core("Mse")
    for tensor in tensors:
        observer.observe(np.array(tensor, np.float32))
    scales, _ = observer.qparams()
    return scales[0] * 255


def test_the_margin_is_what_the_extremes_of_tensors_differ_by() -> None:
    alike = [[-1.0, -1.0, 0.5, 1.0, 1.0]] * 4
    assert width_of(alike) == pytest.approx(2, rel=0.002)
    # The eighth from above is 0.9, from below -1: 0.05 are added above, nothing below.
    near = [[-1.0, -1.0, high, 0.9] for high in (0.95, 0.93, 0.91, 0.92)]
    assert width_of(near) == pytest.approx(1.95 + 0.05, abs=0.003)
    # Far apart: a fifth of what was seen on each side.
    apart = [[-8.0, 7.0], [-3.0, 1.0], [-1.0, 4.0], [-5.0, 2.0]]
    assert width_of(apart) == pytest.approx(15 * 1.4, rel=0.002)


def test_kl_drops_outliers_and_keeps_the_mass() -> None:
    rng = np.random.default_rng(12)
    values = np.concatenate([rng.standard_normal(500_000), [60.0, -60.0]]).astype(np.float32)
    observer = core("Kl")
    observer.observe(values)
    scales, _ = observer.qparams()
    assert 5 < scales[0] * 255 < 40


@pytest.mark.parametrize("qscheme", ["per_tensor_affine", "per_tensor_symmetric"])
@pytest.mark.parametrize("observer", ["Percentile", "Mse", "Kl"])
@pytest.mark.parametrize("case", CASES)
def test_every_search_gives_a_usable_scale(case: str, observer: str, qscheme: str) -> None:
    ours = core(observer, qscheme)
    for batch in CASES[case](np.random.default_rng(13)):
        ours.observe(np.ascontiguousarray(batch, np.float32))
    scales, zero_points = ours.qparams()
    assert np.isfinite(scales[0]) and scales[0] >= EPS and -128 <= zero_points[0] <= 127
