#include <iostream>

#include "base/closeness.hpp"
#include "base/file_io.hpp"
#include "common.hpp"
#include "data/array.hpp"
#include "output.hpp"
#include "quantizer_options.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> others;
  std::string save_json;
  std::string html;
  std::size_t layers = 20;
  std::size_t sensitivity = 0;
  QuantizerArguments quantizer;
  DataArguments data;
  RunOptions run;
};

// A program beside the float model, and how far its outputs are from that one's.
struct OtherProgram {
  std::string name;
  Runner runner;
  std::vector<Closeness> outputs;
};

std::vector<Output> outputs_of(const Options& options) {
  return {{"--save-json", options.save_json}, {"--html", options.html}};
}

Status check_files(const Options& options) {
  std::vector<std::string> inputs = options.others;
  inputs.insert(inputs.end(), {options.model, options.data.path, options.quantizer.config,
                               options.quantizer.encodings});
  inputs.insert(inputs.end(), options.quantizer.resume.begin(), options.quantizer.resume.end());
  return check_outputs(outputs_of(options), inputs, options.run.json);
}

Result<FileKind> kind_of_file(const std::string& path) {
  ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
  auto kind = kind_of(file.bytes());
  if (!kind.ok()) return error(kind.status().code(), path, ": ", kind.status().message());
  return kind;
}

// The quantized archive, from a file or made here; nothing where there is only a program.
Result<std::optional<ExportedProgram>> quantized_model(const Options& options,
                                                       const ExportedProgram& program) {
  for (const std::string& path : options.others) {
    ENN_ASSIGN(const FileKind kind, kind_of_file(path));
    if (kind != FileKind::Archive) continue;
    ENN_ASSIGN(ExportedProgram quantized, load_archive(path));
    return std::optional(std::move(quantized));
  }
  if (!options.others.empty()) return std::optional<ExportedProgram>();
  ENN_ASSIGN(const EnnQuantizer quantizer, make_quantizer(program.graph(), options.quantizer));
  ModelOptions model_options;
  model_options.threads = options.run.threads;
  model_options.isa = options.run.isa;
  ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(program, quantizer, model_options));
  ENN_TRY(take_ranges(options.quantizer, prepared));
  if (options.quantizer.resume.empty() && options.quantizer.encodings.empty())
    ENN_TRY(calibrate(prepared, program, options.data));
  ENN_ASSIGN(const QuantizedModel quantized, convert_pt2e(prepared));
  print_warnings(quantized);
  return std::optional(quantized.exported_program());
}

Result<std::vector<OtherProgram>> open_programs(const Options& options,
                                                const ExportedProgram& program) {
  std::vector<OtherProgram> programs;
  for (const std::string& path : options.others) {
    ENN_ASSIGN(const FileKind kind, kind_of_file(path));
    if (kind == FileKind::Archive) continue;
    ENN_ASSIGN(std::vector<NamedRunner> runners, open_runners(path, options.run));
    Runner& runner = runners.front().runner;
    const auto same = [](const std::vector<NamedType>& a, const std::vector<NamedType>& b) {
      return std::ranges::equal(a, b, {}, &NamedType::type, &NamedType::type);
    };
    if (!same(runner.inputs(), program.inputs()) || !same(runner.outputs(), program.outputs())) {
      return error(Code::InvalidArgument, path, " has other inputs or outputs than ", options.model,
                   ": they are no two forms of one model");
    }
    programs.push_back({path, std::move(runner), std::vector<Closeness>(program.outputs().size())});
  }
  return programs;
}

Status compare_outputs(OtherProgram& other, std::span<const Tensor> inputs,
                       std::span<const Tensor> references) {
  ENN_ASSIGN(const std::vector<Tensor> outputs, other.runner.run(inputs));
  for (std::size_t i = 0; i < outputs.size(); ++i)
    other.outputs[i].add(to_doubles(references[i].view()), to_doubles(outputs[i].view()));
  return {};
}

Result<AnalysisReport> measure(const Options& options, const ExportedProgram& program) {
  ENN_ASSIGN(const auto quantized, quantized_model(options, program));
  ENN_ASSIGN(std::vector<OtherProgram> programs, open_programs(options, program));
  AnalysisOptions analysis_options;
  analysis_options.model.threads = options.run.threads;
  analysis_options.model.isa = options.run.isa;
  analysis_options.sensitivity_samples = options.sensitivity;
  std::optional<Analysis> analysis;
  std::optional<Runner> floats;
  if (quantized) {
    ENN_ASSIGN(analysis, Analysis::create(program, *quantized, analysis_options));
  } else {
    ENN_ASSIGN(floats, Runner::open(program, Execution::Qdq, options.run));
  }
  ENN_ASSIGN(Dataset data,
             Dataset::open(options.data.path, program.inputs(), options.data.options));
  std::uint64_t samples = 0;
  {
    Progress progress("analyzing", data.samples());
    for (std::uint64_t i = 0; i < data.batches(); ++i) {
      ENN_ASSIGN(const Batch batch, data.batch(i));
      // Rows that only fill a batch would be seen twice.
      if (batch.count == 0 || (batch.count < data.batch_size() && i > 0)) break;
      std::vector<TensorView> views;
      for (const Tensor& input : batch.inputs) views.push_back(input.view());
      ENN_ASSIGN(const std::vector<Tensor> references,
                 analysis ? (*analysis)(views) : floats->run(batch.inputs));
      for (OtherProgram& other : programs)
        ENN_TRY(compare_outputs(other, batch.inputs, references));
      ++samples;
      progress.advance(batch.count);
    }
  }
  report_skipped(data);
  if (samples == 0) return error(Code::InvalidArgument, options.data.path, " holds no sample");
  AnalysisReport report;
  report.samples = samples;
  if (analysis) {
    std::optional<Progress> progress;
    ENN_ASSIGN(report, analysis->report([&](std::size_t, std::size_t layers) {
      if (!progress) progress.emplace("measuring layers alone", layers);
      progress->advance();
    }));
  }
  for (const OtherProgram& other : programs) {
    std::vector<OutputAnalysis> outputs;
    for (std::size_t i = 0; i < other.outputs.size(); ++i) {
      const Closeness& closeness = other.outputs[i];
      outputs.push_back({program.outputs()[i].name,
                         {closeness.sqnr(), closeness.cosine(), closeness.max_difference()}});
    }
    report.programs.emplace_back(std::filesystem::path(other.name).filename().string(),
                                 std::move(outputs));
  }
  return report;
}

Status analyze(const Options& options) {
  ENN_TRY(check_files(options));
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  ENN_ASSIGN(const AnalysisReport report, measure(options, program));
  if (!options.save_json.empty()) ENN_TRY(write_output(options.save_json, report.to_json()));
  if (!options.html.empty()) {
    const std::string name = std::filesystem::path(options.model).filename().string();
    ENN_TRY(write_output(options.html, report.to_html("Quantization of " + name)));
  }
  if (options.run.json) {
    std::cout << report.to_json();
  } else {
    report_stream(outputs_of(options)) << report.to_text(options.layers);
  }
  return {};
}

}  // namespace

void add_analyze(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "analyze", "Measure layer by layer what quantization does to a model, and what would help");
  command.add_option("model", options->model, "The float archive of torch.export (.pt2)")
      ->required();
  command
      .add_option("quantized", options->others,
                  "The model quantized (.pt2), its program (.pte), or both; without them it is "
                  "quantized here, calibrated on --data")
      ->expected(0, 2);
  command.add_option("--save-json", options->save_json, "Write the whole report (JSON)");
  command.add_option("--html", options->html, "Write the report as one page with pictures");
  command.add_option("--layers", options->layers, "Print the N layers that contribute most")
      ->capture_default_str();
  command
      .add_option(
          "--sensitivity", options->sensitivity,
          "Run the model on the first N samples with one layer quantized at a time, and rank "
          "by the error that each makes in the outputs")
      ->check(CLI::Range(1, 64));
  add_quantizer_options(command, options->quantizer);
  add_data_options(command, options->data, "--data,--calibration", "Samples to measure on");
  add_run_options(command, options->run);
  command.footer(
      "Examples:\n"
      "  enn analyze mobilenet_v2.pt2 --data photos/ --resize 256 --crop 224 --html report.html\n"
      "  enn analyze model.pt2 model_a8w8.pt2 model.pte --data samples.npz --sensitivity 4");
  command.callback([options, &action] { action = [options] { return analyze(*options); }; });
}

}  // namespace enn::tool
