// Graph -> program bytes: a list of named passes over the IR (pipeline.cpp is the table of
// contents), then memory planning and emission.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "enn/execution.hpp"
#include "enn/program.hpp"
#include "ir/graph.hpp"

namespace enn {

struct CompileOptions {
  Execution execution = Execution::Integer;
  bool source_lines = false;  // write the steps' lines of the eager model (portable_source)
  // The order in which the caller's tensors lie, one per input and output of the graph; empty ones
  // for the order of their shape. None at all: empty ones.
  std::vector<DimOrder> input_orders;
  std::vector<DimOrder> output_orders;
  std::vector<std::string> disabled_passes;  // by name; an unknown name is an error
  // Called after each pass with its name and the graph; for dumps and tests.
  std::function<void(std::string_view pass, const Graph& graph)> after_pass;
};

struct PassTiming {
  std::string_view name;
  double milliseconds = 0;
};

struct CompiledProgram {
  std::vector<std::byte> bytes;  // the payload: header, checksum, FlatBuffer (schema/README.md)
  std::vector<PassTiming> passes;
  // Of each tap of the graph the order of its dimensions in memory; empty for that of the shape.
  std::vector<DimOrder> tap_orders;
};

[[nodiscard]] std::vector<std::string_view> pass_names();

[[nodiscard]] Result<CompiledProgram> compile(Graph graph, const CompileOptions& options = {});

}  // namespace enn
