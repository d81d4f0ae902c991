#include <algorithm>
#include <iostream>
#include <limits>
#include <system_error>

#include "common.hpp"
#include "data/metrics.hpp"
#include "intermediates.hpp"

namespace enn::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string first;
  std::string second;
  std::string execution = "integer";
  DataArguments data;
  RunOptions run;
};

struct Row {
  std::string name;
  Closeness closeness;
};

Status add_row(const std::string& name, const TensorView& a, const TensorView& b,
               std::vector<Row>& rows) {
  if (numel(a.type.shape) != numel(b.type.shape)) {
    return error(Code::InvalidArgument, "'", name, "' is ", to_string(a.type), " in the first and ",
                 to_string(b.type), " in the second");
  }
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
  Row& row = found == rows.end() ? rows.emplace_back(Row{name, {}}) : *found;
  row.closeness.add(a, b);
  return {};
}

Result<std::vector<Row>> compare_folders(const Options& options) {
  std::vector<fs::path> files;
  std::error_code failure;
  fs::directory_iterator entry(options.first, failure);
  for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
    if (entry->path().extension() == ".npy") files.push_back(entry->path());
  }
  if (failure) {
    return error(Code::InvalidArgument, "cannot read ", options.first, ": ", failure.message());
  }
  std::sort(files.begin(), files.end());
  std::vector<Row> rows;
  for (const fs::path& file : files) {
    const fs::path other = fs::path(options.second) / file.filename();
    if (!fs::exists(other, failure)) continue;
    ENN_ASSIGN(const std::vector<NamedArray> a, read_arrays(file));
    ENN_ASSIGN(const std::vector<NamedArray> b, read_arrays(other));
    const auto view = [](const Array& array) { return TensorView{array.type(), array.bytes()}; };
    ENN_TRY(add_row(file.stem().string(), view(a[0].array), view(b[0].array), rows));
  }
  return rows;
}

// Values by name where both models are archives, else outputs.
Result<std::vector<Row>> compare_models(const Options& options) {
  std::vector<Row> rows;
  if (options.data.path.empty()) {
    return error(Code::InvalidArgument, "two models are compared on inputs: add --data");
  }
  const Execution execution = options.execution == "integer" ? Execution::Integer : Execution::Qdq;
  const auto first = load_archive(options.first);
  const auto second = load_archive(options.second);
  if (first.ok() && second.ok()) {
    ENN_ASSIGN(Dataset data,
               Dataset::open(options.data.path, first.value().inputs(), options.data.options));
    Progress progress("comparing", data.samples());
    for (std::uint64_t i = 0; i < data.batches(); ++i) {
      ENN_ASSIGN(const Batch batch, data.batch(i));
      ENN_ASSIGN(const NamedTensors a,
                 run_with_intermediates(first.value(), execution, options.run, batch.inputs));
      ENN_ASSIGN(const NamedTensors b,
                 run_with_intermediates(second.value(), execution, options.run, batch.inputs));
      // In the order of the second's execution would be nicer to read; names are what both have.
      for (const auto& [name, tensor] : a) {
        const auto other = b.find(name);
        if (other != b.end()) ENN_TRY(add_row(name, tensor.view(), other->second.view(), rows));
      }
      progress.advance(batch.count);
    }
    return rows;
  }
  ENN_ASSIGN(std::vector<NamedRunner> a, open_runners(options.first, options.run));
  ENN_ASSIGN(std::vector<NamedRunner> b, open_runners(options.second, options.run));
  const auto pick = [&](std::vector<NamedRunner>& runners) -> Runner& {
    for (NamedRunner& runner : runners) {
      if (runner.name == options.execution) return runner.runner;
    }
    return runners.front().runner;
  };
  Runner& x = pick(a);
  Runner& y = pick(b);
  if (x.outputs().size() != y.outputs().size()) {
    return error(Code::InvalidArgument, options.first, " has ", x.outputs().size(), " outputs, ",
                 options.second, " ", y.outputs().size());
  }
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, x.inputs(), options.data.options));
  Progress progress("comparing", data.samples());
  for (std::uint64_t i = 0; i < data.batches(); ++i) {
    ENN_ASSIGN(const Batch batch, data.batch(i));
    ENN_ASSIGN(const std::vector<Tensor> p, x.run(batch.inputs));
    ENN_ASSIGN(const std::vector<Tensor> q, y.run(batch.inputs));
    for (std::size_t o = 0; o < p.size(); ++o) {
      ENN_TRY(add_row(str("output ", o), p[o].view(), q[o].view(), rows));
    }
    progress.advance(batch.count);
  }
  return rows;
}

Status compare(const Options& options) {
  std::error_code ignored;
  const bool folders =
      fs::is_directory(options.first, ignored) && fs::is_directory(options.second, ignored);
  ENN_ASSIGN(const std::vector<Row> rows,
             folders ? compare_folders(options) : compare_models(options));
  if (rows.empty()) {
    return error(Code::InvalidArgument, "no tensor of ", options.first, " has the name of one of ",
                 options.second);
  }
  if (options.run.json) {
    Json tensors = Json::array();
    for (const Row& row : rows) {
      tensors.push_back({{"name", row.name},
                         {"sqnr", number(row.closeness.sqnr())},
                         {"cosine", number(row.closeness.cosine())},
                         {"max_difference", number(row.closeness.max_difference())},
                         {"largest", number(row.closeness.largest_reference())},
                         {"elements", row.closeness.count()},
                         {"not_finite", row.closeness.not_finite()}});
    }
    print_json({{"first", options.first}, {"second", options.second}, {"tensors", tensors}});
    return {};
  }
  Table table({"tensor", "SQNR dB", "cosine", "max difference", "largest", "elements"});
  for (const Row& row : rows) {
    table.add({row.name, decimal(row.closeness.sqnr()), decimal(row.closeness.cosine(), 6),
               decimal(row.closeness.max_difference(), 6),
               decimal(row.closeness.largest_reference(), 6), str(row.closeness.count())});
  }
  table.print();
  return {};
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "compare", "Compare two models, or two folders of `enn run`, tensor by tensor");
  command.add_option("first", options->first, "The reference: a model or a folder of .npy files")
      ->required();
  command.add_option("second", options->second, "What is compared with it")->required();
  command
      .add_option("--execution", options->execution,
                  "How quantized archives run: integer (as the delegate) or qdq (as PyTorch)")
      ->check(CLI::IsMember({"integer", "qdq"}))
      ->capture_default_str();
  add_data_options(command, options->data, "--data,--input", "The inputs, for two models", false);
  add_run_options(command, options->run);
  command.footer(
      "Examples:\n"
      "  enn compare model.pt2 model_a8w8.pt2 --data photos/ --samples 4 --crop 224\n"
      "  enn compare run_a/ run_b/");
  command.callback([options, &action] { action = [options] { return compare(*options); }; });
}

}  // namespace enn::tool
