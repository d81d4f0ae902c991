#include <algorithm>
#include <cstddef>

#include "kernels/binary/binary.hpp"

namespace enn {
namespace {

// Strides of an operand seen with the rank of the result; 0 where it repeats.
std::vector<std::int64_t> broadcast_strides(const std::vector<std::int64_t>& shape,
                                            std::size_t rank) {
  std::vector<std::int64_t> strides(rank, 0);
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t size = shape[shape.size() - 1 - i];
    strides[rank - 1 - i] = size == 1 ? 0 : stride;
    stride *= size;
  }
  return strides;
}

}  // namespace

BroadcastPlan plan_broadcast(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b,
                             const std::vector<std::int64_t>& out) {
  const auto a_strides = broadcast_strides(a, out.size());
  const auto b_strides = broadcast_strides(b, out.size());
  // Built from the innermost dimension outwards, then reversed.
  BroadcastPlan plan;
  for (std::size_t d = out.size(); d-- > 0;) {
    if (out[d] == 1) continue;
    if (!plan.shape.empty() && a_strides[d] == plan.a_strides.back() * plan.shape.back() &&
        b_strides[d] == plan.b_strides.back() * plan.shape.back()) {
      plan.shape.back() *= out[d];
      continue;
    }
    plan.shape.push_back(out[d]);
    plan.a_strides.push_back(a_strides[d]);
    plan.b_strides.push_back(b_strides[d]);
  }
  if (plan.shape.empty()) plan = {{1}, {0}, {0}};
  std::reverse(plan.shape.begin(), plan.shape.end());
  std::reverse(plan.a_strides.begin(), plan.a_strides.end());
  std::reverse(plan.b_strides.begin(), plan.b_strides.end());
  return plan;
}

}  // namespace enn
