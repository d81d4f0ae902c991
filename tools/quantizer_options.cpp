#include "quantizer_options.hpp"

#include <algorithm>
#include <charconv>
#include <iostream>

#include "base/file_io.hpp"
#include "base/printable.hpp"
#include "base/regex.hpp"
#include "ir/graph.hpp"
#include "quantizer/overrides.hpp"

namespace enn::tool {
namespace {

Result<std::string> read_text(const std::string& path) {
  ENN_ASSIGN(const std::vector<std::byte> bytes, read_file(path));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status in_file(const std::string& path, const Status& status) {
  return status.ok() ? status : error(status.code(), path, ": ", status.message());
}

// What --exclude and --observer name: an operator where there is one of that name, else nodes by
// name, else modules of the eager model by path or class.
enum class Subject : std::uint8_t { Operator, Node, Module };

Result<Subject> subject_of(const Graph& graph, std::string_view option, std::string_view pattern) {
  if (EnnQuantizer().exclude_operator(pattern).ok()) return Subject::Operator;
  ENN_TRY(check_pattern(module_selector(pattern).module));
  bool is_module = false;
  for (const NodeId id : graph.order()) {
    if (matches(pattern, graph.node(id).name)) return Subject::Node;
    is_module = is_module || is_selected(graph.node(id), pattern);
  }
  if (is_module) return Subject::Module;
  const bool is_input = std::ranges::any_of(
      graph.inputs(), [&](ValueId id) { return matches(pattern, graph.value(id).name); });
  if (is_input && option == "--observer") return Subject::Node;
  return error(Code::InvalidArgument, option, " '", printable_text(pattern),
               "' matches nothing in the model: no operator (aten.conv2d.default), no node "
               "(conv2d_1), no module by path (features.0.conv) or class (torch.nn.Linear)");
}

// "histogram", or "SUBJECT=OBSERVER" as in "features.0=mse".
Status apply_observer(const Graph& graph, std::string_view text, EnnQuantizer& quantizer) {
  const std::size_t split = text.rfind('=');
  if (split == std::string_view::npos) return quantizer.set_observer(text);
  const std::string_view pattern = text.substr(0, split);
  const std::string_view observer = text.substr(split + 1);
  ENN_ASSIGN(const Subject subject, subject_of(graph, "--observer", pattern));
  switch (subject) {
    case Subject::Operator:
      return quantizer.set_observer_for_operator(pattern, observer);
    case Subject::Node:
      return quantizer.set_observer_for_node(pattern, observer);
    case Subject::Module:
      return quantizer.set_observer_for_module(pattern, observer);
  }
  return {};
}

Status apply_guard(const std::string& text, EnnQuantizer& quantizer) {
  if (text == "off") return quantizer.set_guard(std::nullopt);
  double least = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), least);
  if (code != std::errc() || end != text.data() + text.size()) {
    return error(Code::InvalidArgument, "--guard '", printable_text(text),
                 "' is neither a number of dB nor off");
  }
  return quantizer.set_guard(least);
}

Status exclude(const Graph& graph, std::string_view pattern, EnnQuantizer& quantizer) {
  ENN_ASSIGN(const Subject subject, subject_of(graph, "--exclude", pattern));
  if (subject == Subject::Operator) return quantizer.exclude_operator(pattern);
  if (subject == Subject::Node) quantizer.exclude_node(pattern);
  if (subject == Subject::Module) quantizer.exclude_module(pattern);
  return {};
}

}  // namespace

void add_quantizer_options(CLI::App& command, QuantizerArguments& options) {
  std::string names;
  for (const std::string_view name : observer_names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  command
      .add_option("--observer", options.observers,
                  "How ranges of activations are found: " + names +
                      "; for all, or as SUBJECT=OBSERVER for an operator "
                      "(aten.conv2d.default), a pattern of node names (conv2d_*), or modules by "
                      "path (features.0.*) or class (torch.nn.Linear). Repeatable")
      ->group("Quantization");
  command.add_flag("--per-tensor", options.per_tensor, "One scale per weight, not one per channel")
      ->group("Quantization");
  command
      .add_flag("--no-bias-correction", options.keep_biases,
                "Leave the biases as they are, whatever rounding the weights does to the means")
      ->group("Quantization");
  command
      .add_option("--weight-rounding", options.weight_rounding,
                  "How weights are rounded: nearest, or learned from the calibration data")
      ->group("Quantization");
  command
      .add_flag("--repair", options.repair,
                "Equalize channels, learn the rounding of weights, and choose ranges by the error "
                "of the outputs: takes minutes")
      ->group("Quantization");
  command
      .add_option("--guard", options.guard,
                  "Leave in float what 8 bits destroy: layers of less signal over noise than so "
                  "many dB; or off")
      ->group("Quantization");
  command
      .add_option("--exclude", options.excluded,
                  "Leave in float: an operator, a pattern of node names, modules by path "
                  "(features.0.conv) or class (torch.nn.Linear), or an operator in them "
                  "(features.0:convolution). 're:' begins a regular expression. Repeatable")
      ->group("Quantization");
  command
      .add_flag("--upstream", options.upstream,
                "Place quantization exactly as upstream's quantizer does")
      ->group("Quantization");
  command
      .add_option("--recipe,--config", options.config,
                  "The quantizer's configuration (JSON): what --save-recipe or to_json() wrote, or "
                  "as docs/recipes.md describes; other options add to it")
      ->group("Quantization");
  command
      .add_option("--resume", options.resume,
                  "Begin with statistics of earlier runs; several are merged. Repeatable")
      ->group("Ranges");
  command
      .add_option("--encodings", options.encodings,
                  "Take ranges from a file: ours or AIMET's encodings (JSON)")
      ->group("Ranges");
}

Result<EnnQuantizer> make_quantizer(const Graph& graph, const QuantizerArguments& options) {
  EnnQuantizer quantizer(options.upstream ? Compatibility::Upstream : Compatibility::Default);
  quantizer.set_quant_params(Precision::A8W8, !options.per_tensor, false);
  if (!options.config.empty()) {
    ENN_ASSIGN(const std::string text, read_text(options.config));
    auto parsed = EnnQuantizer::from_json(text);
    if (!parsed.ok()) return in_file(options.config, parsed.status());
    quantizer = std::move(parsed).value();
  }
  if (options.keep_biases) quantizer.set_bias_correction(false);
  if (!options.weight_rounding.empty()) {
    ENN_TRY(quantizer.set_weight_rounding(options.weight_rounding));
  }
  if (options.repair) quantizer.set_repair(true);
  if (!options.guard.empty()) ENN_TRY(apply_guard(options.guard, quantizer));
  for (const std::string& observer : options.observers) {
    ENN_TRY(apply_observer(graph, observer, quantizer));
  }
  for (const std::string& excluded : options.excluded) {
    ENN_TRY(exclude(graph, excluded, quantizer));
  }
  for (const std::string& op : quantizer.absent_operators(graph)) {
    std::cerr << "enn: a setting names the operator '" << op
              << "', which the model does not have\n";
  }
  return quantizer;
}

void print_warnings(const QuantizedModel& quantized) {
  for (const std::string& warning : quantized.warnings()) std::cerr << "enn: " << warning << '\n';
}

Status take_ranges(const QuantizerArguments& options, PreparedModel& prepared) {
  for (const std::string& path : options.resume) {
    ENN_ASSIGN(const std::string text, read_text(path));
    ENN_TRY(in_file(path, prepared.merge_statistics(text)));
  }
  if (!options.encodings.empty()) {
    ENN_ASSIGN(const std::string text, read_text(options.encodings));
    ENN_TRY(in_file(options.encodings, prepared.set_encodings(text)));
  }
  return {};
}

Status feed_samples(const ExportedProgram& program, const DataArguments& data_arguments,
                    const RunModel& run, std::size_t most_calls, bool shown) {
  ENN_ASSIGN(Dataset data,
             Dataset::open(data_arguments.path, program.inputs(), data_arguments.options));
  const std::uint64_t whole = data.samples() / data.batch_size();
  if (whole == 0) {
    return error(Code::InvalidArgument, data_arguments.path, " holds ", data.samples(),
                 " samples, fewer than the model's batch of ", data.batch_size());
  }
  std::optional<Progress> progress;
  if (shown) progress.emplace("calibrating", whole * data.batch_size());
  // Rows that only fill a batch would be seen twice.
  const std::uint64_t step = most_calls == 0 ? 1 : std::max<std::uint64_t>(1, whole / most_calls);
  std::size_t calls = 0;
  for (std::uint64_t i = 0; (i + 1) * data.batch_size() <= data.samples(); i += step) {
    if (most_calls > 0 && calls++ == most_calls) break;
    ENN_ASSIGN(const Batch batch, data.batch(i));
    if (batch.count < data.batch_size()) break;
    std::vector<TensorView> views;
    for (const Tensor& input : batch.inputs) views.push_back(input.view());
    ENN_TRY(run(views).status());
    if (progress) progress->advance(batch.count);
  }
  progress.reset();
  if (shown) report_skipped(data);
  return {};
}

Status calibrate(PreparedModel& prepared, const ExportedProgram& program,
                 const DataArguments& data_arguments) {
  return feed_samples(
      program, data_arguments, [&](std::span<const TensorView> inputs) { return prepared(inputs); },
      0, /*shown=*/true);
}

}  // namespace enn::tool
