#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "archive/exported_program.hpp"
#include "archive/zip.hpp"
#include "base/file_io.hpp"
#include "common.hpp"
#include "ir/explanation.hpp"
#include "ir/graph.hpp"
#include "lowering/pte.hpp"
#include "lowering/pte_reader.hpp"
#include "ops/qdq/qdq.hpp"
#include "partitioner/explain.hpp"
#include "partitioner/partitioner.hpp"
#include "program_view.hpp"
#include "search/macs.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::string model;
  RunOptions run;
  bool nodes = false;
  bool ranges = false;
  bool steps = false;
};

std::uint64_t elements(const Graph& graph, ValueId id) {
  return static_cast<std::uint64_t>(numel(graph.value(id).type.shape));
}

struct OperatorCount {
  std::uint64_t nodes = 0;
  std::uint64_t macs = 0;
};

struct Summary {
  std::map<std::string, OperatorCount> operators;
  std::uint64_t parameters = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
};

Summary summarize(const Graph& graph) {
  Summary out;
  std::set<const void*> counted;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    OperatorCount& count =
        out.operators[node.target.empty() ? std::string(to_string(node.op)) : node.target];
    const std::uint64_t macs = macs_of(graph, node);
    ++count.nodes;
    count.macs += macs;
    out.macs += macs;
    for (const ValueId input : node.inputs) {
      if (input == kNone || !graph.value(input).is_constant()) continue;
      if (!counted.insert(graph.value(input).data.get()).second) continue;
      out.parameters += elements(graph, input);
      out.parameter_bytes += graph.value(input).data->size();
    }
  }
  return out;
}

// A value that is quantized, by name, and how.
struct Range {
  std::string name;
  std::string module_path;  // that computes it, or reads the weight
  bool weight = false;
  QuantParams params;

  // The real value of the smallest or largest integer.
  [[nodiscard]] float real(std::int32_t quantized) const {
    return static_cast<float>(quantized - params.zero_point()) * params.scale();
  }
};

// Path of the module that computes the value `id`, or that reads it when nothing computes it.
std::string module_of(const Graph& graph, ValueId id) {
  if (const Node* const producer = graph.producer(id)) return module_path(producer->origin);
  // A constant is read behind its quantize and dequantize.
  for (std::vector<NodeId> users = graph.users(id); !users.empty();) {
    const Node& reader = graph.node(users.front());
    if (reader.op != Op::Quantize && reader.op != Op::Dequantize) return module_path(reader.origin);
    users = graph.users(reader.outputs[0]);
  }
  return {};
}

// Those whose scales are in the program.
std::vector<Range> ranges_of(const ExportedProgram& program) {
  const Graph& graph = program.graph();
  const auto& qualified = program.state().qualified_names;
  std::vector<Range> out;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != Op::Quantize && node.op != Op::Dequantize) continue;
    const Value& operand = graph.value(node.inputs[0]);
    if (node.op == Op::Dequantize && !operand.is_constant()) continue;
    auto params = quant_params(graph, node);
    if (!params.ok()) continue;
    const auto name = qualified.find(operand.name);
    const bool weight = operand.is_constant();
    out.push_back({name == qualified.end() ? operand.name : name->second,
                   module_of(graph, node.inputs[0]), weight, std::move(params).value()});
  }
  return out;
}

std::pair<float, float> smallest_and_largest_scale(const Range& range) {
  const auto [smallest, largest] = std::ranges::minmax_element(range.params.scales);
  return {*smallest, *largest};
}

Json range_json(const Range& range) {
  Json row = {{"value", range.name},
              {"module", range.module_path},
              {"kind", range.weight ? "weight" : "activation"},
              {"quant_min", range.params.quant_min},
              {"quant_max", range.params.quant_max}};
  if (range.params.per_tensor()) {
    row["scale"] = range.params.scale();
    row["zero_point"] = range.params.zero_point();
    row["min"] = range.real(range.params.quant_min);
    row["max"] = range.real(range.params.quant_max);
    return row;
  }
  const auto [smallest, largest] = smallest_and_largest_scale(range);
  row["axis"] = range.params.axis;
  row["channels"] = range.params.scales.size();
  row["smallest_scale"] = smallest;
  row["largest_scale"] = largest;
  row["scales"] = range.params.scales;
  return row;
}

void print_ranges(const std::vector<Range>& ranges) {
  Table table({"value", "module", "kind", "scale", "zero point", "smallest", "largest"});
  for (const Range& range : ranges) {
    const char* const kind = range.weight ? "weight" : "activation";
    if (range.params.per_tensor()) {
      table.add({range.name, range.module_path, kind, str(range.params.scale()),
                 str(range.params.zero_point()), str(range.real(range.params.quant_min)),
                 str(range.real(range.params.quant_max))});
      continue;
    }
    const auto [smallest, largest] = smallest_and_largest_scale(range);
    const auto bound = static_cast<float>(range.params.quant_max);
    table.add({range.name, range.module_path,
               str(kind, ", ", range.params.scales.size(), " channels"),
               str(smallest, " to ", largest), "0", str(-bound * largest), str(bound * largest)});
  }
  table.print();
}

Json program_json(const Program& program, const ProgramView& view, std::size_t payload_bytes,
                  bool with_steps) {
  Json out = {{"isa", program.isa()},
              {"payload_bytes", payload_bytes},
              {"constant_bytes", view.constant_bytes},
              {"arena_bytes", program.arena_bytes()},
              {"macs", view.macs},
              {"step_count", program.steps().size()}};
  if (!with_steps) return out;
  Json steps = Json::array();
  for (std::size_t i = 0; i < view.steps.size(); ++i) {
    const StepInfo& info = program.steps()[i];
    const StepView& step = view.steps[i];
    steps.push_back({{"name", info.name},
                     {"op", info.op},
                     {"kernel", info.kernel},
                     {"module", info.module_path},
                     {"source", info.source},
                     {"output", step.output},
                     {"storage", step.storage},
                     {"offset", step.offset},
                     {"bytes", step.bytes},
                     {"macs", step.macs}});
  }
  out["steps"] = std::move(steps);
  return out;
}

void print_program(const Program& program, const ProgramView& view, std::size_t payload_bytes,
                   bool with_steps) {
  std::cout << "program: " << program.steps().size() << " steps, " << byte_text(payload_bytes)
            << " (" << byte_text(view.constant_bytes) << " of constants), arena "
            << byte_text(program.arena_bytes()) << ", "
            << decimal(static_cast<double>(view.macs) / 1e6) << " million MACs, kernels for "
            << program.isa() << '\n';
  if (!with_steps) return;
  Table table(
      {"step", "module", "operator", "kernel", "result", "bytes", "place", "kMACs", "line"});
  for (std::size_t i = 0; i < view.steps.size(); ++i) {
    const StepInfo& info = program.steps()[i];
    const StepView& step = view.steps[i];
    table.add({info.name, info.module_path, info.op, info.kernel, step.output, str(step.bytes),
               step.storage == "arena" ? str("arena+", step.offset) : step.storage,
               str(step.macs / 1000), info.source});
  }
  table.print();
}

void print_types(std::string_view what, const std::vector<NamedType>& named) {
  for (const NamedType& item : named) {
    std::cout << what << ' ' << item.name << ": " << to_string(item.type) << '\n';
  }
}

Status inspect_archive(const Options& options) {
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  const Graph& graph = program.graph();
  const Summary summary = summarize(graph);
  const Partitioning partitioning = partition(graph);
  const std::vector<Explanation> rows = explain(graph, partitioning);
  const bool quantized = is_quantized(program);
  RunOptions run = options.run;
  run.source_lines = options.steps;
  const Result<Runner> runner =
      Runner::open(program, quantized ? Execution::Integer : Execution::Qdq, run);
  std::optional<ProgramView> view;
  if (runner.ok()) {
    ENN_ASSIGN(view, view_program(runner.value().payload()));
  }
  std::vector<Explanation> refused;
  for (const Explanation& row : rows) {
    if (!row.reason.empty()) refused.push_back(row);
  }
  const std::vector<Range> ranges = ranges_of(program);
  if (options.run.json) {
    Json operators = Json::object();
    for (const auto& [name, count] : summary.operators) {
      operators[name] = {{"nodes", count.nodes}, {"macs", count.macs}};
    }
    Json range_rows = Json::array();
    for (const Range& range : ranges) range_rows.push_back(range_json(range));
    Json out = {
        {"model", options.model},
        {"quantized", quantized},
        {"inputs", to_json(program.inputs())},
        {"outputs", to_json(program.outputs())},
        {"parameters", summary.parameters},
        {"parameter_bytes", summary.parameter_bytes},
        {"macs", summary.macs},
        {"operators", std::move(operators)},
        {"ranges", std::move(range_rows)},
        {"partitions", partitioning.count},
        {"nodes", Json::parse(enn::to_json(options.nodes ? rows : refused), nullptr, false)}};
    if (view) {
      out["program"] = program_json(runner.value().program(), *view,
                                    runner.value().payload().size(), options.steps);
    } else {
      out["program"] = {{"reason", runner.status().message()}};
    }
    print_json(out);
    return {};
  }
  std::cout << options.model << ": archive of torch.export, " << (quantized ? "quantized" : "float")
            << '\n';
  print_types("input", program.inputs());
  print_types("output", program.outputs());
  std::cout << summary.parameters << " parameters (" << byte_text(summary.parameter_bytes) << "), "
            << decimal(static_cast<double>(summary.macs) / 1e6) << " million MACs\n\n";
  Table operators({"operator", "nodes", "kMACs"});
  for (const auto& [name, count] : summary.operators) {
    operators.add({name, str(count.nodes), str(count.macs / 1000)});
  }
  operators.print();
  std::cout << '\n'
            << partitioning.count << " partition(s), " << refused.size() << " thing(s) left out\n";
  if (options.nodes) {
    std::cout << to_table(rows);
  } else if (!refused.empty()) {
    std::cout << to_table(refused);
  }
  if (options.ranges) {
    std::cout << '\n';
    print_ranges(ranges);
  }
  std::cout << '\n';
  if (view) {
    print_program(runner.value().program(), *view, runner.value().payload().size(), options.steps);
  } else {
    std::cout << "not a program of its own: " << runner.status().message() << '\n';
  }
  return {};
}

Status inspect_program(const Options& options, FileKind kind, std::span<const std::byte> file) {
  std::vector<PteMethod> methods;
  if (kind == FileKind::Pte) {
    ENN_ASSIGN(methods, read_pte(file));
  } else {
    methods.emplace_back().delegates.push_back({std::string(kDelegateName), {}, file});
  }
  std::vector<PteDelegate> delegates;
  std::vector<std::string> outside;
  for (const PteMethod& method : methods) {
    delegates.insert(delegates.end(), method.delegates.begin(), method.delegates.end());
    outside.insert(outside.end(), method.operators.begin(), method.operators.end());
  }
  Json out = {{"model", options.model},
              {"bytes", file.size()},
              {"operators_outside", outside},
              {"delegates", Json::array()}};
  if (!options.run.json) {
    std::cout << options.model << ": " << byte_text(file.size()) << ", " << delegates.size()
              << " delegate(s), " << outside.size() << " operator call(s) outside\n";
  }
  for (const PteDelegate& delegate : delegates) {
    Json entry = {{"backend", delegate.id}, {"payload_bytes", delegate.payload.size()}};
    if (delegate.id != kDelegateName) {
      if (!options.run.json) std::cout << "delegate of " << printable_text(delegate.id) << '\n';
      out["delegates"].push_back(std::move(entry));
      continue;
    }
    ENN_ASSIGN(const Runner runner, Runner::open(delegate.payload, options.run));
    ENN_ASSIGN(const ProgramView view, view_program(delegate.payload));
    entry["inputs"] = to_json(runner.inputs());
    entry["outputs"] = to_json(runner.outputs());
    entry["program"] = program_json(runner.program(), view, delegate.payload.size(), options.steps);
    out["delegates"].push_back(std::move(entry));
    if (options.run.json) continue;
    print_types("input", runner.inputs());
    print_types("output", runner.outputs());
    print_program(runner.program(), view, delegate.payload.size(), options.steps);
  }
  if (options.run.json) print_json(out);
  return {};
}

Status inspect(const Options& options) {
  const auto look = [&]() -> Status {
    {
      ENN_ASSIGN(const MappedFile file, MappedFile::open(options.model));
      ENN_ASSIGN(const FileKind kind, kind_of(file.bytes()));
      if (kind != FileKind::Archive) return inspect_program(options, kind, file.bytes());
    }
    return inspect_archive(options);
  };
  Status status = look();
  if (status.ok() || status.message().find(options.model) != std::string::npos) return status;
  return error(status.code(), options.model, ": ", status.message());
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "inspect", "Show what is in a model: operators, MACs, ranges, partitions, memory plan");
  command.add_option("model", options->model, "Archive (.pt2), program (.pte) or payload")
      ->required();
  command.add_flag("--nodes", options->nodes, "Every node with what the partitioner decided");
  command.add_flag("--ranges", options->ranges, "Every quantized value's scale and range");
  command.add_flag("--steps", options->steps,
                   "Every step of the compiled program: kernel, result, "
                   "place in the arena");
  add_run_options(command, options->run);
  command.footer(
      "Examples:\n"
      "  enn inspect mobilenet_v2.pt2\n"
      "  enn inspect mobilenet_v2.pte --steps\n"
      "  enn inspect mobilenet_v2_a8w8.pt2 --json | jq .macs");
  command.callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace enn::tool
