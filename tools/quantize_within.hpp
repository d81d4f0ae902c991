// `enn quantize --max-drop`: what is evaluated, on which data, and how the search is shown.
#pragma once

#include <optional>
#include <string>

#include "common.hpp"

namespace enn::tool {

struct SearchArguments {
  std::optional<double> max_drop;
  std::optional<double> min_metric;
  bool relative = false;
  std::string metric;
  std::string evaluation;
  std::string labels;
  std::size_t max_layers = 0;
  std::string file;

  [[nodiscard]] bool wanted() const { return max_drop || min_metric; }
};
void add_search_options(CLI::App& command, SearchArguments& options);

// InvalidArgument when the other options of the command do not fit.
[[nodiscard]] Status check_search_options(const SearchArguments& options);

// `calibration` has the steps that prepare images, for the data of the evaluation too.
[[nodiscard]] Result<SearchResult> search(const ExportedProgram& program,
                                          const EnnQuantizer& quantizer,
                                          const SearchArguments& options,
                                          const DataArguments& calibration, const RunOptions& run);

// What was decided, on a stream for people and for --json.
void print_outcome(std::ostream& out, const SearchResult& result);
[[nodiscard]] Json outcome_json(const SearchResult& result);

}  // namespace enn::tool
