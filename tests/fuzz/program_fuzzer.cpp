// libFuzzer entry point over the FlatBuffer of a program; the header is written for each input.
#include <cstddef>
#include <cstdint>
#include <span>

#include "enn/parallel.hpp"
#include "runtime/testing.hpp"
#include "untrusted_run.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  enn::SerialParallel serial;
  const auto body = std::as_bytes(std::span(data, size));
  (void)enn::testing::load_and_run(enn::testing::payload_of(body), 1, serial);
  return 0;
}
