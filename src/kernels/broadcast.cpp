#include "kernels/broadcast.hpp"

#include <algorithm>

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

bool broadcasts_to(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& out) {
  if (shape.size() > out.size()) return false;
  const std::size_t skip = out.size() - shape.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 1 && shape[d] != out[skip + d]) return false;
  }
  return true;
}

BroadcastPlan plan_broadcast(std::span<const std::vector<std::int64_t>> operands,
                             const std::vector<std::int64_t>& out) {
  std::vector<std::vector<std::int64_t>> full;
  for (const auto& shape : operands) full.push_back(broadcast_strides(shape, out.size()));
  // Built from the innermost dimension outwards, then reversed.
  BroadcastPlan plan;
  plan.strides.resize(operands.size());
  for (std::size_t d = out.size(); d-- > 0;) {
    if (out[d] == 1) continue;
    bool merges = !plan.shape.empty();
    for (std::size_t k = 0; merges && k < full.size(); ++k) {
      merges = full[k][d] == plan.strides[k].back() * plan.shape.back();
    }
    if (merges) {
      plan.shape.back() *= out[d];
      continue;
    }
    plan.shape.push_back(out[d]);
    for (std::size_t k = 0; k < full.size(); ++k) plan.strides[k].push_back(full[k][d]);
  }
  if (plan.shape.empty()) {
    plan.shape = {1};
    for (auto& strides : plan.strides) strides = {0};
  }
  std::reverse(plan.shape.begin(), plan.shape.end());
  for (auto& strides : plan.strides) std::reverse(strides.begin(), strides.end());
  return plan;
}

}  // namespace enn
