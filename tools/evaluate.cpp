#include <algorithm>
#include <cmath>
#include <iostream>

#include "common.hpp"
#include "data/metrics.hpp"
#include "output.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> executions;
  std::string predictions;
  std::size_t output = 0;
  double peak = 1.0;
  DataArguments data;
  RunOptions run;
};

// One way of running one model, and what came of it.
struct Column {
  std::string name;
  Runner runner;
  TopK top_k;
  std::optional<MeanIou> iou;
  Closeness to_label;      // of images: PSNR
  Closeness to_reference;  // of the first column's outputs
  std::uint64_t agreed = 0;
  std::vector<std::int64_t> predictions;
};

// What the labels are.
enum class Task : std::uint8_t { None, Classes, ClassMaps, Images };

Result<Task> task_of(const TensorType& output_row, const TensorType& label) {
  const std::int64_t labels = numel(label.shape);
  const std::int64_t scores = numel(output_row.shape);
  if (labels == 1 && scores > 1) return Task::Classes;
  if (labels == scores) return Task::Images;
  if (output_row.shape.size() == 3 && output_row.shape[0] * labels == scores) {
    return Task::ClassMaps;
  }
  return error(Code::InvalidArgument, "labels of ", to_string(label),
               " per sample do not fit the model's output of ", to_string(output_row),
               " per sample");
}

Result<std::vector<Column>> open_columns(const Options& options) {
  std::vector<Column> columns;
  for (const std::string& model : options.models) {
    ENN_ASSIGN(std::vector<NamedRunner> runners, open_runners(model, options.run));
    for (NamedRunner& named : runners) {
      const bool wanted = options.executions.empty() || runners.size() == 1 ||
                          std::find(options.executions.begin(), options.executions.end(),
                                    named.name) != options.executions.end();
      if (!wanted) continue;
      std::string name = named.name;
      const bool taken = std::any_of(columns.begin(), columns.end(),
                                     [&](const Column& column) { return column.name == name; });
      if (taken) name += str(' ', std::filesystem::path(model).filename().string());
      if (options.output >= named.runner.outputs().size()) {
        return error(Code::InvalidArgument, model, " has ", named.runner.outputs().size(),
                     " outputs, so --output ", options.output, " is none of them");
      }
      columns.push_back({name, std::move(named.runner), {}, {}, {}, {}, 0, {}});
    }
  }
  for (const Column& column : columns) {
    const auto& inputs = column.runner.inputs();
    const auto& first = columns.front().runner.inputs();
    const bool same =
        std::equal(inputs.begin(), inputs.end(), first.begin(), first.end(),
                   [](const NamedType& a, const NamedType& b) { return a.type == b.type; });
    const TensorType& output = column.runner.outputs()[options.output].type;
    const TensorType& first_output = columns.front().runner.outputs()[options.output].type;
    if (same && output == first_output) continue;
    return error(Code::InvalidArgument, "the models '", columns.front().name, "' and '",
                 column.name, "' do not take and give the same types");
  }
  return columns;
}

struct Evaluation {
  Task task = Task::None;
  std::size_t classes = 0;
  bool five = false;  // there are more than five classes
  std::uint64_t samples = 0;
};

// A label that is no class would count as wrong without a word.
Status check_label(std::span<const double> label, std::size_t classes, Task task,
                   const std::string& sample) {
  if (task != Task::Classes && task != Task::ClassMaps) return {};
  const auto is_class = [&](double value) {
    return value >= 0.0 && value < static_cast<double>(classes) && value == std::floor(value);
  };
  for (const double value : label) {
    const bool is_left_out = task == Task::ClassMaps && (value == 255.0 || value == -1.0);
    if (is_class(value) || is_left_out) continue;
    return error(Code::InvalidArgument, sample, " has the label ", value, ", but the model's ",
                 classes, " classes are 0 to ", classes - 1,
                 task == Task::ClassMaps ? " (255 and -1 stand for no class)" : "");
  }
  return {};
}

Status add_sample(std::vector<Column>& columns, std::span<const std::vector<double>> rows,
                  const std::optional<Tensor>& label, const std::string& sample,
                  const Evaluation& evaluation) {
  const std::int64_t reference = largest(rows[0]);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    Column& column = columns[c];
    column.to_reference.add(rows[0], rows[c]);
    const std::int64_t prediction = largest(rows[c]);
    if (prediction == reference) ++column.agreed;
    column.predictions.push_back(prediction);
    if (!label) continue;
    const std::vector<double> right = to_doubles(label->view());
    ENN_TRY(check_label(right, evaluation.classes, evaluation.task, sample));
    if (evaluation.task == Task::Classes) {
      column.top_k.add(rows[c], static_cast<std::int64_t>(right[0]));
    } else if (evaluation.task == Task::ClassMaps) {
      column.iou->add(rows[c], right);
    } else {
      column.to_label.add(right, rows[c]);
    }
  }
  return {};
}

Json column_json(const Column& column, const Evaluation& evaluation, const Options& options) {
  Json out = {{"name", column.name}};
  if (evaluation.task == Task::Classes) {
    out["top1"] = column.top_k.top1();
    if (evaluation.five) out["top5"] = column.top_k.top5();
  }
  if (evaluation.task == Task::ClassMaps) out["miou"] = column.iou->value();
  if (evaluation.task == Task::Images) out["psnr"] = number(column.to_label.psnr(options.peak));
  out["sqnr"] = number(column.to_reference.sqnr());
  out["cosine"] = number(column.to_reference.cosine());
  out["max_difference"] = number(column.to_reference.max_difference());
  out["agreement"] = evaluation.samples == 0 ? 0.0
                                             : static_cast<double>(column.agreed) /
                                                   static_cast<double>(evaluation.samples);
  return out;
}

void print_columns(const std::vector<Column>& columns, const Evaluation& evaluation,
                   const Options& options) {
  std::vector<std::string> head = {"model"};
  if (evaluation.task == Task::Classes) head.emplace_back("top-1 %");
  if (evaluation.task == Task::Classes && evaluation.five) head.emplace_back("top-5 %");
  if (evaluation.task == Task::ClassMaps) head.emplace_back("mIoU %");
  if (evaluation.task == Task::Images) head.emplace_back("PSNR dB");
  const std::string& reference = columns.front().name;
  for (const char* const name : {"SQNR dB", "cosine", "max difference", "same top-1 %"}) {
    head.push_back(str(name, " to ", reference));
  }
  Table table(head);
  for (const Column& column : columns) {
    std::vector<std::string> row = {column.name};
    if (evaluation.task == Task::Classes) row.push_back(decimal(100 * column.top_k.top1()));
    if (evaluation.task == Task::Classes && evaluation.five) {
      row.push_back(decimal(100 * column.top_k.top5()));
    }
    if (evaluation.task == Task::ClassMaps) row.push_back(decimal(100 * column.iou->value()));
    if (evaluation.task == Task::Images) {
      row.push_back(decimal(column.to_label.psnr(options.peak)));
    }
    if (&column == &columns.front()) {
      row.resize(head.size(), "-");
    } else {
      row.push_back(decimal(column.to_reference.sqnr()));
      row.push_back(decimal(column.to_reference.cosine(), 6));
      row.push_back(decimal(column.to_reference.max_difference(), 4));
      row.push_back(decimal(100.0 * static_cast<double>(column.agreed) /
                            static_cast<double>(evaluation.samples)));
    }
    table.add(std::move(row));
  }
  table.print();
}

Status save_predictions(const std::string& folder, const std::vector<Column>& columns) {
  for (const Column& column : columns) {
    std::string file = column.name + ".npy";
    std::replace(file.begin(), file.end(), ' ', '_');
    const auto bytes = std::as_bytes(std::span(column.predictions));
    const TensorType type{DType::Int64, {static_cast<std::int64_t>(column.predictions.size())}};
    ENN_TRY(write_npy(std::filesystem::path(folder) / file, {type, bytes}));
  }
  return {};
}

Status evaluate(const Options& options) {
  if (!options.predictions.empty()) ENN_TRY(make_folder(options.predictions));
  ENN_ASSIGN(std::vector<Column> columns, open_columns(options));
  if (columns.empty()) return error(Code::InvalidArgument, "no model runs in that way");
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, columns.front().runner.inputs(),
                                         options.data.options));
  TensorType row = columns.front().runner.outputs()[options.output].type;
  const auto rows = static_cast<std::int64_t>(data.batch_size());
  if (!row.shape.empty() && row.shape.front() == rows) {
    row.shape.erase(row.shape.begin());
  } else if (rows > 1) {
    return error(Code::InvalidArgument, "output ", options.output, " is ", to_string(row),
                 ", which has no row for each of the batch's ", rows, " samples");
  }
  const auto row_size = static_cast<std::size_t>(numel(row.shape));
  if (row_size == 0) return error(Code::InvalidArgument, "the output has no element");
  Evaluation evaluation;
  evaluation.samples = data.samples();
  if (data.has_labels()) {
    ENN_ASSIGN(const Tensor label, data.label(0));
    ENN_ASSIGN(evaluation.task, task_of(row, label.type));
    evaluation.classes =
        evaluation.task == Task::ClassMaps ? static_cast<std::size_t>(row.shape[0]) : row_size;
    evaluation.five = row_size > 5;
    for (Column& column : columns) {
      if (evaluation.task == Task::ClassMaps) column.iou.emplace(evaluation.classes);
    }
  }
  {
    Progress progress("evaluating", data.samples());
    for (std::uint64_t b = 0; b < data.batches(); ++b) {
      ENN_ASSIGN(const Batch batch, data.batch(b));
      if (batch.count == 0) break;
      std::vector<std::vector<double>> outputs;
      for (Column& column : columns) {
        ENN_ASSIGN(const std::vector<Tensor> results, column.runner.run(batch.inputs));
        outputs.push_back(to_doubles(results[options.output].view()));
      }
      for (std::uint64_t r = 0; r < batch.count; ++r) {
        std::vector<std::vector<double>> of_sample;
        for (const std::vector<double>& output : outputs) {
          const auto first = output.begin() + static_cast<std::ptrdiff_t>(r * row_size);
          of_sample.emplace_back(first, first + static_cast<std::ptrdiff_t>(row_size));
        }
        std::optional<Tensor> label;
        if (data.has_labels()) {
          ENN_ASSIGN(label, data.label(batch.first + r));
        }
        ENN_TRY(
            add_sample(columns, of_sample, label, data.sample_name(batch.first + r), evaluation));
      }
      progress.advance(batch.count);
    }
  }
  evaluation.samples = data.samples();
  report_skipped(data);
  if (!options.predictions.empty()) ENN_TRY(save_predictions(options.predictions, columns));
  if (options.run.json) {
    Json models = Json::array();
    for (const Column& column : columns) {
      models.push_back(column_json(column, evaluation, options));
    }
    print_json({{"samples", data.samples()},
                {"skipped", data.skipped().size()},
                {"reference", columns.front().name},
                {"models", std::move(models)}});
  } else {
    std::cout << data.samples() << " samples\n";
    print_columns(columns, evaluation, options);
  }
  return {};
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "evaluate",
      "Measure models on labelled data, side by side: float, Q/DQ (as PyTorch) and integer (as the "
      "delegate)");
  command
      .add_option("models", options->models,
                  "Archives (.pt2) and programs (.pte); the first is what the others are compared "
                  "with. A quantized archive is measured twice: qdq and integer")
      ->required()
      ->expected(1, 16);
  command
      .add_option("--execution", options->executions,
                  "Measure quantized archives in one of the two ways only: qdq or integer")
      ->check(CLI::IsMember({"integer", "qdq"}));
  command.add_option("--output", options->output, "Number of the output that is measured")
      ->capture_default_str();
  command.add_option("--peak", options->peak, "Largest value of an image, for PSNR")
      ->capture_default_str();
  command.add_option("--predictions", options->predictions,
                     "Save the place of each sample's largest output, a .npy file per column, in "
                     "this folder");
  add_data_options(command, options->data, "--data", "What to measure on");
  add_label_option(command, options->data);
  add_run_options(command, options->run);
  command.footer(
      "Metrics: class numbers give top-1 and top-5, class maps mIoU, images PSNR. SQNR, cosine and "
      "the largest difference are those to the first model's outputs.\n\n"
      "Examples:\n"
      "  enn evaluate model.pt2 model_a8w8.pt2 --data val/ --resize 256 --crop 224 \\\n"
      "      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225\n"
      "  enn evaluate fashion.pt2 fashion_a8w8.pt2 fashion.pte --data t10k-images-idx3-ubyte.gz "
      "\\\n"
      "      --labels t10k-labels-idx1-ubyte.gz --mean 0.286 --std 0.353");
  command.callback([options, &action] { action = [options] { return evaluate(*options); }; });
}

}  // namespace enn::tool
