#include "compiler/compiler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "base/payload_header.hpp"
#include "compiler/passes/passes.hpp"
#include "ops/import.hpp"
#include "ops/ops.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

struct Pass {
  std::string_view name;
  Status (*run)(Graph& graph);
  bool required;  // the stages behind it rely on it
  std::optional<Execution> only_for = std::nullopt;
};

// The table of contents of the compiler, in order.
constexpr std::array kPasses{
    Pass{"widen_float16", &widen_float16, true},
    Pass{"promote_operands", &promote_operands, true},
    Pass{"erase_identities", &erase_identities, false},
    Pass{"fold_constants", &fold_constants, true},
    Pass{"fold_batch_norm", &fold_batch_norm, true},
    Pass{"recognize_functions", &recognize_functions, true},
    Pass{"fuse_activations", &fuse_activations, false},
    Pass{"arrange_reductions", &arrange_reductions, true},
    Pass{"widen_images", &widen_images, true},
    Pass{"rewrite_transposed_convolution", &rewrite_transposed_convolution, true},
    Pass{"sink_reshapes", &sink_reshapes, true},
    Pass{"attach_quantization", &attach_quantization, true, Execution::Qdq},
    Pass{"fold_qdq", &fold_qdq, true, Execution::Integer},
    Pass{"fold_dequantized_constants", &fold_dequantized_constants, true},
    Pass{"fold_transposes", &fold_transposes, false},
    Pass{"assign_layouts", &assign_layouts, true},
};

Status check_disabled(const std::vector<std::string>& disabled) {
  for (const std::string& name : disabled) {
    const auto* const pass =
        std::find_if(kPasses.begin(), kPasses.end(), [&](const Pass& p) { return p.name == name; });
    if (pass == kPasses.end()) {
      return error(Code::InvalidArgument, "there is no pass named '", name, "'; the passes are ",
                   list_str(pass_names()));
    }
    if (pass->required)
      return error(Code::InvalidArgument, "the pass '", name, "' cannot be switched off");
  }
  return {};
}

// What may help where the engine does not have the operator.
std::string_view remedy(const Graph& graph, const Node& node) {
  if (node.op != Op::Unknown || left_to_others(graph, node)) return "";
  return "; exported_program.run_decompositions() writes composite operators as simpler ones, "
         "which "
         "it may have";
}

Status check_taken(const Graph& graph) {
  for (const ValueId id : graph.inputs()) {
    const auto& [dtype, shape] = graph.value(id).type;
    if (const int dim = dynamic_dim(shape); dim >= 0) {
      return error(Code::Unsupported, "dimension ", dim, " of the input '", graph.value(id).name,
                   "' is dynamic; the engine takes static shapes");
    }
    if (dtype == DType::Float64 || dtype == DType::Int16 || !is_known(dtype)) {
      return error(Code::Unsupported, "input '", graph.value(id).name, "' is ", to_string(dtype),
                   "; the engine takes float32, float16, int64, int32, int8, uint8 and bool");
    }
  }
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (const auto reason = unsupported_reason(graph, node)) {
      return error(Code::Unsupported, "node '", node.name, "' (",
                   node.target.empty() ? std::string(to_string(node.op)) : node.target,
                   ") is not taken: ", *reason, remedy(graph, node));
    }
  }
  return {};
}

// Steps are known by what they do and their place in the program. The names of the model's nodes
// are not: one model has several, depending on who exported it and how far it was decomposed. What
// quantization has added stands for no line of the model, whoever added it. Without
// `source_lines` the bytes do not depend on where the model's source lies.
void name_steps(Graph& graph, bool source_lines) {
  for (std::size_t i = 0; i < graph.inputs().size(); ++i)
    graph.value(graph.inputs()[i]).name = str("input_", i);
  std::map<Op, int> counts;
  for (const NodeId id : graph.order()) {
    Node& node = graph.node(id);
    node.name = str(to_string(node.op), '_', counts[node.op]++);
    if (node.op == Op::Quantize || node.op == Op::Dequantize) node.origin = {};
    node.origin.source = source_lines ? portable_source(node.origin) : std::string();
    for (const ValueId output : node.outputs) graph.value(output).name = node.name;
  }
}

Status check_orders(std::string_view what, const Graph& graph, const std::vector<ValueId>& values,
                    const std::vector<DimOrder>& orders) {
  if (!orders.empty() && orders.size() != values.size()) {
    return error(Code::InvalidArgument, "there are ", orders.size(), " dimension orders for ",
                 values.size(), ' ', what, 's');
  }
  for (std::size_t i = 0; i < orders.size(); ++i) {
    DimOrder sorted = orders[i];
    std::ranges::sort(sorted);
    const std::size_t rank = graph.value(values[i]).type.shape.size();
    bool is_order = sorted.empty() || sorted.size() == rank;
    for (std::size_t d = 0; is_order && d < sorted.size(); ++d) is_order = sorted[d] == d;
    if (!is_order) {
      return error(Code::InvalidArgument, what, ' ', i, ": ", orders[i].size(),
                   " entries are not an order of ", rank, " dimensions");
    }
  }
  return {};
}

Attributes permutes(std::vector<std::int64_t> dims) {
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  return attrs;
}

// The type of a tensor whose dimensions are taken in the order of memory.
TensorType in_memory(const TensorType& type, const DimOrder& order) {
  TensorType out{type.dtype, {}};
  for (const std::uint8_t dim : order) out.shape.push_back(type.shape[dim]);
  return out;
}

// Inputs and outputs get the shape that they have in memory; permutations lie between them and the
// graph.
void permute_border(Graph& graph, const CompileOptions& options) {
  for (std::size_t i = 0; i < options.input_orders.size(); ++i) {
    const DimOrder& order = options.input_orders[i];
    if (order.empty()) continue;
    const ValueId input = graph.inputs()[i];
    const Value value = graph.value(input);
    std::vector<std::int64_t> dims(order.size());
    for (std::size_t d = 0; d < order.size(); ++d) dims[order[d]] = static_cast<std::int64_t>(d);
    const std::vector<NodeId> now = graph.order();
    const NodeId permute =
        graph.insert_node(now.empty() ? kNone : now.front(), Op::Permute, value.name + ".own_order",
                          {}, {value.type}, permutes(std::move(dims)));
    graph.replace_uses(input, graph.node(permute).outputs[0]);
    graph.node(permute).inputs = {input};
    graph.value(input).type = in_memory(value.type, order);
  }
  std::vector<ValueId> outputs = graph.outputs();
  for (std::size_t i = 0; i < options.output_orders.size(); ++i) {
    const DimOrder& order = options.output_orders[i];
    if (order.empty()) continue;
    const Value value = graph.value(outputs[i]);
    const NodeId permute =
        graph.add_node(Op::Permute, str(value.name, ".in_memory.", i), {outputs[i]},
                       {in_memory(value.type, order)}, permutes({order.begin(), order.end()}));
    outputs[i] = graph.node(permute).outputs[0];
  }
  graph.set_outputs(std::move(outputs));
}

// Each tap is a step behind the one that computes its value.
Status lower_all(const Graph& graph, ProgramBuilder& builder) {
  std::multimap<NodeId, std::uint32_t> taps;  // by producer; kNone: inputs and constants
  for (std::uint32_t tap = 0; tap < graph.taps().size(); ++tap) {
    taps.emplace(graph.value(graph.taps()[tap]).producer, tap);
  }
  const auto observe_results = [&](NodeId producer) {
    for (auto [it, end] = taps.equal_range(producer); it != end; ++it) {
      builder.observe(graph.taps()[it->second], it->second);
    }
  };
  observe_results(kNone);
  for (const NodeId id : graph.order()) {
    ENN_TRY(lower(graph, graph.node(id), builder));
    observe_results(id);
  }
  return {};
}

}  // namespace

std::vector<std::string_view> pass_names() {
  std::vector<std::string_view> names;
  for (const Pass& pass : kPasses) names.push_back(pass.name);
  return names;
}

Result<CompiledProgram> compile(Graph graph, const CompileOptions& options) {
  ENN_TRY(check_disabled(options.disabled_passes));
  ENN_TRY(verify(graph));
  ENN_TRY(check_taken(graph));
  ENN_TRY(check_orders("input", graph, graph.inputs(), options.input_orders));
  ENN_TRY(check_orders("output", graph, graph.outputs(), options.output_orders));
  permute_border(graph, options);
  CompiledProgram out;
  for (const Pass& pass : kPasses) {
    const auto& disabled = options.disabled_passes;
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) continue;
    if (pass.only_for.value_or(options.execution) != options.execution) continue;
    const auto start = std::chrono::steady_clock::now();
    ENN_TRY(pass.run(graph));
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    out.passes.push_back({pass.name, elapsed.count()});
    if (const Status status = verify(graph); !status.ok()) {
      return error(Code::Internal, "after the pass ", pass.name, ": ", status.message());
    }
    if (options.after_pass) options.after_pass(pass.name, graph);
  }
  graph.erase_unused();
  for (const ValueId tap : graph.taps()) {
    const bool is_permuted = graph.value(tap).layout == Layout::ChannelsLast;
    out.tap_orders.push_back(is_permuted ? DimOrder{0, 2, 3, 1} : DimOrder{});
  }
  name_steps(graph, options.source_lines);
  ProgramBuilder builder(graph);
  ENN_TRY(lower_all(graph, builder));
  builder.set_dim_orders(options.input_orders, options.output_orders);
  ENN_ASSIGN(out.bytes, builder.finish(kPayloadHeaderBytes));
  write_payload_header(out.bytes);
  return CompiledProgram(std::move(out));
}

}  // namespace enn
