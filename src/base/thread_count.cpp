#include "base/thread_count.hpp"

#include <algorithm>
#include <thread>

namespace enn {

int usable_threads(int wanted) {
  // Those that the process may run on; 0 when that is not known.
  const auto cpus = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cpus > 0 ? std::min(wanted, cpus) : wanted);
}

}  // namespace enn
