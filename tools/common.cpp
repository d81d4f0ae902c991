#include "common.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "archive/zip.hpp"
#include "base/file_io.hpp"
#include "base/thread_count.hpp"
#include "ir/graph.hpp"
#include "lowering/pte.hpp"
#include "lowering/pte_reader.hpp"

namespace enn::tool {
namespace {

constexpr std::string_view kZip = "PK\x03\x04";

Status in_file(const std::filesystem::path& path, const Status& status) {
  if (status.message().find(path.string()) != std::string::npos) return status;
  return error(status.code(), path.string(), ": ", status.message());
}

// Threads beyond the CPUs wait for each other in turn: a run takes many times as long.
std::string use_available_threads(std::string& text) {
  int wanted = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), wanted);
  if (failure != std::errc() || end != text.data() + text.size()) return {};  // said elsewhere
  const int used = usable_threads(wanted);
  if (wanted <= used) return {};
  std::cerr << "enn: --threads " << wanted << ": this process has " << used << " CPU"
            << (used == 1 ? "" : "s") << ", so " << used << " thread"
            << (used == 1 ? " is" : "s are") << " used\n";
  text = std::to_string(used);
  return {};
}

bool is_pte(std::span<const std::byte> bytes) {
  constexpr std::string_view kIdentifier = "ET12";
  return bytes.size() > 8 && std::memcmp(bytes.data() + 4, kIdentifier.data(), 4) == 0;
}

Status check_inputs(std::span<const NamedType> expected, std::span<const Tensor> given) {
  if (given.size() != expected.size()) {
    return error(Code::InvalidArgument, "the model takes ", expected.size(), " inputs, not ",
                 given.size());
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    const TensorType& type = expected[i].type;
    const auto bytes = static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
    if (given[i].type == type && given[i].bytes.size() == bytes) continue;
    return error(Code::InvalidArgument, "input '", expected[i].name, "' takes ", to_string(type),
                 ", not ", to_string(given[i].type));
  }
  return {};
}

}  // namespace

void add_json_option(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "Print the result as JSON");
}

void add_run_options(CLI::App& command, RunOptions& options) {
  command.add_option("--threads", options.threads, "Threads to compute with")
      ->check(CLI::Range(1, 256))
      ->transform(CLI::Validator(use_available_threads, "", "threads"))
      ->capture_default_str();
  command.add_option("--isa", options.isa,
                     "Highest instruction set to use: reference, avx2, avxvnni, avx512vnni, neon, "
                     "neondot or neoni8mm (default: what ENN_ISA says, else the CPU's best)");
  add_json_option(command, options.json);
}

void add_data_options(CLI::App& command, DataArguments& data, const std::string& name,
                      const std::string& description, bool required) {
  const std::string group = "Data";
  Preprocessing& steps = data.options.preprocessing;
  command
      .add_option(name, data.path,
                  description +
                      ": a folder of images (.jpg, .png) or of arrays, a folder with a "
                      "sub-folder per class, or a .npy, .npz, IDX (-ubyte, -ubyte.gz) or "
                      "raw (.bin, .raw) file whose first axis counts the samples")
      ->required(required)
      ->group(group);
  command.add_option("--samples", data.options.max_samples, "Use the first N samples only")
      ->group(group);
  command
      .add_option("--resize", steps.resize,
                  "Resize images: N for the shorter side, or HEIGHT,WIDTH")
      ->delimiter(',')
      ->expected(1, 2)
      ->check(CLI::PositiveNumber)
      ->group(group);
  command.add_option("--crop", steps.crop, "Crop images from the centre: N, or HEIGHT,WIDTH")
      ->delimiter(',')
      ->expected(1, 2)
      ->check(CLI::PositiveNumber)
      ->group(group);
  command.add_option("--interpolation", steps.interpolation, "How images are resized")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Interpolation>{
          {"bilinear", Interpolation::Bilinear}, {"nearest", Interpolation::Nearest}}))
      ->group(group);
  command
      .add_option("--mean", steps.mean,
                  "Subtract from the pixels (after they are divided by 255): one number or one per "
                  "channel, e.g. 0.485,0.456,0.406")
      ->delimiter(',')
      ->expected(1, 4)
      ->group(group);
  command.add_option("--std", steps.std, "Divide by, after --mean: one number or one per channel")
      ->delimiter(',')
      ->expected(1, 4)
      ->check(CLI::PositiveNumber)
      ->group(group);
  command.add_flag("!--no-scale", steps.scale_to_one, "Do not divide the pixels by 255")
      ->group(group);
  command
      .add_flag("--skip-unreadable", data.options.skip_unreadable,
                "Leave out images that cannot be read, and count them, instead of ending with the "
                "first")
      ->group(group);
  command.add_flag("--nhwc", steps.channels_last, "The model takes images with channels last")
      ->group(group);
}

void add_label_option(CLI::App& command, DataArguments& data) {
  command
      .add_option(
          "--labels", data.options.labels,
          "What is right: a text file of lines \"name label\" for a folder of images, or an "
          "array file (class numbers, class maps or images); else the sub-folders' numbers "
          "in alphabetical order, or the .npz's array \"labels\"")
      ->group("Data");
}

void report_skipped(const Dataset& data) {
  if (data.skipped().empty()) return;
  std::cerr << "enn: " << data.skipped().size()
            << " image(s) could not be read and were left out; the first: "
            << data.skipped().front() << '\n';
}

Result<FileKind> kind_of(std::span<const std::byte> bytes) {
  const auto text = std::string_view(reinterpret_cast<const char*>(bytes.data()),
                                     std::min<std::size_t>(bytes.size(), 16));
  if (text.starts_with(kZip)) return FileKind::Archive;
  if (is_pte(bytes)) return FileKind::Pte;
  if (text.starts_with("ENN")) return FileKind::Payload;
  return error(Code::InvalidArgument,
               "it is neither an archive of torch.export (.pt2) nor a program (.pte, payload)");
}

Result<ExportedProgram> load_archive(const std::filesystem::path& path) {
  {
    ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
    const auto kind = kind_of(file.bytes());
    if (!kind.ok()) return in_file(path, kind.status());
    if (kind.value() != FileKind::Archive) {
      return error(Code::InvalidArgument, path.string(),
                   " is a compiled program; this needs the archive of torch.export (.pt2)");
    }
  }
  auto program = ExportedProgram::load(path);
  if (!program.ok()) return in_file(path, program.status());
  return program;
}

bool is_quantized(const ExportedProgram& program) {
  const Graph& graph = program.graph();
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op == Op::Quantize || graph.node(id).op == Op::Dequantize) return true;
  }
  return false;
}

Result<Runner> Runner::open(const ExportedProgram& program, Execution execution,
                            const RunOptions& options) {
  ModelOptions model_options;
  model_options.execution = execution;
  model_options.threads = options.threads;
  model_options.isa = options.isa;
  model_options.source_lines = options.source_lines;
  ENN_ASSIGN(Model model, Model::compile(program, model_options));
  Runner out;
  out.inputs_ = program.inputs();
  out.outputs_ = program.outputs();
  out.model_ = std::make_unique<Model>(std::move(model));
  return out;
}

Result<Runner> Runner::open(std::span<const std::byte> file, const RunOptions& options) {
  const bool pte = is_pte(file);
  std::vector<PteMethod> methods(1);
  std::span<const std::byte> payload = file;
  if (pte) {
    ENN_ASSIGN(methods, read_pte(file));
    if (methods.empty()) return error(Code::Unsupported, "the program has no method");
    ENN_TRY(check_single_call(methods.front()));
    const PteDelegate& delegate = methods.front().delegates.front();
    if (delegate.id != kDelegateName) {
      return error(Code::Unsupported, "the program is for the backend '",
                   printable_text(delegate.id), "', not for ", kDelegateName);
    }
    payload = delegate.payload;
  }
  Runner out;
  out.payload_.assign(payload.begin(), payload.end());
  LoadOptions load_options;
  load_options.isa = options.isa;
  load_options.max_threads = options.threads;
  ENN_ASSIGN(out.program_, Program::load(out.payload_, load_options));
  out.parallel_ = make_thread_pool(options.threads);
  const std::span<const TensorType> arguments = out.program_->inputs();
  const std::span<const TensorType> results = out.program_->outputs();
  const auto add = [](std::vector<NamedType>& list, std::string_view what, const TensorType& type) {
    list.push_back({str(what, '_', list.size()), type});
  };
  if (!pte) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      out.call_.arguments.push_back({SingleCall::Source::Kind::Input, i});
      add(out.inputs_, "input", arguments[i]);
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      out.call_.outputs.push_back({SingleCall::Source::Kind::Result, i});
      add(out.outputs_, "output", results[i]);
    }
    return out;
  }
  ENN_ASSIGN(out.call_, single_call(methods.front(), arguments, results));
  for (const auto& type : methods.front().inputs) {
    if (!type) return error(Code::Unsupported, "input ", out.inputs_.size(), " is no tensor");
    add(out.inputs_, "input", *type);
  }
  for (const auto& type : methods.front().outputs) add(out.outputs_, "output", *type);
  for (const SingleCall::Kept& kept : out.call_.kept) out.kept_.push_back(kept.initial);
  return out;
}

const Program& Runner::program() const { return model_ ? model_->program() : *program_; }

std::span<const std::byte> Runner::payload() const {
  return model_ ? model_->payload() : std::span<const std::byte>(payload_);
}

Result<std::vector<Tensor>> Runner::run(std::span<const Tensor> inputs,
                                        ExecutionListener* listener) {
  ENN_TRY(check_inputs(inputs_, inputs));
  if (model_) {
    std::vector<TensorView> views;
    for (const Tensor& input : inputs) views.push_back(input.view());
    return (*model_)(views, listener);
  }
  using Kind = SingleCall::Source::Kind;
  std::vector<const std::byte*> sources;
  for (const SingleCall::Source& argument : call_.arguments) {
    sources.push_back(argument.kind == Kind::Kept ? kept_[argument.index].data()
                                                  : inputs[argument.index].bytes.data());
  }
  std::vector<Tensor> results;
  std::vector<std::byte*> targets;
  for (const TensorType& type : program_->outputs()) {
    const auto size = static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
    results.push_back({type, std::vector<std::byte>(size)});
    targets.push_back(results.back().bytes.data());
  }
  ENN_TRY(program_->execute(sources, targets, *parallel_, listener));
  const auto bytes_of = [&](const SingleCall::Source& source) {
    if (source.kind == Kind::Kept) return kept_[source.index];
    return source.kind == Kind::Input ? inputs[source.index].bytes : results[source.index].bytes;
  };
  for (const SingleCall::Copy& copy : call_.copies) kept_[copy.to] = bytes_of(copy.from);
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < call_.outputs.size(); ++i)
    outputs.push_back({outputs_[i].type, bytes_of(call_.outputs[i])});
  return outputs;
}

Result<std::vector<NamedRunner>> open_runners(const std::filesystem::path& path,
                                              const RunOptions& options) {
  std::vector<NamedRunner> out;
  const auto add = [&](std::string name, Result<Runner> runner) -> Status {
    if (!runner.ok()) return in_file(path, runner.status());
    out.push_back({std::move(name), std::move(runner).value()});
    return {};
  };
  {
    ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
    const auto kind = kind_of(file.bytes());
    if (!kind.ok()) return in_file(path, kind.status());
    if (kind.value() != FileKind::Archive) {
      ENN_TRY(add("pte", Runner::open(file.bytes(), options)));
      return out;
    }
  }
  ENN_ASSIGN(const ExportedProgram program, load_archive(path));
  if (!is_quantized(program)) {
    ENN_TRY(add("float", Runner::open(program, Execution::Qdq, options)));
    return out;
  }
  ENN_TRY(add("qdq", Runner::open(program, Execution::Qdq, options)));
  ENN_TRY(add("integer", Runner::open(program, Execution::Integer, options)));
  return out;
}

Progress::Progress(std::string_view what, std::uint64_t total)
    : what_(what),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {
  if (terminal_) show(false);
}

Progress::~Progress() {
  if (terminal_) {
    show(true);
    std::cerr << '\n';
  }
}

void Progress::advance(std::uint64_t count) {
  done_ += count;
  const auto now = std::chrono::steady_clock::now();
  if (terminal_) {
    if (now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    show(false);
  } else if (done_ * 10 >= next_tenth_ * total_) {
    while (done_ * 10 >= next_tenth_ * total_ && next_tenth_ <= 10) ++next_tenth_;
    show(false);
  }
}

void Progress::show(bool last) {
  constexpr std::uint64_t kWidth = 30;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0.0;
  std::ostringstream line;
  line << what_ << ' ';
  if (terminal_) {
    const std::uint64_t filled = total_ == 0 ? kWidth : std::min(kWidth, done_ * kWidth / total_);
    line << '[' << std::string(filled, '#') << std::string(kWidth - filled, ' ') << "] ";
  }
  line << done_ << '/' << total_;
  if (done_ > 0) {
    line << ", " << decimal(rate, 1) << "/s, ";
    if (last || done_ >= total_) {
      line << decimal(seconds, 1) << " s";
    } else {
      line << decimal(static_cast<double>(total_ - done_) / rate, 0) << " s left";
    }
  }
  std::cerr << (terminal_ ? "\r" : "") << line.str() << (terminal_ ? "\x1b[K" : "\n") << std::flush;
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::ostringstream line;
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      const std::string& body = rows_.size() > 1 && c < rows_[1].size() ? rows_[1][c] : rows_[r][c];
      const bool numeric =
          !body.empty() &&
          (std::isdigit(static_cast<unsigned char>(body[0])) != 0 || body[0] == '-') && c > 0;
      line << (c == 0 ? "" : "  ") << (numeric ? std::right : std::left)
           << std::setw(static_cast<int>(widths[c])) << rows_[r][c];
    }
    std::string text = std::move(line).str();
    text.erase(text.find_last_not_of(' ') + 1);
    std::cout << text << '\n';
  }
}

std::string decimal(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return std::move(out).str();
}

std::string byte_text(std::uint64_t bytes) {
  constexpr double kKilo = 1024.0;
  const auto value = static_cast<double>(bytes);
  if (value < kKilo) return str(bytes, " B");
  if (value < kKilo * kKilo) return decimal(value / kKilo, 1) + " KiB";
  return decimal(value / kKilo / kKilo, 1) + " MiB";
}

void print_json(const Json& json) {
  std::cout << json.dump(2, ' ', true, Json::error_handler_t::replace) << '\n';
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const std::vector<NamedType>& named) {
  Json out = Json::array();
  for (const NamedType& item : named) {
    out.push_back(
        {{"name", item.name}, {"dtype", to_string(item.type.dtype)}, {"shape", item.type.shape}});
  }
  return out;
}

}  // namespace enn::tool
