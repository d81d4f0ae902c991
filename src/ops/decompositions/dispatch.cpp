// From decompositions.def to the functions of this folder.
#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <variant>

#include "ops/decompositions/steps.hpp"

namespace enn {

#define ENN_COMPOSITE(target, decompose) Results decompose_##decompose(Steps& steps);
#include "ops/decompositions/decompositions.def"
#undef ENN_COMPOSITE

namespace {

struct CompositeRow {
  std::string_view target;
  Results (*decompose)(Steps& steps);
};

constexpr auto kComposites = std::to_array<CompositeRow>({
#define ENN_COMPOSITE(target, decompose) {target, &decompose_##decompose},
#include "ops/decompositions/decompositions.def"
#undef ENN_COMPOSITE
});

const CompositeRow* composite(std::string_view target) {
  static const auto* const rows = [] {
    auto* map = new std::unordered_map<std::string_view, const CompositeRow*>;
    for (const CompositeRow& row : kComposites) map->emplace(row.target, &row);
    return map;
  }();
  const auto found = rows->find(target);
  return found == rows->end() ? nullptr : found->second;
}

// The tensors of the call; nullopt where it has an argument that no step can have.
std::optional<std::vector<ValueId>> tensors_of(const Graph& graph, const Call& call) {
  std::vector<ValueId> tensors;
  for (const auto& [name, argument] : call.arguments) {
    if (std::holds_alternative<SymbolArgument>(argument)) return std::nullopt;
    if (const auto* one = std::get_if<TensorArgument>(&argument)) tensors.push_back(one->id);
    if (const auto* list = std::get_if<std::vector<TensorArgument>>(&argument)) {
      for (const TensorArgument& item : *list) tensors.push_back(item.id);
    }
  }
  std::erase(tensors, kNone);
  const auto is_known_type = [&](ValueId id) { return is_known(graph.value(id).type.dtype); };
  if (!std::ranges::all_of(tensors, is_known_type)) return std::nullopt;
  return tensors;
}

bool is_dynamic(const TensorType& type) { return dynamic_dim(type.shape) >= 0; }

// Gives each result a step of its own.
void separate(Steps& steps, std::vector<ValueId>& results) {
  std::set<ValueId> seen;
  for (ValueId& result : results) {
    if (result < kMadeTensor || !seen.insert(result).second) result = steps.unary("clone", result);
  }
}

}  // namespace

bool Steps::has_dynamic_sizes() const {
  const auto tensors = tensors_of(graph_, call_);
  return tensors && std::ranges::any_of(
                        *tensors, [&](ValueId id) { return is_dynamic(graph_.value(id).type); });
}

bool is_composite(std::string_view target) { return composite(target) != nullptr; }

std::vector<std::string_view> composites() {
  std::vector<std::string_view> out;
  for (const CompositeRow& row : kComposites) out.push_back(row.target);
  return out;
}

Result<std::optional<Decomposition>> decompose(const Graph& graph, const Call& call) {
  const CompositeRow* row = composite(call.target);
  if (row == nullptr || !tensors_of(graph, call)) return std::optional<Decomposition>();
  Steps steps(graph, call);
  auto results = row->decompose(steps);
  if (!results.ok()) {
    // Dynamic sizes that differ may be equal when it runs, which only torch knows.
    if (steps.has_dynamic_sizes()) return std::optional<Decomposition>();
    return results.status();
  }
  std::vector<ValueId> ids = std::move(results).value();
  if (!steps.is_expressible() || ids.empty()) return std::optional<Decomposition>();
  separate(steps, ids);
  if (ids.size() != call.results.size()) return std::optional<Decomposition>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const TensorType& type = steps.type_of(ids[i]);
    const TensorType& declared = call.results[i];
    if (is_dynamic(type) || is_dynamic(declared) ? type.dtype != declared.dtype : type != declared)
      return std::optional<Decomposition>();
  }
  return std::optional(Decomposition{steps.take(), std::move(ids)});
}

}  // namespace enn
