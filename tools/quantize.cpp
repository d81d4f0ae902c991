#include <algorithm>
#include <iostream>

#include "base/file_io.hpp"
#include "base/printable.hpp"
#include "common.hpp"
#include "ir/graph.hpp"
#include "output.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::string model;
  std::string output;
  std::string pte;
  std::string config;
  std::vector<std::string> observers;
  std::vector<std::string> excluded;
  bool per_tensor = false;
  bool upstream = false;
  bool keep_biases = false;
  bool source_lines = false;
  std::string save_config;
  std::string save_statistics;
  std::vector<std::string> resume;
  std::string encodings;
  std::string save_encodings;
  bool aimet = false;
  DataArguments data;
  RunOptions run;
};

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
  bool is_module = false;
  for (const NodeId id : graph.order()) {
    if (matches(pattern, graph.node(id).name)) return Subject::Node;
    is_module = is_module || in_module(graph.node(id).origin, pattern);
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

Status exclude(const Graph& graph, std::string_view pattern, EnnQuantizer& quantizer) {
  ENN_ASSIGN(const Subject subject, subject_of(graph, "--exclude", pattern));
  if (subject == Subject::Operator) return quantizer.exclude_operator(pattern);
  if (subject == Subject::Node) quantizer.exclude_node(pattern);
  if (subject == Subject::Module) quantizer.exclude_module(pattern);
  return {};
}

Result<EnnQuantizer> make_quantizer(const Graph& graph, const Options& options) {
  EnnQuantizer quantizer(options.upstream ? Compatibility::Upstream : Compatibility::Default);
  quantizer.set_quant_params(Precision::A8W8, !options.per_tensor, false);
  if (!options.config.empty()) {
    ENN_ASSIGN(const std::string text, read_text(options.config));
    auto parsed = EnnQuantizer::from_json(text);
    if (!parsed.ok()) return in_file(options.config, parsed.status());
    quantizer = std::move(parsed).value();
  }
  if (options.keep_biases) quantizer.set_bias_correction(false);
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

Status calibrate(PreparedModel& prepared, const ExportedProgram& program, const Options& options) {
  ENN_ASSIGN(Dataset data,
             Dataset::open(options.data.path, program.inputs(), options.data.options));
  const std::uint64_t whole = data.samples() / data.batch_size();
  if (whole == 0) {
    return error(Code::InvalidArgument, options.data.path, " holds ", data.samples(),
                 " samples, fewer than the model's batch of ", data.batch_size());
  }
  // Rows that only fill a batch would be seen twice.
  Progress progress("calibrating", whole * data.batch_size());
  for (std::uint64_t i = 0; (i + 1) * data.batch_size() <= data.samples(); ++i) {
    ENN_ASSIGN(const Batch batch, data.batch(i));
    if (batch.count < data.batch_size()) break;
    std::vector<TensorView> views;
    for (const Tensor& input : batch.inputs) views.push_back(input.view());
    ENN_TRY(prepared(views).status());
    progress.advance(batch.count);
  }
  report_skipped(data);
  return {};
}

std::vector<Output> outputs_of(const Options& options) {
  return {{"--output", options.output},
          {"--pte", options.pte},
          {"--save-config", options.save_config},
          {"--save-statistics", options.save_statistics},
          {"--save-encodings", options.save_encodings}};
}

Status check_files(const Options& options) {
  const std::vector<Output> outputs = outputs_of(options);
  if (std::ranges::all_of(outputs, [](const Output& output) { return output.path.empty(); })) {
    return error(Code::InvalidArgument,
                 "nothing to write: give --output, --pte, --save-statistics or --save-encodings");
  }
  // Statistics, encodings and a configuration are read as a whole before anything is written: they
  // may be continued in place.
  return check_outputs(outputs, {options.model, options.data.path}, options.run.json);
}

Status quantize(const Options& options) {
  ENN_TRY(check_files(options));
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  ENN_ASSIGN(const EnnQuantizer quantizer, make_quantizer(program.graph(), options));
  if (!options.save_config.empty()) {
    ENN_TRY(write_output(options.save_config, quantizer.to_json()));
  }
  const bool model_is_written =
      !options.output.empty() || !options.pte.empty() || !options.save_encodings.empty();
  if (!model_is_written && options.save_statistics.empty()) return {};
  if (options.data.path.empty() && options.resume.empty() && options.encodings.empty()) {
    return error(Code::InvalidArgument,
                 "ranges need data: give --calibration, --resume or --encodings");
  }
  ModelOptions model_options;
  model_options.threads = options.run.threads;
  model_options.isa = options.run.isa;
  ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(program, quantizer, model_options));
  for (const std::string& path : options.resume) {
    ENN_ASSIGN(const std::string text, read_text(path));
    ENN_TRY(in_file(path, prepared.merge_statistics(text)));
  }
  if (!options.encodings.empty()) {
    ENN_ASSIGN(const std::string text, read_text(options.encodings));
    ENN_TRY(in_file(options.encodings, prepared.set_encodings(text)));
  }
  if (!options.data.path.empty()) {
    ENN_TRY(calibrate(prepared, program, options));
  }
  if (!options.save_statistics.empty()) {
    ENN_TRY(write_output(options.save_statistics, prepared.statistics()));
  }
  if (!model_is_written) return {};
  ENN_ASSIGN(const QuantizedModel quantized, convert_pt2e(prepared));
  if (!options.output.empty()) {
    ENN_ASSIGN(const std::vector<std::byte> archive, quantized.exported_program().serialize());
    ENN_TRY(write_output(options.output, archive));
  }
  if (!options.save_encodings.empty()) {
    ENN_TRY(write_output(options.save_encodings,
                         options.aimet ? quantized.aimet_encodings() : quantized.encodings()));
  }
  if (!options.pte.empty()) {
    std::vector<CompileSpec> specs;
    if (options.source_lines) specs.push_back(source_lines_compile_spec());
    ENN_ASSIGN(const EdgeProgram edge,
               to_edge_transform_and_lower(quantized.exported_program(),
                                           EnnPartitioner(std::move(specs))));
    ENN_ASSIGN(const ExecutorchProgram lowered, edge.to_executorch());
    ENN_TRY(write_output(options.pte, lowered.bytes()));
  }
  const std::string hash = quantized.encodings_hash();
  if (options.run.json) {
    print_json({{"output", options.output},
                {"pte", options.pte},
                {"samples", prepared.samples()},
                {"encodings_hash", hash}});
  } else {
    std::ostream& report = report_stream(outputs_of(options));
    for (const std::string& path : {options.output, options.pte, options.save_encodings}) {
      if (!path.empty()) report << path << '\n';
    }
    report << prepared.samples() << " calls observed; encodings " << hash << '\n';
  }
  return {};
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "quantize", "Calibrate a float model and make an 8-bit one of it (.pt2 that PyTorch loads)");
  command.add_option("model", options->model, "Archive of torch.export (.pt2)")->required();
  command.add_option("-o,--output", options->output,
                     "The quantized archive to write; - is standard output");
  command.add_option("--pte", options->pte, "Write ExecuTorch's program (.pte) too");
  command.add_flag("--source-lines", options->source_lines,
                   "Write each step's line of the eager model into the .pte");
  std::string names;
  for (const std::string_view name : observer_names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  command
      .add_option("--observer", options->observers,
                  "How ranges of activations are found: " + names +
                      "; for all, or as SUBJECT=OBSERVER for an operator "
                      "(aten.conv2d.default), a pattern of node names (conv2d_*), or modules by "
                      "path (features.0.*) or class (torch.nn.Linear). Repeatable")
      ->group("Quantization");
  command
      .add_flag("--per-tensor", options->per_tensor, "One scale per weight, not one per channel")
      ->group("Quantization");
  command
      .add_flag("--no-bias-correction", options->keep_biases,
                "Leave the biases as they are, whatever rounding the weights does to the means")
      ->group("Quantization");
  command
      .add_option("--exclude", options->excluded,
                  "Leave in float: an operator, a pattern of node names, or modules by path "
                  "(features.0.conv) or class (torch.nn.Linear). Repeatable")
      ->group("Quantization");
  command
      .add_flag("--upstream", options->upstream,
                "Place quantization exactly as upstream's quantizer does")
      ->group("Quantization");
  command.add_option("--config", options->config, "The quantizer's configuration (JSON)")
      ->group("Quantization");
  command.add_option("--save-config", options->save_config, "Write that configuration")
      ->group("Quantization");
  command
      .add_option("--save-statistics", options->save_statistics,
                  "Write what the observers saw (JSON)")
      ->group("Ranges");
  command
      .add_option("--resume", options->resume,
                  "Begin with statistics of earlier runs; several are merged. Repeatable")
      ->group("Ranges");
  command
      .add_option("--encodings", options->encodings,
                  "Take ranges from a file: ours or AIMET's encodings (JSON)")
      ->group("Ranges");
  command
      .add_option("--save-encodings", options->save_encodings,
                  "Write scale, zero point and range of each value (JSON)")
      ->group("Ranges");
  command.add_flag("--aimet", options->aimet, "Write encodings in AIMET's format")->group("Ranges");
  add_data_options(command, options->data, "--calibration,--data", "Samples to calibrate on",
                   false);
  add_run_options(command, options->run);
  command.footer(
      "Examples:\n"
      "  enn quantize mobilenet_v2.pt2 -o mobilenet_v2_a8w8.pt2 --calibration photos/ \\\n"
      "      --resize 256 --crop 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --threads 2\n"
      "  enn quantize model.pt2 --calibration part1.npy --save-statistics part1.json\n"
      "  enn quantize model.pt2 --resume part1.json --resume part2.json -o model_a8w8.pt2\n"
      "  enn quantize model.pt2 -o q.pt2 --calibration c.npz --observer histogram \\\n"
      "      --observer 'aten.linear.default=mse' --exclude classifier");
  command.callback([options, &action] { action = [options] { return quantize(*options); }; });
}

}  // namespace enn::tool
