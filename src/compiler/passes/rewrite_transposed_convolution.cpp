// Along one dimension, result o of a transposed convolution is the sum over taps r of
//   x[i] * w[r] where stride * i = o + pad - r * dilation.
// With o + base = stride * q + phase, tap r reads x[q + e], e = (phase - base + pad - r * dilation)
// / stride, where that is an integer. So the results of one phase are a convolution with stride 1
// whose window covers all e; `base` is chosen to make the window as small as possible. With stride
// 1 the window is the kernel backwards and keeps its dilation.
#include <algorithm>
#include <cstring>
#include <utility>

#include "compiler/passes/passes.hpp"
#include "ops/constants.hpp"
#include "ops/conv/conv.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

struct AxisPlan {
  std::int64_t phases = 1;
  std::int64_t base = 0;      // results to cut off at the front
  std::int64_t dilation = 1;  // of the window
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
  std::int64_t blocks = 1;             // positions of the window
  std::vector<List> kernel_of_window;  // [phase][window tap] -> kernel tap, or -1
};

AxisPlan plan_unit_stride(std::int64_t kernel, std::int64_t pad, std::int64_t dilation,
                          std::int64_t out) {
  AxisPlan plan;
  plan.dilation = dilation;
  plan.pad_begin = dilation * (kernel - 1) - pad;
  if (plan.pad_begin < 0) {
    plan.base = -plan.pad_begin;
    plan.pad_begin = 0;
  }
  plan.blocks = out + plan.base;
  plan.kernel_of_window.resize(1);
  for (std::int64_t t = 0; t < kernel; ++t) plan.kernel_of_window[0].push_back(kernel - 1 - t);
  return plan;
}

AxisPlan plan_strided(std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                      std::int64_t dilation, std::int64_t out) {
  // Along e, tap r of the phase that reads it.
  const auto place = [&](std::int64_t base, std::int64_t r) {
    const std::int64_t offset = pad - base - r * dilation;
    const std::int64_t phase = ((-offset) % stride + stride) % stride;
    return std::pair{phase, (phase + offset) / stride};
  };
  // First and last e. The window begins at or before q, so that its padding is not negative.
  const auto range = [&](std::int64_t base) {
    std::pair<std::int64_t, std::int64_t> ends{0, 0};
    for (std::int64_t r = 0; r < kernel; ++r) {
      ends.first = std::min(ends.first, place(base, r).second);
      ends.second = std::max(ends.second, place(base, r).second);
    }
    return ends;
  };
  const auto window = [&](std::int64_t base) { return range(base).second - range(base).first + 1; };
  AxisPlan best;
  for (std::int64_t base = 1; base < stride; ++base) {
    if (window(base) < window(best.base)) best.base = base;
  }
  best.phases = stride;
  best.pad_begin = -range(best.base).first;
  best.blocks = (out + best.base + stride - 1) / stride;
  for (std::int64_t phase = 0; phase < stride; ++phase) {
    best.kernel_of_window.emplace_back(static_cast<std::size_t>(window(best.base)), -1);
  }
  for (std::int64_t r = 0; r < kernel; ++r) {
    const auto [phase, e] = place(best.base, r);
    best.kernel_of_window[static_cast<std::size_t>(phase)]
                         [static_cast<std::size_t>(e + best.pad_begin)] = r;
  }
  return best;
}

// A constant weight and how it is quantized.
struct Weight {
  TensorType type;
  std::vector<std::byte> bytes;
  std::optional<QuantParams> quant;
};

Result<Weight> weight_of(const Graph& graph, ValueId id) {
  Weight weight;
  const Node* producer = graph.producer(id);
  if (producer != nullptr && producer->op == Op::Dequantize &&
      graph.value(producer->inputs[0]).is_constant()) {
    ENN_ASSIGN(QuantParams params, quant_params(graph, *producer));
    const Value& source = graph.value(producer->inputs[0]);
    const bool symmetric = std::ranges::all_of(params.zero_points, [](auto z) { return z == 0; });
    if (source.type.dtype == DType::Int8 &&
        (params.per_tensor() || (params.axis == 1 && symmetric))) {
      weight.type = source.type;
      weight.bytes = *source.data;
      weight.quant = std::move(params);
      return Result<Weight>(std::move(weight));
    }
    ENN_ASSIGN(const std::vector<float> values, dequantized_floats(source, params));
    weight.bytes = bytes_of(values);
  } else {
    ENN_ASSIGN(const std::vector<float> values, constant_floats(graph, id));
    weight.bytes = bytes_of(values);
  }
  weight.type.shape = graph.value(id).type.shape;
  return Result<Weight>(std::move(weight));
}

struct Plan {
  std::int64_t groups = 1;
  std::int64_t group_channels = 1;  // of the operand
  std::int64_t group_results = 1;   // of the result
  AxisPlan h;
  AxisPlan w;

  [[nodiscard]] std::int64_t phases() const { return h.phases * w.phases; }
  [[nodiscard]] std::int64_t results() const { return groups * phases() * group_results; }
  // Calls visit(new channel, group, row phase, column phase, channel in the group).
  template <typename Visit>
  void for_each_result(const Visit& visit) const {
    std::int64_t at = 0;
    for (std::int64_t group = 0; group < groups; ++group) {
      for (std::int64_t a = 0; a < h.phases; ++a) {
        for (std::int64_t b = 0; b < w.phases; ++b) {
          for (std::int64_t k = 0; k < group_results; ++k) visit(at++, group, a, b, k);
        }
      }
    }
  }
};

// [C, K / groups, R, S] -> [groups * phases * K / groups, C / groups, R', S'].
Weight rearranged(const Weight& weight, const Plan& plan) {
  const std::size_t size = size_of(weight.type.dtype);
  const Shape& from = weight.type.shape;
  const auto rows = static_cast<std::int64_t>(plan.h.kernel_of_window[0].size());
  const auto columns = static_cast<std::int64_t>(plan.w.kernel_of_window[0].size());
  Weight out;
  out.type = {weight.type.dtype, {plan.results(), plan.group_channels, rows, columns}};
  // What stands for the real 0.
  std::byte zero{0};
  if (weight.quant) {
    zero = static_cast<std::byte>(weight.quant->per_tensor() ? weight.quant->zero_point() : 0);
  }
  out.bytes.assign(static_cast<std::size_t>(numel(out.type.shape)) * size, zero);
  plan.for_each_result([&](std::int64_t at, std::int64_t group, std::int64_t a, std::int64_t b,
                           std::int64_t k) {
    for (std::int64_t c = 0; c < plan.group_channels; ++c) {
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t r =
            plan.h.kernel_of_window[static_cast<std::size_t>(a)][static_cast<std::size_t>(row)];
        for (std::int64_t column = 0; column < columns && r >= 0; ++column) {
          const std::int64_t s =
              plan.w
                  .kernel_of_window[static_cast<std::size_t>(b)][static_cast<std::size_t>(column)];
          if (s < 0) continue;
          const std::int64_t to = ((at * plan.group_channels + c) * rows + row) * columns + column;
          const std::int64_t source =
              (((group * plan.group_channels + c) * from[1] + k) * from[2] + r) * from[3] + s;
          std::memcpy(out.bytes.data() + static_cast<std::size_t>(to) * size,
                      weight.bytes.data() + static_cast<std::size_t>(source) * size, size);
        }
      }
    }
  });
  if (weight.quant) {
    out.quant = weight.quant;
    if (!weight.quant->per_tensor()) {
      out.quant->axis = 0;
      out.quant->scales.clear();
      plan.for_each_result(
          [&](std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t k) {
            out.quant->scales.push_back(weight.quant->scales[static_cast<std::size_t>(k)]);
          });
      out.quant->zero_points.assign(out.quant->scales.size(), 0);
    }
  }
  return out;
}

template <typename T>
ValueId add_vector(Graph& graph, const std::string& name, DType dtype,
                   const std::vector<T>& values) {
  return graph.add_constant(name, {dtype, {static_cast<std::int64_t>(values.size())}},
                            std::make_shared<const std::vector<std::byte>>(bytes_of(values)));
}

// The value of the float weight: a constant, or the dequantize of one.
ValueId add_weight(Graph& graph, NodeId before, const std::string& name, Weight weight) {
  const Shape shape = weight.type.shape;
  const ValueId constant = graph.add_constant(
      name, weight.type, std::make_shared<const std::vector<std::byte>>(std::move(weight.bytes)));
  if (!weight.quant) return constant;
  const QuantParams& params = *weight.quant;
  Attributes attrs;
  attrs.set("quant_min", std::int64_t{params.quant_min});
  attrs.set("quant_max", std::int64_t{params.quant_max});
  attrs.set("dtype", std::string(to_string(DType::Float32)));
  std::vector<ValueId> inputs{constant};
  if (params.per_tensor()) {
    attrs.set("scale", static_cast<double>(params.scale()));
    attrs.set("zero_point", std::int64_t{params.zero_point()});
  } else {
    const std::vector<std::int64_t> zeros(params.scales.size(), 0);
    attrs.set("axis", std::int64_t{0});
    inputs.push_back(add_vector(graph, name + ".scales", DType::Float32, params.scales));
    inputs.push_back(add_vector(graph, name + ".zero_points", DType::Int64, zeros));
  }
  const NodeId node = graph.insert_node(before, Op::Dequantize, name + ".dequantized",
                                        std::move(inputs), {{DType::Float32, shape}}, attrs);
  return graph.node(node).outputs[0];
}

// What each channel of the result has, for each new channel.
template <typename T>
std::vector<T> rearranged(const std::vector<T>& channels, const Plan& plan) {
  std::vector<T> values;
  plan.for_each_result(
      [&](std::int64_t, std::int64_t group, std::int64_t, std::int64_t, std::int64_t k) {
        values.push_back(channels[static_cast<std::size_t>(group * plan.group_results + k)]);
      });
  return values;
}

Result<ValueId> rearranged_bias(Graph& graph, const Node& node, const Plan& plan) {
  if (node.inputs[2] == kNone) return ValueId{kNone};
  ENN_ASSIGN(const std::vector<float> bias, constant_floats(graph, node.inputs[2]));
  return ValueId{
      add_vector(graph, node.name + ".bias.phases", DType::Float32, rearranged(bias, plan))};
}

// [N, groups * phases * K / groups, P, Q] -> [N, K, P * row phases, Q * column phases].
ValueId spread(Graph& graph, NodeId before, const std::string& name, ValueId id, const Plan& plan) {
  const TensorType type = graph.value(id).type;
  Attributes attrs;
  attrs.set("parts", List{type.shape[0], plan.groups, plan.h.phases, plan.w.phases,
                          plan.group_results, type.shape[2], type.shape[3]});
  attrs.set("part_dims", List{0, 1, 1, 1, 1, 2, 3});
  attrs.set("order", List{0, 1, 4, 5, 2, 6, 3});
  attrs.set("result_dims", List{0, 1, 1, 2, 2, 3, 3});
  const Shape shape{type.shape[0], plan.groups * plan.group_results, type.shape[2] * plan.h.phases,
                    type.shape[3] * plan.w.phases};
  const NodeId node =
      graph.insert_node(before, Op::Shuffle, name, {id}, {{type.dtype, shape}}, std::move(attrs));
  return graph.node(node).outputs[0];
}

ValueId cut(Graph& graph, NodeId before, const std::string& name, ValueId id, const Shape& shape,
            List starts) {
  Attributes attrs;
  attrs.set("dims", List{0, 1, 2, 3});
  attrs.set("shape", shape);
  attrs.set("starts", std::move(starts));
  attrs.set("steps", List(4, 1));
  const NodeId node = graph.insert_node(before, Op::Strided, name, {id},
                                        {{graph.value(id).type.dtype, shape}}, std::move(attrs));
  return graph.node(node).outputs[0];
}

Status rewrite(Graph& graph, NodeId id) {
  const Node node = graph.node(id);
  const Shape input = graph.value(node.inputs[0]).type.shape;
  const TensorType output = graph.value(node.outputs[0]).type;
  const Shape kernel = graph.value(node.inputs[1]).type.shape;
  Plan plan;
  plan.groups = node.attrs.integer("groups", 1);
  plan.group_channels = kernel[0] / plan.groups;
  plan.group_results = kernel[1];
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t stride = node.attrs.integers("stride")[i];
    const std::int64_t pad = node.attrs.integers("pads")[i];
    const std::int64_t dilation = node.attrs.integers("dilation")[i];
    const std::int64_t out = output.shape[2 + i];
    AxisPlan& axis = i == 0 ? plan.h : plan.w;
    axis = stride == 1 ? plan_unit_stride(kernel[2 + i], pad, dilation, out)
                       : plan_strided(kernel[2 + i], stride, pad, dilation, out);
    const auto window = static_cast<std::int64_t>(axis.kernel_of_window[0].size());
    axis.pad_end = axis.blocks + axis.dilation * (window - 1) - input[2 + i] - axis.pad_begin;
  }
  ENN_ASSIGN(const Weight weight, weight_of(graph, node.inputs[1]));
  const ValueId phases =
      add_weight(graph, id, node.name + ".weight.phases", rearranged(weight, plan));
  ENN_ASSIGN(const ValueId bias, rearranged_bias(graph, node, plan));
  Attributes attrs = node.attrs;
  attrs.erase("transposed");
  attrs.erase("output_padding");
  if (const std::vector<double> factors = output_scale(node); !factors.empty())
    attrs.set("output_scale", rearranged(factors, plan));
  attrs.set("stride", List{1, 1});
  attrs.set("dilation", List{plan.h.dilation, plan.w.dilation});
  attrs.set("pads", List{plan.h.pad_begin, plan.w.pad_begin, plan.h.pad_end, plan.w.pad_end});
  const Shape shape{output.shape[0], plan.results(), plan.h.blocks, plan.w.blocks};
  const NodeId convolution =
      graph.insert_node(id, Op::Convolution, node.name + ".phases", {node.inputs[0], phases, bias},
                        {{output.dtype, shape}}, std::move(attrs));
  graph.node(convolution).origin = node.origin;
  ValueId result = graph.node(convolution).outputs[0];
  if (plan.phases() > 1) result = spread(graph, id, node.name + ".spread", result, plan);
  if (graph.value(result).type.shape != output.shape) {
    result =
        cut(graph, id, node.name + ".cut", result, output.shape, {0, 0, plan.h.base, plan.w.base});
  }
  graph.replace_uses(node.outputs[0], result);
  graph.erase_node(id);
  return {};
}

}  // namespace

Status rewrite_transposed_convolution(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != Op::Convolution || !node.attrs.boolean("transposed")) continue;
    ENN_TRY(rewrite(graph, id));
  }
  return {};
}

}  // namespace enn
