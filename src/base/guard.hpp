// Where an exception ends. The core throws none, but standard containers report exhausted memory in
// no other way. Every public function that returns a Status or a Result is guarded once, where it
// is called from outside.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string_view>

#include "enn/result.hpp"

namespace enn {

// The sentence itself needs memory; without any, only the code is left.
template <typename... Args>
[[nodiscard]] Status error_if_memory_lasts(Code code, const Args&... args) noexcept {
  try {
    return error(code, args...);
  } catch (...) {
    return {code, {}};
  }
}

// What `body()` returns, a Status or a Result. An exception becomes a Status that says what could
// not be done: `action` completes "there is not enough memory to …".
template <typename Body>
[[nodiscard]] auto guarded(std::string_view action, const Body& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  } catch (const std::exception& problem) {
    return error_if_memory_lasts(Code::Internal, "cannot ", action, ": ", problem.what());
  } catch (...) {
    return error_if_memory_lasts(Code::Internal, "cannot ", action);
  }
  return error_if_memory_lasts(Code::ResourceExhausted, "there is not enough memory to ", action);
}

}  // namespace enn
