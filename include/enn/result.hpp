// Status and Result<T>: how every part of the core reports failure. The core throws nothing and
// prints nothing; a failure carries a code (which range it is in tells who is at fault) and one
// sentence that names the thing: the node, the operator, the tensor, the shape.
#pragma once

#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace enn {

// Who is at fault, and how.
enum class Code : std::uint8_t {
  Ok = 0,
  InvalidArgument,    // the caller passed something that is not allowed
  Unsupported,        // well formed, but not taken by this engine
  InvalidGraph,       // the graph breaks a rule of the IR
  InvalidProgram,     // the bytes are not a program, or one that must not run
  ResourceExhausted,  // memory or a size limit
  Internal,           // a bug of ours
};

// Name of a code as it appears in messages, e.g. "invalid argument".
[[nodiscard]] const char* to_string(Code code);

// Concatenates its arguments with operator<<.
template <typename... Args>
[[nodiscard]] std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return std::move(out).str();
}

// Prints a range as "[1, 3, 224, 224]".
template <typename Range>
[[nodiscard]] std::string list_str(const Range& range) {
  std::ostringstream out;
  out << '[';
  const char* separator = "";
  for (const auto& item : range) {
    out << separator << item;
    separator = ", ";
  }
  out << ']';
  return std::move(out).str();
}

// Whether something succeeded, or what went wrong.
class [[nodiscard]] Status {
 public:
  // Success.
  Status() = default;
  // `message` is one sentence of printable ASCII.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  // Code::Ok and no message, or a failure's.
  [[nodiscard]] bool ok() const { return code_ == Code::Ok; }
  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  Code code_ = Code::Ok;
  std::string message_;
};

// A failure whose message is its arguments, concatenated.
template <typename... Args>
[[nodiscard]] Status error(Code code, const Args&... args) {
  return Status(code, str(args...));
}

// A value, or why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  // `status` is a failure.
  Result(T value) : state_(std::move(value)) {}         // NOLINT: implicit by intent
  Result(Status status) : state_(std::move(status)) {}  // NOLINT: implicit by intent

  // Whether there is a value.
  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  // Precondition of value(): ok().
  [[nodiscard]] T& value() & { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  // Ok when there is a value.
  [[nodiscard]] Status status() const { return ok() ? Status() : *std::get_if<1>(&state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace enn

// Of the macros below.
#define ENN_CONCAT_INNER(a, b) a##b
// Of the macros below.
#define ENN_CONCAT(a, b) ENN_CONCAT_INNER(a, b)

// Returns the Status of `expr` from the enclosing function unless it is Ok.
#define ENN_TRY(expr)                                                           \
  do {                                                                          \
    if (::enn::Status enn_status = (expr); !enn_status.ok()) return enn_status; \
  } while (false)

// ENN_ASSIGN(auto x, f()): x = value of the Result, or return its Status.
#define ENN_ASSIGN(target, expr) ENN_ASSIGN_IMPL(ENN_CONCAT(enn_result_, __LINE__), target, expr)
// Of ENN_ASSIGN.
#define ENN_ASSIGN_IMPL(result, target, expr) \
  auto result = (expr);                       \
  if (!result.ok()) return result.status();   \
  target = std::move(result).value()
