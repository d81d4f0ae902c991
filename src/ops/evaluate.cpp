#include "ops/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/binary/functions.hpp"
#include "kernels/convert/functions.hpp"
#include "kernels/reduce/functions.hpp"
#include "kernels/unary_f32/functions.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

using Bytes = std::vector<std::byte>;
using List = std::vector<std::int64_t>;

bool is_unary(Op op) { return family(op) == "unary"; }

std::optional<BinaryOp> binary_op(Op op) {
  switch (op) {
#define ENN_BINARY(name) \
  case Op::name:         \
    return BinaryOp::name;
#include "kernels/binary/functions.def"
#undef ENN_BINARY
    default:
      return std::nullopt;
  }
}

template <typename T>
std::vector<T> elements(const Bytes& bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

ConstantData shared(Bytes bytes) { return std::make_shared<const Bytes>(std::move(bytes)); }

List row_major(const Shape& shape) {
  List strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

// Calls f with offset + sum of index * stride for every index of `shape`, row-major.
template <typename F>
void walk(const Shape& shape, const List& strides, std::int64_t offset, const F& f) {
  List index(shape.size(), 0);
  std::int64_t place = offset;
  for (std::int64_t i = numel(shape); i > 0; --i) {
    f(place);
    for (std::size_t d = shape.size(); d-- > 0;) {
      place += strides[d];
      if (++index[d] < shape[d]) break;
      place -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

// The elements of `value` that the walk comes to.
Bytes walked(const Value& value, const Shape& shape, const List& strides, std::int64_t offset) {
  const std::size_t size = size_of(value.type.dtype);
  Bytes out(static_cast<std::size_t>(numel(shape)) * size);
  std::byte* to = out.data();
  walk(shape, strides, offset, [&](std::int64_t place) {
    std::memcpy(to, value.data->data() + place * static_cast<std::int64_t>(size), size);
    to += size;
  });
  return out;
}

Bytes broadcast_to(const Value& value, const Shape& shape) {
  if (value.type.shape == shape) return *value.data;
  const List own = row_major(value.type.shape);
  List strides(shape.size(), 0);
  const std::size_t skip = shape.size() - own.size();
  for (std::size_t d = 0; d < own.size(); ++d) {
    if (value.type.shape[d] != 1) strides[skip + d] = own[d];
  }
  return walked(value, shape, strides, 0);
}

Bytes permuted(const Value& value, const List& dims) {
  const List own = row_major(value.type.shape);
  Shape shape;
  List strides;
  for (const std::int64_t dim : dims) {
    shape.push_back(value.type.shape[static_cast<std::size_t>(dim)]);
    strides.push_back(own[static_cast<std::size_t>(dim)]);
  }
  return walked(value, shape, strides, 0);
}

std::int64_t offset_of(const List& index, const List& strides) {
  return std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
}

// A step of `steps` along dimension dims[d] of what has the strides `own`; along -1, none.
List strides_along(const List& dims, const List& steps, const List& own) {
  List strides(dims.size(), 0);
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] >= 0) strides[d] = own[static_cast<std::size_t>(dims[d])] * steps[d];
  }
  return strides;
}

Bytes strided(const Node& node, const Value& value, const Shape& shape) {
  const List own = row_major(value.type.shape);
  const List strides =
      strides_along(node.attrs.integers("dims"), node.attrs.integers("steps"), own);
  return walked(value, shape, strides, offset_of(node.attrs.integers("starts"), own));
}

// A Scatter of all elements of its source to places that no operand gives; attributes as in
// ops/index.
bool writes_fixed_places(const Graph& graph, const Node& node) {
  return node.inputs.size() == 2 && node.inputs[1] != kNone && !node.attrs.boolean("accumulate") &&
         graph.value(node.inputs[1]).type.shape == node.attrs.integers("shape") &&
         std::ranges::all_of(node.attrs.integers("walks"),
                             [](std::int64_t dim) { return dim >= 0; });
}

Bytes overwritten(const Node& node, const Value& value, const Value& source) {
  const List own = row_major(value.type.shape);
  const List strides =
      strides_along(node.attrs.integers("walks"), node.attrs.integers("steps"), own);
  const std::size_t size = size_of(value.type.dtype);
  Bytes out = *value.data;
  const std::byte* from = source.data->data();
  walk(source.type.shape, strides, offset_of(node.attrs.integers("starts"), own),
       [&](std::int64_t place) {
         std::memcpy(out.data() + place * static_cast<std::int64_t>(size), from, size);
         from += size;
       });
  return out;
}

std::vector<ConstantData> parts(const Node& node, const Value& value) {
  const List own = row_major(value.type.shape);
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  Shape shape = value.type.shape;
  std::int64_t offset = 0;
  std::vector<ConstantData> out;
  for (const std::int64_t size : node.attrs.integers("sizes")) {
    shape[dim] = size;
    out.push_back(shared(walked(value, shape, own, offset)));
    offset += size * own[dim];
  }
  return out;
}

Bytes concatenated(const Graph& graph, const Node& node) {
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  const TensorType& type = graph.value(node.outputs[0]).type;
  const std::int64_t rows =
      std::accumulate(type.shape.begin(), type.shape.begin() + static_cast<std::ptrdiff_t>(dim),
                      std::int64_t{1}, std::multiplies<>());
  Bytes out;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (const ValueId id : node.inputs) {
      const Bytes& from = *graph.value(id).data;
      const auto length = static_cast<std::ptrdiff_t>(from.size()) / rows;
      out.insert(out.end(), from.begin() + row * length, from.begin() + (row + 1) * length);
    }
  }
  return out;
}

Result<Bytes> quantized(const Graph& graph, const Node& node) {
  ENN_ASSIGN(const std::vector<float> values, constant_floats(graph, node.inputs[0]));
  ENN_ASSIGN(const QuantParams params, quant_params(graph, node));
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  Bytes out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = quantized_channel(i, shape, params);
    out[i] = static_cast<std::byte>(quantize_value(values[i], inverse_scale(params.scales[channel]),
                                                   params.zero_points[channel], params.quant_min,
                                                   params.quant_max));
  }
  return Bytes(std::move(out));
}

Result<Bytes> dequantized(const Graph& graph, const Node& node) {
  ENN_ASSIGN(const QuantParams params, quant_params(graph, node));
  ENN_ASSIGN(const std::vector<float> values,
             dequantized_floats(graph.value(node.inputs[0]), params));
  return bytes_of(values);
}

template <typename T, typename F>
auto zipped(const Bytes& a, const Bytes& b, const F& f) {
  const std::vector<T> x = elements<T>(a);
  const std::vector<T> y = elements<T>(b);
  std::vector<decltype(f(T{}, T{}))> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = f(x[i], y[i]);
  return bytes_of(out);
}

std::uint8_t truth(bool value) { return value ? 1 : 0; }

// The kernels' arithmetic (kernels/binary) on two arrays of one length.
template <BinaryOp kOp>
Result<Bytes> computed(const Node& node, DType dtype, const Bytes& a, const Bytes& b) {
  const double alpha = node.attrs.number("alpha", 1.0);
  constexpr bool kScales = kOp == BinaryOp::Add || kOp == BinaryOp::Sub;
  const auto integer = [&](auto x, auto y) {
    using T = decltype(x);
    if constexpr (kScales) y = apply_integer<BinaryOp::Mul>(y, static_cast<T>(alpha));
    return apply_integer<kOp>(x, y);
  };
  if constexpr (is_comparison(kOp)) {
    const auto compared = [](auto x, auto y) { return truth(compare<kOp>(x, y)); };
    if (dtype == DType::Float32) return zipped<float>(a, b, compared);
    if (dtype == DType::Int32) return zipped<std::int32_t>(a, b, compared);
    if (dtype == DType::Int64) return zipped<std::int64_t>(a, b, compared);
    return zipped<std::uint8_t>(
        a, b, [](std::uint8_t x, std::uint8_t y) { return truth(compare<kOp>(x != 0, y != 0)); });
  } else {
    if constexpr (!is_bitwise(kOp)) {
      if (dtype == DType::Float32) {
        return zipped<float>(a, b, [&](float x, float y) {
          if constexpr (kScales) {
            if (alpha != 1.0) return apply_scaled_f32<kOp>(x, y, static_cast<float>(alpha));
          }
          return apply_f32<kOp>(x, y);
        });
      }
    }
    if constexpr (!is_real(kOp)) {
      if (dtype == DType::Int32) return zipped<std::int32_t>(a, b, integer);
      if (dtype == DType::Int64) return zipped<std::int64_t>(a, b, integer);
      if (dtype == DType::Bool) {
        return zipped<std::uint8_t>(a, b, [&](std::uint8_t x, std::uint8_t y) {
          return truth(integer(std::int32_t{x != 0}, std::int32_t{y != 0}) != 0);
        });
      }
    }
    return error(Code::Unsupported, "node '", node.name, "' computes on ", to_string(dtype));
  }
}

Result<Bytes> binary(const Graph& graph, const Node& node) {
  const Value& a = graph.value(node.inputs[0]);
  const Value& b = graph.value(node.inputs[1]);
  if (a.type.dtype != b.type.dtype) {
    return error(Code::Internal, "node '", node.name, "' has operands of two element types");
  }
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  const Bytes x = broadcast_to(a, shape);
  const Bytes y = broadcast_to(b, shape);
  ENN_ASSIGN(Bytes out, dispatch_binary(*binary_op(node.op), [&](auto op) {
               return computed<decltype(op)::value>(node, a.type.dtype, x, y);
             }));
  if (!node.attrs.has("activation_min") && !node.attrs.has("activation_max"))
    return Bytes(std::move(out));
  const FloatRange range = float_range(node.attrs);
  std::vector<float> values = elements<float>(out);
  for (float& value : values) value = clamp_f32(value, range.minimum, range.maximum);
  return bytes_of(values);
}

Bytes chosen(const Graph& graph, const Node& node) {
  const TensorType& type = graph.value(node.outputs[0]).type;
  const Bytes condition = broadcast_to(graph.value(node.inputs[0]), type.shape);
  Bytes out = broadcast_to(graph.value(node.inputs[1]), type.shape);
  const Bytes other = broadcast_to(graph.value(node.inputs[2]), type.shape);
  const std::size_t size = size_of(type.dtype);
  for (std::size_t i = 0; i < condition.size(); ++i) {
    if (condition[i] == std::byte{0}) std::memcpy(&out[i * size], &other[i * size], size);
  }
  return out;
}

// Calls f with a value of the C++ type.
template <typename F>
Result<Bytes> with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::Float32:
      return f(float{});
    case DType::Float16:
      return f(Half{});
    case DType::Int32:
      return f(std::int32_t{});
    case DType::Int64:
      return f(std::int64_t{});
    case DType::Int8:
      return f(std::int8_t{});
    case DType::UInt8:
      return f(std::uint8_t{});
    case DType::Bool:
      return f(Truth{});
    default:
      return error(Code::Unsupported, "constants of ", to_string(dtype), " are not taken");
  }
}

Result<Bytes> converted(const Value& value, DType dtype) {
  return with_type(value.type.dtype, [&](auto from) {
    using From = decltype(from);
    return with_type(dtype, [&](auto to) -> Result<Bytes> {
      using To = decltype(to);
      std::vector<To> out;
      for (const From x : elements<From>(*value.data)) out.push_back(convert_number<To>(x));
      return bytes_of(out);
    });
  });
}

// start + i * step, in double for floats and exact for integers.
Result<Bytes> filled(const Node& node, const TensorType& type) {
  const auto count = static_cast<std::size_t>(numel(type.shape));
  const bool ramp = node.op == Op::Arange;
  const std::string first = ramp ? "start" : "value";
  const bool whole = std::holds_alternative<std::int64_t>(*node.attrs.find(first)) &&
                     (!ramp || std::holds_alternative<std::int64_t>(*node.attrs.find("step")));
  return with_type(type.dtype, [&](auto to) -> Result<Bytes> {
    using To = decltype(to);
    std::vector<To> out(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (whole) {
        const auto start = static_cast<std::uint64_t>(node.attrs.integer(first));
        const auto step = static_cast<std::uint64_t>(ramp ? node.attrs.integer("step") : 0);
        out[i] = convert_number<To>(static_cast<std::int64_t>(start + i * step));
      } else {
        const double step = ramp ? node.attrs.number("step") : 0.0;
        const double number = node.attrs.number(first) + static_cast<double>(i) * step;
        out[i] = convert_number<To>(static_cast<float>(number));
      }
    }
    return bytes_of(out);
  });
}

bool is_reduction(Op op) {
  switch (op) {
    case Op::Mean:
    case Op::Sum:
    case Op::Prod:
    case Op::Amax:
    case Op::Amin:
    case Op::Variance:
    case Op::Deviation:
    case Op::VarianceMean:
    case Op::DeviationMean:
      return true;
    default:
      return false;
  }
}

// The elements of `value` with the reduced ones of each result beside each other.
std::vector<float> grouped(const Value& value, const List& reduced) {
  List dims;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(value.type.shape.size()); ++d) {
    if (std::ranges::find(reduced, d) == reduced.end()) dims.push_back(d);
  }
  dims.insert(dims.end(), reduced.begin(), reduced.end());
  return elements<float>(permuted(value, dims));
}

double mean_of(std::span<const float> x) {
  return sum_of(x.data(), static_cast<std::int64_t>(x.size()), 1) / static_cast<double>(x.size());
}

double reduction(const Node& node, std::span<const float> x) {
  const auto count = static_cast<std::int64_t>(x.size());
  switch (node.op) {
    case Op::Sum:
      return sum_of(x.data(), count, 1);
    case Op::Mean:
      return mean_of(x);
    case Op::Prod:
      return product_of(x.data(), count, 1);
    case Op::Amax:
    case Op::Amin: {
      float best = x[0];
      for (const float value : x) {
        const bool better = node.op == Op::Amax ? Larger()(value, best) : Smaller()(value, best);
        if (better) best = value;
      }
      return static_cast<double>(best);
    }
    default: {
      const double divisor =
          std::max(0.0, static_cast<double>(count) - node.attrs.number("correction", 1.0));
      const double variance = variance_of(x.data(), count, 1, divisor);
      const bool root = node.op == Op::Deviation || node.op == Op::DeviationMean;
      return root ? std::sqrt(variance) : variance;
    }
  }
}

std::vector<ConstantData> reductions(const Graph& graph, const Node& node) {
  const std::vector<float> values =
      grouped(graph.value(node.inputs[0]), node.attrs.integers("dims"));
  const auto count =
      values.size() / static_cast<std::size_t>(numel(graph.value(node.outputs[0]).type.shape));
  std::vector<float> first;
  std::vector<float> means;
  for (std::size_t at = 0; at < values.size(); at += count) {
    const std::span<const float> x = std::span(values).subspan(at, count);
    first.push_back(static_cast<float>(reduction(node, x)));
    if (node.outputs.size() == 2) means.push_back(static_cast<float>(mean_of(x)));
  }
  std::vector out{shared(bytes_of(first))};
  if (node.outputs.size() == 2) out.push_back(shared(bytes_of(means)));
  return out;
}

// A batch norm with the statistics of its input, per channel: the result, the means and the
// reciprocals of the deviations.
Result<std::vector<ConstantData>> standardized(const Graph& graph, const Node& node) {
  const Value& input = graph.value(node.inputs[0]);
  const List shape = input.type.shape;
  const auto channels = static_cast<std::size_t>(shape[1]);
  ENN_ASSIGN(const std::vector<float> weight,
             constant_floats_or(graph, node.inputs[1], channels, 1.0F));
  ENN_ASSIGN(const std::vector<float> bias,
             constant_floats_or(graph, node.inputs[2], channels, 0.0F));
  List reduced(shape.size() - 1);
  std::iota(reduced.begin(), reduced.end(), std::int64_t{1});
  reduced.front() = 0;
  const std::vector<float> values = grouped(input, reduced);
  const std::size_t count = values.size() / channels;
  std::vector<float> means(channels);
  std::vector<float> inverses(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const std::span<const float> x = std::span(values).subspan(c * count, count);
    means[c] = static_cast<float>(mean_of(x));
    const double variance =
        variance_of(x.data(), static_cast<std::int64_t>(count), 1, static_cast<double>(count));
    inverses[c] = static_cast<float>(1.0 / std::sqrt(variance + node.attrs.number("eps")));
  }
  std::vector<float> out = elements<float>(*input.data);
  const std::size_t inner = count / static_cast<std::size_t>(shape[0]);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t c = i / inner % channels;
    out[i] = std::fma((out[i] - means[c]) * inverses[c], weight[c], bias[c]);
  }
  std::vector results{shared(bytes_of(out))};
  if (node.outputs.size() == 3) {
    results.push_back(shared(bytes_of(means)));
    results.push_back(shared(bytes_of(inverses)));
  }
  return std::vector<ConstantData>(std::move(results));
}

// The product of a matrix and a vector, or of two vectors, as the kernels compute it: fma in order.
Bytes product(const Graph& graph, const Node& node) {
  const Value& first = graph.value(node.inputs[0]);
  const Value& second = graph.value(node.inputs[1]);
  const std::vector<float> a = elements<float>(*first.data);
  const std::vector<float> b = elements<float>(*second.data);
  const auto depth = static_cast<std::size_t>(first.type.shape.back());
  const std::size_t columns =
      second.type.shape.size() == 1 ? 1 : static_cast<std::size_t>(second.type.shape.back());
  std::vector<float> out(a.size() / depth * columns);
  for (std::size_t i = 0; i < out.size(); ++i) {
    float sum = 0.0F;
    for (std::size_t k = 0; k < depth; ++k) {
      sum = std::fma(a[i / columns * depth + k], b[k * columns + i % columns], sum);
    }
    out[i] = sum;
  }
  return bytes_of(out);
}

// What computes weights: reductions, batch norms with the statistics of their input, products with
// vectors. Of floats alone, and of something.
bool computes_weights(const Graph& graph, const Node& node) {
  if (node.op != Op::BatchNorm && node.op != Op::MatMul && !is_reduction(node.op)) return false;
  const auto is_real = [&](ValueId id) {
    return id == kNone || is_float(graph.value(id).type.dtype);
  };
  if (!std::ranges::all_of(node.inputs, is_real) || !std::ranges::all_of(node.outputs, is_real) ||
      numel(graph.value(node.inputs[0]).type.shape) == 0) {
    return false;
  }
  if (node.op == Op::BatchNorm) {
    return node.attrs.boolean("training") && node.inputs[3] == kNone && node.inputs[4] == kNone;
  }
  if (node.op != Op::MatMul) return true;
  const std::size_t a = graph.value(node.inputs[0]).type.shape.size();
  const std::size_t b = graph.value(node.inputs[1]).type.shape.size();
  return node.inputs.size() == 2 && (a == 1 || b == 1) && std::max(a, b) <= 2 &&
         !node.attrs.boolean("transpose_b");
}

Result<Bytes> single_result(const Graph& graph, const Node& node) {
  const TensorType& type = graph.value(node.outputs[0]).type;
  if (node.op == Op::Fill || node.op == Op::Arange) return filled(node, type);
  const Value& input = graph.value(node.inputs[0]);
  if (is_unary(node.op)) return bytes_of(evaluate_unary(node, elements<float>(*input.data)));
  if (binary_op(node.op)) return binary(graph, node);
  switch (node.op) {
    case Op::Quantize:
      return quantized(graph, node);
    case Op::Dequantize:
      return dequantized(graph, node);
    case Op::Permute:
      return permuted(input, node.attrs.integers("dims"));
    case Op::Strided:
      return strided(node, input, type.shape);
    case Op::Concat:
      return concatenated(graph, node);
    case Op::Convert:
      return converted(input, type.dtype);
    case Op::Where:
      return chosen(graph, node);
    case Op::Scatter:
      return overwritten(node, input, graph.value(node.inputs[1]));
    case Op::MatMul:
      return product(graph, node);
    default:
      return error(Code::Internal, "node '", node.name, "' cannot be evaluated");
  }
}

}  // namespace

bool is_evaluable(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::Fill:
    case Op::Arange:
    case Op::Quantize:
    case Op::Dequantize:
    case Op::Permute:
    case Op::Reshape:
    case Op::Identity:
    case Op::Split:
      return true;
    case Op::Strided:
    case Op::Concat:
    case Op::Convert:
    case Op::Where:
      break;
    case Op::Scatter:
      if (!writes_fixed_places(graph, node)) return false;
      break;
    default:
      if (computes_weights(graph, node)) return true;
      if (!is_unary(node.op) && !binary_op(node.op)) return false;
  }
  constexpr std::int64_t kSmall = 1 << 14;
  const auto count = [&](ValueId id) {
    return id == kNone ? 0 : numel(graph.value(id).type.shape);
  };
  std::int64_t largest = kSmall;
  for (const ValueId id : node.inputs) largest = std::max(largest, 2 * count(id));
  return node.op == Op::Concat || count(node.outputs[0]) <= largest;
}

Result<std::vector<ConstantData>> evaluate(const Graph& graph, const Node& node) {
  if (node.op == Op::Split) return parts(node, graph.value(node.inputs[0]));
  if (node.op == Op::Reshape || node.op == Op::Identity)
    return std::vector{graph.value(node.inputs[0]).data};
  if (node.op == Op::BatchNorm) return standardized(graph, node);
  if (is_reduction(node.op)) return reductions(graph, node);
  ENN_ASSIGN(Bytes bytes, single_result(graph, node));
  return std::vector{shared(std::move(bytes))};
}

}  // namespace enn
