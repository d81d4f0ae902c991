#pragma once

#include <cstddef>

namespace enn::testing {

// The most bytes that operator new had handed out at one time since reset_peak_memory().
void reset_peak_memory();
[[nodiscard]] std::size_t peak_memory();

}  // namespace enn::testing
