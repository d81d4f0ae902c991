#include <iostream>

#include "common.hpp"
#include "intermediates.hpp"
#include "output.hpp"

namespace enn::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model;
  std::string output;
  std::string execution = "integer";
  bool values = false;
  DataArguments data;
  RunOptions run;
};

// A file name from a value's name.
std::string file_name(std::string_view name) {
  std::string out(name.substr(0, 200));
  for (char& c : out) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '_' || c == '-';
    if (!plain) c = '_';
  }
  return out + ".npy";
}

// One name for a model's output, whichever kind of file the model is.
std::string file_of_output(std::size_t index) { return str("output_", index, ".npy"); }

Status save_values(const Options& options) {
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  ENN_ASSIGN(Dataset data,
             Dataset::open(options.data.path, program.inputs(), options.data.options));
  ENN_ASSIGN(const Batch batch, data.batch(0));
  const Execution execution = options.execution == "integer" ? Execution::Integer : Execution::Qdq;
  const std::vector<Point> points = points_of(program);
  ENN_ASSIGN(ObservedModel model, ObservedModel::open(program, points, execution, options.run));
  ENN_ASSIGN(const ObservedModel::Values values, model.run(batch.inputs));
  Json written = Json::array();
  const auto save = [&](const std::string& file, const Tensor& tensor) -> Status {
    ENN_TRY(write_npy(fs::path(options.output) / file, tensor.view()));
    written.push_back(file);
    return {};
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    ENN_TRY(save(file_name(points[i].name), values.points[i]));
  }
  for (std::size_t i = 0; i < values.outputs.size(); ++i) {
    ENN_TRY(save(file_of_output(i), values.outputs[i]));
  }
  const std::string order = (fs::path(options.output) / kOrderFile).string();
  ENN_TRY(write_output(order, written.dump(2)));
  if (options.run.json) {
    print_json({{"folder", options.output}, {"files", written}});
  } else {
    std::cout << written.size() << " values in " << options.output << '\n';
  }
  return {};
}

Status run(const Options& options) {
  ENN_TRY(make_folder(options.output));
  if (options.values) return save_values(options);
  ENN_ASSIGN(std::vector<NamedRunner> runners, open_runners(options.model, options.run));
  auto chosen = std::find_if(runners.begin(), runners.end(), [&](const NamedRunner& candidate) {
    return candidate.name == options.execution;
  });
  Runner& runner = (chosen == runners.end() ? runners.front() : *chosen).runner;
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, runner.inputs(), options.data.options));
  std::vector<Tensor> all(runner.outputs().size());
  std::vector<Output> files;
  for (std::size_t i = 0; i < all.size(); ++i) {
    files.push_back({"--output", (fs::path(options.output) / file_of_output(i)).string()});
  }
  ENN_TRY(check_outputs(files, {options.model, options.data.path}, false));
  {
    Progress progress("running", data.samples());
    for (std::uint64_t b = 0; b < data.batches(); ++b) {
      ENN_ASSIGN(const Batch batch, data.batch(b));
      if (batch.count == 0) break;
      ENN_ASSIGN(const std::vector<Tensor> outputs, runner.run(batch.inputs));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const Shape& shape = outputs[i].type.shape;
        std::size_t size = outputs[i].bytes.size();
        // Rows that only fill the batch are no results.
        const bool rows =
            !shape.empty() && shape[0] == static_cast<std::int64_t>(data.batch_size());
        if (rows) size = size / data.batch_size() * batch.count;
        all[i].type = outputs[i].type;
        all[i].bytes.insert(all[i].bytes.end(), outputs[i].bytes.begin(),
                            outputs[i].bytes.begin() + static_cast<std::ptrdiff_t>(size));
      }
      progress.advance(batch.count);
    }
  }
  report_skipped(data);
  Json written = Json::array();
  for (std::size_t i = 0; i < all.size(); ++i) {
    Tensor& tensor = all[i];
    Shape& shape = tensor.type.shape;
    const bool rows = !shape.empty() && shape[0] == static_cast<std::int64_t>(data.batch_size());
    if (rows) {
      shape[0] = static_cast<std::int64_t>(data.samples());
    } else if (data.batches() > 1) {
      shape.insert(shape.begin(), static_cast<std::int64_t>(data.batches()));
    }
    const std::string file = file_of_output(i);
    ENN_TRY(write_npy(fs::path(options.output) / file, tensor.view()));
    written.push_back({{"file", file},
                       {"name", runner.outputs()[i].name},
                       {"dtype", to_string(tensor.type.dtype)},
                       {"shape", tensor.type.shape}});
    if (!options.run.json) {
      std::cout << (fs::path(options.output) / file).string() << ": " << to_string(tensor.type)
                << '\n';
    }
  }
  if (options.run.json) print_json({{"folder", options.output}, {"files", written}});
  return {};
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("run", "Run a model on inputs; its outputs become .npy files");
  command.add_option("model", options->model, "Archive (.pt2), program (.pte) or payload")
      ->required();
  command.add_option("-o,--output", options->output, "The folder for the .npy files")->required();
  command
      .add_option("--execution", options->execution,
                  "How a quantized archive runs: integer (as the delegate) or qdq (as PyTorch)")
      ->check(CLI::IsMember({"integer", "qdq"}))
      ->capture_default_str();
  command.add_flag("--values", options->values,
                   "Save the values inside the model for the first sample, for `enn compare`");
  add_data_options(command, options->data, "--data,--input", "The inputs");
  add_run_options(command, options->run);
  command.footer(
      "Examples:\n"
      "  enn run mobilenet_v2.pte --input photo.jpg --resize 256 --crop 224 -o out/\n"
      "  enn run two_inputs.pt2 --input inputs.npz -o out/     # arrays by input name");
  command.callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace enn::tool
