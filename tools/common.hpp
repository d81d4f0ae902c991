// What the sub-commands share: models from any file, data, progress, reports.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"
#include "enn/enn.hpp"
#include "lowering/pte_reader.hpp"

namespace enn::tool {

using Json = nlohmann::ordered_json;

// What a sub-command does once the command line was understood.
using Action = std::function<Status()>;

// How a model runs, on every command.
struct RunOptions {
  int threads = 1;
  std::string isa;
  bool json = false;
  bool source_lines = false;  // an archive is compiled with the lines of the eager model
};
void add_run_options(CLI::App& command, RunOptions& options);
void add_json_option(CLI::App& command, bool& json);

// Images and arrays, on every command that reads them.
struct DataArguments {
  std::string path;
  DataOptions options;
};
void add_data_options(CLI::App& command, DataArguments& data, const std::string& name,
                      const std::string& description, bool required = true);
void add_label_option(CLI::App& command, DataArguments& data);
// Says on standard error how many images were left out, if any.
void report_skipped(const Dataset& data);

enum class FileKind : std::uint8_t { Archive, Pte, Payload };
// By the first bytes.
[[nodiscard]] Result<FileKind> kind_of(std::span<const std::byte> bytes);

[[nodiscard]] Result<ExportedProgram> load_archive(const std::filesystem::path& path);
[[nodiscard]] bool is_quantized(const ExportedProgram& program);

// A model that runs, from an archive, a ".pte" file or a payload.
class Runner {
 public:
  [[nodiscard]] static Result<Runner> open(const ExportedProgram& program, Execution execution,
                                           const RunOptions& options);
  // Of a ".pte" or payload.
  [[nodiscard]] static Result<Runner> open(std::span<const std::byte> file,
                                           const RunOptions& options);

  [[nodiscard]] const std::vector<NamedType>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<NamedType>& outputs() const { return outputs_; }
  [[nodiscard]] const Program& program() const;
  [[nodiscard]] std::span<const std::byte> payload() const;
  [[nodiscard]] Result<std::vector<Tensor>> run(std::span<const Tensor> inputs,
                                                ExecutionListener* listener = nullptr);

 private:
  std::vector<NamedType> inputs_;
  std::vector<NamedType> outputs_;
  std::unique_ptr<Model> model_;
  std::vector<std::byte> payload_;
  std::unique_ptr<Program> program_;
  SingleCall call_;                           // of program_
  std::vector<std::vector<std::byte>> kept_;  // of call_: what the next run finds
  std::unique_ptr<Parallel> parallel_;
};

// A file as what can run: one runner, or for a quantized archive one for each execution.
struct NamedRunner {
  std::string name;  // "float", "qdq", "integer", "pte"
  Runner runner;
};
[[nodiscard]] Result<std::vector<NamedRunner>> open_runners(const std::filesystem::path& path,
                                                            const RunOptions& options);

// A bar with an estimate on a terminal, a plain line now and then elsewhere; on standard error.
class Progress {
 public:
  Progress(std::string_view what, std::uint64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();
  void advance(std::uint64_t count = 1);

 private:
  void show(bool last);

  std::string what_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t next_tenth_ = 1;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

// Columns as wide as their widest cell; numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

[[nodiscard]] std::string decimal(double value, int digits = 2);
[[nodiscard]] std::string byte_text(std::uint64_t bytes);
// Prints JSON with what is no UTF-8 replaced.
void print_json(const Json& json);
// A number as JSON has it: null when it is not finite.
[[nodiscard]] Json number(double value);
[[nodiscard]] Json to_json(const std::vector<NamedType>& named);

// In a folder of `enn run --values`: the names of its files in the order of execution.
inline constexpr const char* kOrderFile = "order.json";

// One per file.
void add_analyze(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_evaluate(CLI::App& app, Action& action);
void add_lower(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_compare(CLI::App& app, Action& action);

}  // namespace enn::tool
