#include <algorithm>
#include <iostream>
#include <optional>

#include "common.hpp"
#include "enn/repair.hpp"
#include "output.hpp"
#include "quantize_within.hpp"
#include "quantizer_options.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::string model;
  std::string output;
  std::string pte;
  QuantizerArguments quantizer;
  bool source_lines = false;
  std::string save_config;
  std::string save_statistics;
  std::string save_encodings;
  bool aimet = false;
  SearchArguments search;
  DataArguments data;
  RunOptions run;
};

std::vector<Output> outputs_of(const Options& options) {
  return {{"--output", options.output},
          {"--pte", options.pte},
          {"--save-recipe", options.save_config},
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
  return check_outputs(
      outputs, {options.model, options.data.path, options.search.evaluation, options.search.file},
      options.run.json);
}

Status write_model(const Options& options, const QuantizedModel& quantized) {
  if (!options.output.empty()) {
    ENN_ASSIGN(const std::vector<std::byte> archive, quantized.exported_program().serialize());
    ENN_TRY(write_output(options.output, archive));
  }
  if (!options.save_encodings.empty()) {
    ENN_TRY(write_output(options.save_encodings,
                         options.aimet ? quantized.aimet_encodings() : quantized.encodings()));
  }
  if (options.pte.empty()) return {};
  std::vector<CompileSpec> specs;
  if (options.source_lines) specs.push_back(source_lines_compile_spec());
  ENN_ASSIGN(const EdgeProgram edge, to_edge_transform_and_lower(quantized.exported_program(),
                                                                 EnnPartitioner(std::move(specs))));
  ENN_ASSIGN(const ExecutorchProgram lowered, edge.to_executorch());
  return write_output(options.pte, lowered.bytes());
}

Status quantize_by_search(const Options& options, const ExportedProgram& program,
                          const EnnQuantizer& quantizer) {
  if (!options.save_statistics.empty() || !options.quantizer.resume.empty() ||
      !options.quantizer.encodings.empty()) {
    return error(
        Code::InvalidArgument,
        "--max-drop calibrates many times: --resume, --encodings and --save-statistics are "
        "for one calibration; run with the recipe that it saves");
  }
  ENN_ASSIGN(const SearchResult result,
             search(program, quantizer, options.search, options.data, options.run));
  print_warnings(result.quantized);
  if (!options.save_config.empty())
    ENN_TRY(write_output(options.save_config, result.outcome.recipe()));
  ENN_TRY(write_model(options, result.quantized));
  if (options.run.json) {
    Json report = outcome_json(result);
    report["output"] = options.output;
    report["pte"] = options.pte;
    report["encodings_hash"] = result.quantized.encodings_hash();
    print_json(report);
  } else {
    print_outcome(report_stream(outputs_of(options)), result);
  }
  return {};
}

Status report_model(const Options& options, const QuantizedModel& quantized,
                    std::uint64_t observed) {
  const std::string hash = quantized.encodings_hash();
  if (options.run.json) {
    print_json({{"output", options.output},
                {"pte", options.pte},
                {"samples", observed},
                {"encodings_hash", hash}});
    return {};
  }
  std::ostream& report = report_stream(outputs_of(options));
  for (const std::string& path : {options.output, options.pte, options.save_encodings}) {
    if (!path.empty()) report << path << '\n';
  }
  report << observed << " calls observed; encodings " << hash << '\n';
  return {};
}

Status quantize_with_repairs(const Options& options, const ExportedProgram& program,
                             const EnnQuantizer& quantizer, const ModelOptions& model_options) {
  if (!options.save_statistics.empty() || !options.quantizer.resume.empty() ||
      !options.quantizer.encodings.empty()) {
    return error(Code::InvalidArgument,
                 "--repair looks at the samples several times and changes weights: --resume, "
                 "--encodings and --save-statistics are for a calibration without it");
  }
  if (options.data.path.empty())
    return error(Code::InvalidArgument, "--repair needs samples: give --calibration");
  std::uint64_t observed = 0;
  const FeedSamples feed = [&](const RunModel& model, std::size_t most) {
    std::uint64_t calls = 0;
    const RunModel counted = [&](std::span<const TensorView> inputs) {
      ++calls;
      return model(inputs);
    };
    ENN_TRY(feed_samples(program, options.data, counted, most, /*shown=*/most == 0));
    observed = std::max(observed, calls);
    return Status();
  };
  std::optional<Progress> progress;
  const auto show = [&](std::size_t done, std::size_t count) {
    if (!progress) progress.emplace("searching ranges", count);
    if (done > 0) progress->advance();
    if (done == count) progress.reset();
  };
  ENN_ASSIGN(const QuantizedModel quantized,
             quantize_repaired(program, quantizer, feed, model_options, show));
  print_warnings(quantized);
  ENN_TRY(write_model(options, quantized));
  return report_model(options, quantized, observed);
}

Status quantize(const Options& options) {
  ENN_TRY(check_files(options));
  ENN_TRY(check_search_options(options.search));
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  ENN_ASSIGN(const EnnQuantizer quantizer, make_quantizer(program.graph(), options.quantizer));
  if (options.search.wanted()) return quantize_by_search(options, program, quantizer);
  if (!options.save_config.empty()) {
    ENN_TRY(write_output(options.save_config, quantizer.to_json()));
  }
  const bool model_is_written =
      !options.output.empty() || !options.pte.empty() || !options.save_encodings.empty();
  if (!model_is_written && options.save_statistics.empty()) return {};
  if (options.data.path.empty() && options.quantizer.resume.empty() &&
      options.quantizer.encodings.empty()) {
    return error(Code::InvalidArgument,
                 "ranges need data: give --calibration, --resume or --encodings");
  }
  ModelOptions model_options;
  model_options.threads = options.run.threads;
  model_options.isa = options.run.isa;
  if (quantizer.repairs()) return quantize_with_repairs(options, program, quantizer, model_options);
  ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(program, quantizer, model_options));
  ENN_TRY(take_ranges(options.quantizer, prepared));
  if (!options.data.path.empty()) {
    ENN_TRY(calibrate(prepared, program, options.data));
  }
  if (!options.save_statistics.empty()) {
    ENN_TRY(write_output(options.save_statistics, prepared.statistics()));
  }
  if (!model_is_written) return {};
  ENN_ASSIGN(const QuantizedModel quantized, convert_pt2e(prepared));
  print_warnings(quantized);
  ENN_TRY(write_model(options, quantized));
  return report_model(options, quantized, prepared.samples());
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
  add_quantizer_options(command, options->quantizer);
  command
      .add_option("--save-recipe,--save-config", options->save_config,
                  "Write the configuration, for --recipe or Python's EnnQuantizer.load_recipe")
      ->group("Quantization");
  command
      .add_option("--save-statistics", options->save_statistics,
                  "Write what the observers saw (JSON)")
      ->group("Ranges");
  command
      .add_option("--save-encodings", options->save_encodings,
                  "Write scale, zero point and range of each value (JSON)")
      ->group("Ranges");
  command.add_flag("--aimet", options->aimet, "Write encodings in AIMET's format")->group("Ranges");
  add_search_options(command, options->search);
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
      "      --observer 'aten.linear.default=mse' --exclude classifier\n"
      "  enn quantize model.pt2 -o q.pt2 --calibration photos/ --repair\n"
      "  enn quantize model.pt2 -o q.pt2 --calibration train/ --evaluation-data val/ \\\n"
      "      --max-drop 0.01 --save-recipe recipe.json");
  command.callback([options, &action] { action = [options] { return quantize(*options); }; });
}

}  // namespace enn::tool
