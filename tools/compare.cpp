#include <algorithm>
#include <iostream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "base/closeness.hpp"
#include "base/file_io.hpp"
#include "common.hpp"
#include "data/array.hpp"
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
  std::string module_path;
  Closeness closeness;
};

Status add_tensor(const TensorView& a, const TensorView& b, Row& row) {
  if (a.type.shape != b.type.shape) {
    return error(Code::InvalidArgument, "'", row.name, "' is ", to_string(a.type),
                 " in the first and ", to_string(b.type), " in the second");
  }
  row.closeness.add(to_doubles(a), to_doubles(b));
  return {};
}

// The order of execution where `enn run` wrote it down, else that of the names.
std::vector<fs::path> files_in_order(const fs::path& folder, std::vector<fs::path> files) {
  std::sort(files.begin(), files.end());
  const auto text = read_file(folder / kOrderFile);
  if (!text.ok()) return files;
  const auto* const begin = reinterpret_cast<const char*>(text.value().data());
  const Json order = Json::parse(begin, begin + text.value().size(), nullptr, false);
  if (!order.is_array()) return files;
  std::map<std::string, std::size_t> places;
  for (const Json& name : order) {
    if (name.is_string()) places.emplace(name.get<std::string>(), places.size());
  }
  const auto place = [&](const fs::path& file) {
    const auto found = places.find(file.filename().string());
    return found == places.end() ? places.size() : found->second;
  };
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return std::pair(place(a), a) < std::pair(place(b), b);
  });
  return files;
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
  std::vector<Row> rows;
  for (const fs::path& file : files_in_order(options.first, std::move(files))) {
    const fs::path other = fs::path(options.second) / file.filename();
    if (!fs::exists(other, failure)) continue;
    ENN_ASSIGN(const std::vector<NamedArray> a, read_arrays(file));
    ENN_ASSIGN(const std::vector<NamedArray> b, read_arrays(other));
    const auto view = [](const Array& array) { return TensorView{array.type(), array.bytes()}; };
    rows.push_back({file.stem().string(), {}, {}});
    ENN_TRY(add_tensor(view(a[0].array), view(b[0].array), rows.back()));
  }
  return rows;
}

// Both take the same inputs and give outputs of the same shapes.
Status check_same_types(const Options& options, std::span<const NamedType> first_inputs,
                        std::span<const NamedType> second_inputs,
                        std::span<const NamedType> first_outputs,
                        std::span<const NamedType> second_outputs) {
  const auto check = [&](std::string_view what, std::span<const NamedType> a,
                         std::span<const NamedType> b, bool with_dtype) -> Status {
    if (a.size() != b.size()) {
      return error(Code::InvalidArgument, options.first, " has ", a.size(), ' ', what, "s, ",
                   options.second, ' ', b.size());
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
      const bool same =
          a[i].type.shape == b[i].type.shape && (!with_dtype || a[i].type.dtype == b[i].type.dtype);
      if (same) continue;
      return error(Code::InvalidArgument, what, ' ', i, " is ", to_string(a[i].type), " in ",
                   options.first, " and ", to_string(b[i].type), " in ", options.second,
                   ": they are no two forms of one model");
    }
    return {};
  };
  ENN_TRY(check("input", first_inputs, second_inputs, true));
  return check("output", first_outputs, second_outputs, false);
}

std::vector<Row> rows_of_outputs(std::size_t count) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < count; ++i) rows.push_back({str("output ", i), {}, {}});
  return rows;
}

// All values that both have, then the outputs.
Result<std::vector<Row>> compare_archives(const Options& options, const ExportedProgram& first,
                                          const ExportedProgram& second) {
  ENN_TRY(check_same_types(options, first.inputs(), second.inputs(), first.outputs(),
                           second.outputs()));
  // The names are those of the model in which a layer holds its batch norm.
  const bool names_of_second = !is_quantized(first) && is_quantized(second);
  std::vector<Row> rows;
  std::vector<Point> points[2];
  for (PointPair& pair : common_points(first, second)) {
    const Point& named = names_of_second ? pair.second : pair.first;
    rows.push_back({named.name, named.module_path, {}});
    points[0].push_back(std::move(pair.first));
    points[1].push_back(std::move(pair.second));
  }
  std::ranges::move(rows_of_outputs(first.outputs().size()), std::back_inserter(rows));
  const Execution execution = options.execution == "integer" ? Execution::Integer : Execution::Qdq;
  ENN_ASSIGN(ObservedModel a, ObservedModel::open(first, points[0], execution, options.run));
  ENN_ASSIGN(ObservedModel b, ObservedModel::open(second, points[1], execution, options.run));
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, first.inputs(), options.data.options));
  Progress progress("comparing", data.samples());
  for (std::uint64_t i = 0; i < data.batches(); ++i) {
    ENN_ASSIGN(const Batch batch, data.batch(i));
    if (batch.count == 0) break;
    ENN_ASSIGN(const ObservedModel::Values x, a.run(batch.inputs));
    ENN_ASSIGN(const ObservedModel::Values y, b.run(batch.inputs));
    auto row = rows.begin();
    for (std::size_t p = 0; p < x.points.size(); ++p) {
      ENN_TRY(add_tensor(x.points[p].view(), y.points[p].view(), *row++));
    }
    for (std::size_t o = 0; o < x.outputs.size(); ++o) {
      ENN_TRY(add_tensor(x.outputs[o].view(), y.outputs[o].view(), *row++));
    }
    progress.advance(batch.count);
  }
  report_skipped(data);
  return rows;
}

// A program (.pte) shows its outputs only.
Result<std::vector<Row>> compare_outputs(const Options& options) {
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
  ENN_TRY(check_same_types(options, x.inputs(), y.inputs(), x.outputs(), y.outputs()));
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, x.inputs(), options.data.options));
  std::vector<Row> rows = rows_of_outputs(x.outputs().size());
  Progress progress("comparing", data.samples());
  for (std::uint64_t i = 0; i < data.batches(); ++i) {
    ENN_ASSIGN(const Batch batch, data.batch(i));
    if (batch.count == 0) break;
    ENN_ASSIGN(const std::vector<Tensor> p, x.run(batch.inputs));
    ENN_ASSIGN(const std::vector<Tensor> q, y.run(batch.inputs));
    for (std::size_t o = 0; o < p.size(); ++o) {
      ENN_TRY(add_tensor(p[o].view(), q[o].view(), rows[o]));
    }
    progress.advance(batch.count);
  }
  report_skipped(data);
  return rows;
}

Result<bool> is_archive(const std::string& path) {
  ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
  const auto kind = kind_of(file.bytes());
  if (!kind.ok()) return error(kind.status().code(), path, ": ", kind.status().message());
  return kind.value() == FileKind::Archive;
}

Result<std::vector<Row>> compare_models(const Options& options) {
  if (options.data.path.empty()) {
    return error(Code::InvalidArgument, "two models are compared on inputs: add --data");
  }
  ENN_ASSIGN(const bool first_is_archive, is_archive(options.first));
  ENN_ASSIGN(const bool second_is_archive, is_archive(options.second));
  if (!first_is_archive || !second_is_archive) return compare_outputs(options);
  ENN_ASSIGN(const ExportedProgram first, load_archive(options.first));
  ENN_ASSIGN(const ExportedProgram second, load_archive(options.second));
  return compare_archives(options, first, second);
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
                         {"module", row.module_path},
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
  Table table({"tensor", "module", "SQNR dB", "cosine", "max difference", "largest", "elements"});
  for (const Row& row : rows) {
    table.add({row.name, row.module_path, decimal(row.closeness.sqnr()),
               decimal(row.closeness.cosine(), 6), decimal(row.closeness.max_difference(), 6),
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
