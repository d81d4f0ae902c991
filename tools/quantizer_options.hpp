// How a command quantizes: the quantizer's settings, and where ranges come from.
#pragma once

#include <string>
#include <vector>

#include "common.hpp"

namespace enn::tool {

struct QuantizerArguments {
  std::string config;
  std::vector<std::string> observers;
  std::vector<std::string> excluded;
  bool per_tensor = false;
  bool upstream = false;
  bool keep_biases = false;
  std::string weight_rounding;
  bool repair = false;
  std::string guard;
  std::vector<std::string> resume;
  std::string encodings;
};
void add_quantizer_options(CLI::App& command, QuantizerArguments& options);

[[nodiscard]] Result<EnnQuantizer> make_quantizer(const Graph& graph,
                                                  const QuantizerArguments& options);

// Prints what is to be said about the calibration and what the guard left in float.
void print_warnings(const QuantizedModel& quantized);

// Gives the model the statistics and encodings that the options name.
[[nodiscard]] Status take_ranges(const QuantizerArguments& options, PreparedModel& prepared);

// Runs a model on the samples that fill its batch: all, or those of so many calls, from all parts
// of the data. `shown` with a bar.
[[nodiscard]] Status feed_samples(const ExportedProgram& program,
                                  const DataArguments& data_arguments, const RunModel& run,
                                  std::size_t most_calls, bool shown = false);

// Shows the model all samples that fill its batch.
[[nodiscard]] Status calibrate(PreparedModel& prepared, const ExportedProgram& program,
                               const DataArguments& data_arguments);

}  // namespace enn::tool
