// Files that a command writes. "-" is standard output.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn::tool {

// A file that an option names; an empty path is not written.
struct Output {
  std::string_view option;
  std::string path;
};

// Finds out before the work begins that an output cannot be written, is one of the files that are
// read, or is named twice. With `json` standard output is the report's.
[[nodiscard]] Status check_outputs(std::span<const Output> outputs,
                                   const std::vector<std::string>& inputs, bool json);

[[nodiscard]] Status write_output(const std::string& path, std::span<const std::byte> bytes);
[[nodiscard]] Status write_output(const std::string& path, std::string_view text);

// Makes the folder unless it is there.
[[nodiscard]] Status make_folder(const std::string& path);

// Where sentences about the outputs go: standard error when one of them is standard output.
[[nodiscard]] std::ostream& report_stream(std::span<const Output> outputs);

// Fails when something that was printed did not reach standard output.
[[nodiscard]] Status finish_standard_output();

}  // namespace enn::tool
