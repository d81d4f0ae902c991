#include "output.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>
#include <system_error>

#include "base/file_io.hpp"

namespace enn::tool {
namespace {

bool is_stream(const std::string& path) { return path == "-" || is_standard_output(path); }

bool is_same(const std::string& a, const std::string& b) {
  return a == b || (is_stream(a) && is_stream(b)) || is_same_file(a, b);
}

bool is_regular(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

}  // namespace

Status check_outputs(std::span<const Output> outputs, const std::vector<std::string>& inputs,
                     bool json) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Output& output = outputs[i];
    if (output.path.empty()) continue;
    if (is_stream(output.path) && json) {
      return error(Code::InvalidArgument, output.option,
                   " is standard output, where --json prints the report");
    }
    for (const Output& other : outputs.first(i)) {
      if (other.path.empty() || !is_same(output.path, other.path)) continue;
      if (!is_stream(output.path) && !is_regular(output.path) && output.path != other.path) {
        continue;
      }
      return error(Code::InvalidArgument, output.option, " and ", other.option,
                   " name the same file, ", output.path);
    }
    for (const std::string& input : inputs) {
      if (!is_regular(input) || !is_same_file(input, output.path)) continue;
      return error(Code::InvalidArgument, output.option, " names ", output.path,
                   ", which is read: an input is not replaced");
    }
    if (output.path != "-") ENN_TRY(check_writable(output.path));
  }
  return {};
}

Status write_output(const std::string& path, std::span<const std::byte> bytes) {
  return path == "-" ? write_standard_output(bytes) : write_file_atomically(path, bytes);
}

Status write_output(const std::string& path, std::string_view text) {
  return write_output(path, std::as_bytes(std::span(text)));
}

Status make_folder(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (!failure && std::filesystem::is_directory(path, failure)) {
    if (::access(path.c_str(), W_OK | X_OK) == 0) return {};
    return error(Code::InvalidArgument, "cannot write in the folder ", path, ": ",
                 std::generic_category().message(errno));
  }
  return error(Code::InvalidArgument, "cannot make the folder ", path, ": ",
               failure ? failure.message() : "a file is in the way");
}

std::ostream& report_stream(std::span<const Output> outputs) {
  for (const Output& output : outputs) {
    if (!output.path.empty() && is_stream(output.path)) return std::cerr;
  }
  return std::cout;
}

Status finish_standard_output() {
  errno = 0;
  std::cout.flush();
  if (std::cout) return {};
  return error(Code::InvalidArgument, "cannot write to standard output",
               errno == 0 ? std::string() : ": " + std::generic_category().message(errno));
}

}  // namespace enn::tool
