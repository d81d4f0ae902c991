#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>

#include "base/closeness.hpp"
#include "common.hpp"
#include "data/metrics.hpp"
#include "output.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> executions;
  std::string predictions;
  std::optional<std::size_t> output;
  double peak = 1.0;
  DataArguments data;
  RunOptions run;
};

// What came of one output of one way of running.
struct Figures {
  TopK top_k;
  std::optional<MeanIou> iou;
  Closeness to_label;      // of images: PSNR
  Closeness to_reference;  // of the first column's output
  std::uint64_t agreed = 0;
  std::vector<std::int64_t> predictions;
};

// One way of running one model.
struct Column {
  std::string name;
  Runner runner;
  std::vector<Figures> figures;  // of the measured outputs
};

// What the labels are.
enum class Task : std::uint8_t { None, Classes, ClassMaps, Images };

// An output that is measured.
struct Measured {
  std::size_t index = 0;  // among the model's outputs
  TensorType row;         // of a sample; the whole output where it has no row for each
  bool has_rows = true;
  Task task = Task::None;
  std::uint64_t rows = 0;  // that were compared
};

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
      if (options.output && *options.output >= named.runner.outputs().size()) {
        return error(Code::InvalidArgument, model, " has ", named.runner.outputs().size(),
                     " outputs, so --output ", *options.output, " is none of them");
      }
      columns.push_back({name, std::move(named.runner), {}});
    }
  }
  for (const Column& column : columns) {
    const auto& inputs = column.runner.inputs();
    const auto& first = columns.front().runner.inputs();
    const auto same = [](const std::vector<NamedType>& some, const std::vector<NamedType>& others) {
      return std::equal(some.begin(), some.end(), others.begin(), others.end(),
                        [](const NamedType& a, const NamedType& b) { return a.type == b.type; });
    };
    const auto measured = [&](const Column& of) {
      const std::vector<NamedType>& all = of.runner.outputs();
      return options.output ? std::vector<NamedType>{all[*options.output]} : all;
    };
    if (same(inputs, first) && same(measured(column), measured(columns.front()))) continue;
    return error(Code::InvalidArgument, "the models '", columns.front().name, "' and '",
                 column.name, "' do not take and give the same types");
  }
  return columns;
}

Result<std::vector<Measured>> measured_outputs(const Options& options, const Runner& runner,
                                               Dataset& data) {
  std::vector<Measured> out;
  const auto rows = static_cast<std::int64_t>(data.batch_size());
  for (std::size_t i = 0; i < runner.outputs().size(); ++i) {
    if (options.output && *options.output != i) continue;
    Measured measured{.index = i, .row = runner.outputs()[i].type};
    Shape& shape = measured.row.shape;
    measured.has_rows = rows == 1 || (!shape.empty() && shape.front() == rows);
    if (!shape.empty() && shape.front() == rows) shape.erase(shape.begin());
    if (!measured.has_rows && (options.output || runner.outputs().size() == 1)) {
      return error(Code::InvalidArgument, "output ", i, " is ", to_string(measured.row),
                   ", which has no row for each of the batch's ", rows, " samples");
    }
    if (numel(shape) == 0) {
      return error(Code::InvalidArgument, "output ", i, " has no element");
    }
    out.push_back(std::move(measured));
  }
  if (out.empty()) return error(Code::InvalidArgument, "the model has no output");
  if (data.has_labels()) {  // they belong to the chosen output, or to the first
    ENN_ASSIGN(const Tensor label, data.label(0));
    ENN_ASSIGN(out.front().task, task_of(out.front().row, label.type));
  }
  return out;
}

// A label that is not one of the classes would count as wrong without a word.
Status check_label(std::span<const double> label, const Measured& measured,
                   const std::string& sample) {
  if (measured.task != Task::Classes && measured.task != Task::ClassMaps) return {};
  const std::int64_t classes =
      measured.task == Task::ClassMaps ? measured.row.shape[0] : numel(measured.row.shape);
  const auto is_class = [&](double value) {
    return value >= 0.0 && value < static_cast<double>(classes) && value == std::floor(value);
  };
  for (const double value : label) {
    const bool is_left_out = measured.task == Task::ClassMaps && (value == 255.0 || value == -1.0);
    if (is_class(value) || is_left_out) continue;
    return error(Code::InvalidArgument, sample, " has the label ", value, ", but the model's ",
                 classes, " classes are 0 to ", classes - 1,
                 measured.task == Task::ClassMaps ? " (255 and -1 stand for no class)" : "");
  }
  return {};
}

// `values` are the columns' elements of one row of an output.
void add_row(std::vector<Column>& columns, std::size_t output, Measured& measured,
             std::span<const std::span<const double>> values, const std::optional<Tensor>& label) {
  const std::int64_t reference = largest(values[0]);
  ++measured.rows;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    Figures& figures = columns[c].figures[output];
    figures.to_reference.add(values[0], values[c]);
    const std::int64_t prediction = largest(values[c]);
    if (prediction == reference) ++figures.agreed;
    figures.predictions.push_back(prediction);
    if (!label || measured.task == Task::None) continue;
    const std::vector<double> right = to_doubles(label->view());
    if (measured.task == Task::Classes) {
      figures.top_k.add(values[c], static_cast<std::int64_t>(right[0]));
    } else if (measured.task == Task::ClassMaps) {
      figures.iou->add(values[c], right);
    } else {
      figures.to_label.add(right, values[c]);
    }
  }
}

Status measure(std::vector<Column>& columns, std::vector<Measured>& outputs, Dataset& data) {
  Progress progress("evaluating", data.samples());
  for (std::uint64_t b = 0; b < data.batches(); ++b) {
    ENN_ASSIGN(const Batch batch, data.batch(b));
    if (batch.count == 0) break;
    std::vector<std::vector<Tensor>> results;
    for (Column& column : columns) {
      ENN_ASSIGN(std::vector<Tensor> result, column.runner.run(batch.inputs));
      results.push_back(std::move(result));
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      Measured& measured = outputs[o];
      std::vector<std::vector<double>> elements;
      for (const std::vector<Tensor>& result : results)
        elements.push_back(to_doubles(result[measured.index].view()));
      const auto size = static_cast<std::size_t>(numel(measured.row.shape));
      for (std::uint64_t r = 0; r < (measured.has_rows ? batch.count : 1); ++r) {
        std::vector<std::span<const double>> rows;
        for (const std::vector<double>& of_column : elements)
          rows.push_back(std::span(of_column).subspan(r * size, size));
        std::optional<Tensor> label;
        if (measured.task != Task::None) {
          ENN_ASSIGN(label, data.label(batch.first + r));
          ENN_TRY(
              check_label(to_doubles(label->view()), measured, data.sample_name(batch.first + r)));
        }
        add_row(columns, o, measured, rows, label);
      }
    }
    progress.advance(batch.count);
  }
  return {};
}

// Whether there are more than five classes.
bool has_five(const Measured& measured) { return numel(measured.row.shape) > 5; }

double agreement(const Figures& figures, const Measured& measured) {
  return measured.rows == 0
             ? 0.0
             : static_cast<double>(figures.agreed) / static_cast<double>(measured.rows);
}

void add_figures(const Figures& figures, const Measured& measured, const Options& options,
                 Json& out) {
  if (measured.task == Task::Classes) {
    out["top1"] = figures.top_k.top1();
    if (has_five(measured)) out["top5"] = figures.top_k.top5();
  }
  if (measured.task == Task::ClassMaps) out["miou"] = figures.iou->value();
  if (measured.task == Task::Images) out["psnr"] = number(figures.to_label.psnr(options.peak));
  out["sqnr"] = number(figures.to_reference.sqnr());
  out["cosine"] = number(figures.to_reference.cosine());
  out["max_difference"] = number(figures.to_reference.max_difference());
  out["agreement"] = agreement(figures, measured);
}

// The figures of one output beside the name, those of several in a list.
Json column_json(const Column& column, const std::vector<Measured>& outputs,
                 const Options& options) {
  Json out = {{"name", column.name}};
  if (outputs.size() == 1) {
    add_figures(column.figures.front(), outputs.front(), options, out);
    return out;
  }
  out["outputs"] = Json::array();
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    Json item = {{"output", outputs[o].index},
                 {"name", column.runner.outputs()[outputs[o].index].name}};
    add_figures(column.figures[o], outputs[o], options, item);
    out["outputs"].push_back(std::move(item));
  }
  return out;
}

void print_output(const std::vector<Column>& columns, std::size_t output, const Measured& measured,
                  const Options& options) {
  const bool five = has_five(measured);
  std::vector<std::string> head = {"model"};
  if (measured.task == Task::Classes) head.emplace_back("top-1 %");
  if (measured.task == Task::Classes && five) head.emplace_back("top-5 %");
  if (measured.task == Task::ClassMaps) head.emplace_back("mIoU %");
  if (measured.task == Task::Images) head.emplace_back("PSNR dB");
  const std::string& reference = columns.front().name;
  for (const char* const name : {"SQNR dB", "cosine", "max difference", "same top-1 %"}) {
    head.push_back(str(name, " to ", reference));
  }
  Table table(head);
  for (const Column& column : columns) {
    const Figures& figures = column.figures[output];
    std::vector<std::string> row = {column.name};
    if (measured.task == Task::Classes) row.push_back(decimal(100 * figures.top_k.top1()));
    if (measured.task == Task::Classes && five) {
      row.push_back(decimal(100 * figures.top_k.top5()));
    }
    if (measured.task == Task::ClassMaps) row.push_back(decimal(100 * figures.iou->value()));
    if (measured.task == Task::Images) {
      row.push_back(decimal(figures.to_label.psnr(options.peak)));
    }
    if (&column == &columns.front()) {
      row.resize(head.size(), "-");
    } else {
      row.push_back(decimal(figures.to_reference.sqnr()));
      row.push_back(decimal(figures.to_reference.cosine(), 6));
      row.push_back(decimal(figures.to_reference.max_difference(), 4));
      row.push_back(decimal(100.0 * agreement(figures, measured)));
    }
    table.add(std::move(row));
  }
  table.print();
}

Status save_predictions(const std::string& folder, const std::vector<Column>& columns,
                        const std::vector<Measured>& outputs) {
  for (const Column& column : columns) {
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      std::string file = column.name;
      if (outputs.size() > 1) file += str("_output_", outputs[o].index);
      file += ".npy";
      std::replace(file.begin(), file.end(), ' ', '_');
      const std::vector<std::int64_t>& predictions = column.figures[o].predictions;
      const TensorType type{DType::Int64, {static_cast<std::int64_t>(predictions.size())}};
      ENN_TRY(write_npy(std::filesystem::path(folder) / file,
                        {type, std::as_bytes(std::span(predictions))}));
    }
  }
  return {};
}

Status evaluate(const Options& options) {
  if (!options.predictions.empty()) ENN_TRY(make_folder(options.predictions));
  ENN_ASSIGN(std::vector<Column> columns, open_columns(options));
  if (columns.empty()) return error(Code::InvalidArgument, "no model runs in that way");
  ENN_ASSIGN(Dataset data, Dataset::open(options.data.path, columns.front().runner.inputs(),
                                         options.data.options));
  ENN_ASSIGN(std::vector<Measured> outputs,
             measured_outputs(options, columns.front().runner, data));
  for (Column& column : columns) {
    column.figures.resize(outputs.size());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o].task != Task::ClassMaps) continue;
      column.figures[o].iou.emplace(static_cast<std::size_t>(outputs[o].row.shape[0]));
    }
  }
  ENN_TRY(measure(columns, outputs, data));
  report_skipped(data);
  if (!options.predictions.empty()) {
    ENN_TRY(save_predictions(options.predictions, columns, outputs));
  }
  if (options.run.json) {
    Json models = Json::array();
    for (const Column& column : columns) models.push_back(column_json(column, outputs, options));
    print_json({{"samples", data.samples()},
                {"skipped", data.skipped().size()},
                {"reference", columns.front().name},
                {"models", std::move(models)}});
    return {};
  }
  std::cout << data.samples() << " samples\n";
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs.size() > 1) {
      const NamedType& output = columns.front().runner.outputs()[outputs[o].index];
      std::cout << (o == 0 ? "" : "\n") << "output " << outputs[o].index << ", " << output.name
                << ": " << to_string(output.type) << '\n';
    }
    print_output(columns, o, outputs[o], options);
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
  command.add_option("--output", options->output,
                     "Number of the one output that is measured; else all are, and labels belong "
                     "to the first");
  command.add_option("--peak", options->peak, "Largest value of an image, for PSNR")
      ->capture_default_str();
  command.add_option("--predictions", options->predictions,
                     "Save the place of each sample's largest element, a .npy file per column and "
                     "output, in this folder");
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
