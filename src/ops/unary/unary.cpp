// Functions of one operand. Attributes: min and max of Clamp (either may be absent); alpha and beta
// of those functions of kernels/unary_f32/functions.hpp that have parameters.
#include "ops/unary/unary.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>

#include "kernels/unary_f32/functions.hpp"
#include "ops/binary/binary.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/evaluate.hpp"
#include "ops/program_builder.hpp"
#include "ops/steep.hpp"

namespace enn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Function {
  Op op;
  float (*function)(float x, float alpha, float beta);
  program::UnaryKind kind;
};

constexpr Function kFunctions[] = {
#define ENN_UNARY(Name, scalar_function) {Op::Name, &scalar_function, program::UnaryKind_##Name},
#include "kernels/unary_f32/functions.def"
#undef ENN_UNARY
};

const Function* function_of(Op op) {
  const auto* const found = std::ranges::find(kFunctions, op, &Function::op);
  return found == std::end(kFunctions) ? nullptr : found;
}

struct Unary {
  float (*function)(float x, float alpha, float beta) = nullptr;
  program::UnaryKind kind{};
  float alpha = 0.0F;
  float beta = 0.0F;
};

std::optional<Unary> unary_of(const Node& node) {
  const Function* function = function_of(node.op);
  if (function == nullptr) return std::nullopt;
  Unary out{.function = function->function, .kind = function->kind};
  const bool clamps = node.op == Op::Clamp;
  out.alpha = static_cast<float>(clamps ? node.attrs.number("min", -kInfinity)
                                        : node.attrs.number("alpha"));
  out.beta =
      static_cast<float>(clamps ? node.attrs.number("max", kInfinity) : node.attrs.number("beta"));
  return out;
}

Result<NodeId> import_clamp_between(Graph& graph, const Call& call, Op op, const char* minimum_name,
                                    const char* maximum_name, std::optional<double> minimum,
                                    std::optional<double> maximum) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  Attributes attrs;
  if (minimum || args.has(minimum_name)) {
    ENN_ASSIGN(const double value, args.number(minimum_name, minimum));
    attrs.set("min", value);
  }
  if (maximum || args.has(maximum_name)) {
    ENN_ASSIGN(const double value, args.number(maximum_name, maximum));
    attrs.set("max", value);
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

std::optional<program::UnaryKind> unary_kind(Op op) {
  const Function* function = function_of(op);
  if (function == nullptr) return std::nullopt;
  return function->kind;
}

Result<NodeId> import_unary(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  return NodeId{add_call(graph, call, op, {input})};
}

namespace {

// A function with one parameter, which becomes the attribute alpha.
Result<NodeId> import_with_alpha(Graph& graph, const Call& call, Op op, const char* name,
                                 std::optional<double> otherwise) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const double alpha, args.number(name, otherwise));
  Attributes attrs;
  attrs.set("alpha", alpha);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_leaky_relu(Graph& graph, const Call& call, Op op) {
  return import_with_alpha(graph, call, op, "negative_slope", 0.01);
}

// In inference the slope is the mean of the bounds; in training it is random.
Result<NodeId> import_rrelu(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const bool training, args.boolean("training", false));
  if (training) return NodeId{add_call(graph, call, Op::Unknown, {input})};
  ENN_ASSIGN(const double lower, args.number("lower", 1.0 / 8.0));
  ENN_ASSIGN(const double upper, args.number("upper", 1.0 / 3.0));
  Attributes attrs;
  attrs.set("alpha", (lower + upper) / 2.0);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

// Rounding to integers; to decimal places is another function.
Result<NodeId> import_round(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  ENN_ASSIGN(const std::int64_t decimals, Arguments(call).integer("decimals", 0));
  return NodeId{add_call(graph, call, decimals == 0 ? op : Op::Unknown, {input})};
}

Result<NodeId> import_pow_scalar(Graph& graph, const Call& call, Op op) {
  return import_with_alpha(graph, call, op, "exponent", {});
}

Result<NodeId> import_scalar_pow(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("exponent"));
  ENN_ASSIGN(const double base, args.number("self"));
  Attributes attrs;
  attrs.set("alpha", base);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

namespace {

Result<NodeId> import_with_parameters(Graph& graph, const Call& call, Op op, double alpha,
                                      double beta) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  Attributes attrs;
  attrs.set("alpha", alpha);
  if (beta != 0.0) attrs.set("beta", beta);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

// A power of which the call does not give the exponent or the base: it is 2.
Result<NodeId> import_with_two(Graph& graph, const Call& call, Op op) {
  return import_with_parameters(graph, call, op, 2.0, 0.0);
}

// elu with a slope above 0 is selu, with a factor of x below 0 celu.
Result<NodeId> import_elu(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const double alpha, args.number("alpha", 1.0));
  ENN_ASSIGN(const double scale, args.number("scale", 1.0));
  ENN_ASSIGN(const double input_scale, args.number("input_scale", 1.0));
  if (scale == 1.0 && input_scale == 1.0)
    return import_with_parameters(graph, call, op, alpha, 0.0);
  if (input_scale == 1.0)
    return import_with_parameters(graph, call, Op::Selu, alpha * scale, scale);
  ENN_ASSIGN(const NodeId id,
             import_with_parameters(graph, call, Op::Celu, alpha * scale, input_scale));
  if (scale != 1.0) {
    graph.node(id).attrs.set("unsupported",
                             std::string("elu with both a scale and an input_scale"));
  }
  return NodeId{id};
}

Result<NodeId> import_celu(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const double alpha, Arguments(call).number("alpha", 1.0));
  return import_with_parameters(graph, call, op, alpha, 1.0 / alpha);
}

// Klambauer et al., "Self-Normalizing Neural Networks": alpha and scale to the digits of ATen.
Result<NodeId> import_selu(Graph& graph, const Call& call, Op op) {
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  constexpr double kScale = 1.0507009873554804934193349852946;
  return import_with_parameters(graph, call, op, kAlpha * kScale, kScale);
}

Result<NodeId> import_threshold(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const double threshold, args.number("threshold"));
  ENN_ASSIGN(const double value, args.number("value"));
  return import_with_parameters(graph, call, op, threshold, value);
}

Result<NodeId> import_shrink(Graph& graph, const Call& call, Op op) {
  return import_with_alpha(graph, call, op, "lambd", 0.5);
}

Result<NodeId> import_softplus(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const NodeId id, import_with_alpha(graph, call, op, "beta", 1.0));
  ENN_ASSIGN(const double threshold, Arguments(call).number("threshold", 20.0));
  graph.node(id).attrs.set("beta", threshold);
  return NodeId{id};
}

// Gelu by its definition, or by the tanh approximation, which is an operator of its own.
Result<NodeId> import_gelu(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::string approximate, args.text("approximate", "none"));
  return NodeId{add_call(graph, call, approximate == "tanh" ? Op::GeluTanh : op, {input})};
}

Result<NodeId> import_relu6(Graph& graph, const Call& call, Op op) {
  return import_clamp_between(graph, call, op, "", "", 0.0, 6.0);
}

Result<NodeId> import_hardtanh(Graph& graph, const Call& call, Op op) {
  return import_clamp_between(graph, call, op, "min_val", "max_val", -1.0, 1.0);
}

namespace {

// Whether a bound of clamp is absent or an integer of the type.
bool is_whole_bound(const Arguments& args, std::string_view name, DType dtype) {
  const Argument* bound = args.find(name);
  if (bound == nullptr) return true;
  const auto* number = std::get_if<std::int64_t>(bound);
  return number != nullptr &&
         (dtype == DType::Int64 || *number == std::int64_t{static_cast<std::int32_t>(*number)});
}

}  // namespace

// The function is one of floats; integers are compared with bounds that are integers.
Result<NodeId> import_clamp(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const TensorType type = graph.value(input).type;
  const bool whole = type.dtype == DType::Int32 || type.dtype == DType::Int64;
  if (!whole || (!args.has("min") && !args.has("max")) ||
      !is_whole_bound(args, "min", type.dtype) || !is_whole_bound(args, "max", type.dtype)) {
    return import_clamp_between(graph, call, op, "min", "max", {}, {});
  }
  if (!args.has("min")) {
    ENN_ASSIGN(const ValueId maximum, tensor_or_scalar(graph, call, "max", input));
    return NodeId{add_call(graph, call, Op::Minimum, {input, maximum})};
  }
  ENN_ASSIGN(const ValueId minimum, tensor_or_scalar(graph, call, "min", input));
  if (!args.has("max")) return NodeId{add_call(graph, call, Op::Maximum, {input, minimum})};
  ENN_ASSIGN(const ValueId maximum, tensor_or_scalar(graph, call, "max", input));
  const ValueId above =
      internal_value(graph, Op::Maximum, call.name + ".above", {input, minimum}, type);
  return NodeId{add_call(graph, call, Op::Minimum, {above, maximum})};
}

Result<std::vector<TensorType>> infer_unary(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  return std::vector<TensorType>{graph.value(node.inputs[0]).type};
}

std::optional<std::string> support_unary(const Graph& graph, const Node& node) {
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  if (node.attrs.has("unsupported")) return str(node.attrs.text("unsupported"), " is not taken");
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_unary(const Graph& graph, NodeId node, const QuantizationConfig& config,
                    Annotations& annotations) {
  const Op op = graph.node(node).op;
  const bool steep = is_steep(graph, graph.node(node), 0) || jumps(graph, graph.node(node), 0);
  if (op != Op::Sigmoid && !steep) return annotate_all(graph, node, config, annotations);
  const ValueId input = graph.node(node).inputs.front();
  if (!is_float_value(graph, input)) return;
  if (steep) return annotations.set(node, {.inputs = {}, .output = config.activation});
  annotations.set(node,
                  {.inputs = {{input, config.activation}}, .output = result_spec(op, config)});
}

Traits traits_unary(const Graph&, const Node&) {
  return {LayoutRule::Same, QuantizedForm::Computes};
}

std::vector<float> evaluate_unary(const Node& node, std::vector<float> values) {
  const auto unary = unary_of(node);
  for (float& x : values) x = unary->function(x, unary->alpha, unary->beta);
  return values;
}

Status lower_unary(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const auto unary = unary_of(node);
  if (!unary) return error(Code::Internal, "node '", node.name, "' is not unary");
  if (graph.value(node.outputs[0]).quant) {
    return lower_table(graph, node, builder,
                       [&](float x) { return unary->function(x, unary->alpha, unary->beta); });
  }
  program::UnaryF32T op;
  op.kind = unary->kind;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.alpha = unary->alpha;
  op.beta = unary->beta;
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn
