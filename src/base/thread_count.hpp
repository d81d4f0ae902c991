#pragma once

namespace enn {

// `wanted`, but not more threads than this process has CPUs, and at least 1. With more, threads
// wait for others that do not run, and a model takes many times as long.
[[nodiscard]] int usable_threads(int wanted);

}  // namespace enn
