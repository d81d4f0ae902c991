// softmax(q k^T scale + mask) v, as torch documents scaled_dot_product_attention.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
// A causal mask is made in memory.
constexpr std::int64_t kLargestMask = std::int64_t{1} << 26;

// Each head of a group of queries reads the same key and value.
Result<ValueId> repeated(Steps& steps, ValueId heads, const Shape& query) {
  const Shape shape = steps.shape_of(heads);
  if (shape.size() < 3 || query.size() < 3 || shape[shape.size() - 3] <= 0 ||
      query[query.size() - 3] % shape[shape.size() - 3] != 0) {
    return error(Code::InvalidArgument, "node '", steps.call().name,
                 "' has heads that cannot share keys");
  }
  const std::int64_t groups = query[query.size() - 3] / shape[shape.size() - 3];
  if (groups == 1) return heads;
  const std::size_t at = shape.size() - 2;
  const ValueId apart = steps.unsqueeze(heads, at);
  Shape wanted = steps.shape_of(apart);
  wanted[at] = groups;
  const ValueId expanded = steps.expand(apart, wanted);
  Shape joined = shape;
  joined[joined.size() - 3] *= groups;
  return ValueId{steps.reshape(expanded, joined)};
}

// A mask of truth values becomes 0 and -inf.
ValueId additive(Steps& steps, ValueId mask) {
  if (steps.type_of(mask).dtype != DType::Bool) return mask;
  const ValueId lowest = steps.constant("mask", {}, std::span(&kNegativeInfinity, 1));
  return steps.add(
      "aten.where.ScalarSelf",
      {{"condition", TensorArgument{mask}}, {"self", 0.0}, {"other", TensorArgument{lowest}}},
      {DType::Float32, steps.shape_of(mask)});
}

// -inf above the diagonal.
Result<ValueId> causal_mask(Steps& steps, const Shape& scores) {
  const std::int64_t rows = scores[scores.size() - 2];
  const std::int64_t columns = scores.back();
  const auto count = checked_numel({rows, columns}, kLargestMask);
  if (!count) {
    return error(Code::ResourceExhausted, "the causal mask of node '", steps.call().name,
                 "' is too large");
  }
  std::vector<float> values(static_cast<std::size_t>(*count), 0.0F);
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = values.begin() + i * columns;
    std::fill(row + std::min(i + 1, columns), row + columns, kNegativeInfinity);
  }
  return ValueId{steps.constant("mask", {rows, columns}, values)};
}

}  // namespace

// Dropout becomes a step of its own, in training mode: the composite has no mode and drops whenever
// it runs.
Results decompose_attention(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const double dropout, args.number("dropout_p", 0.0));
  ENN_ASSIGN(const ValueId query, args.tensor("query"));
  ENN_ASSIGN(ValueId key, args.tensor("key"));
  ENN_ASSIGN(ValueId value, args.tensor("value"));
  const Shape shape = steps.shape_of(query);
  if (shape.size() < 2 || steps.rank_of(key) < 2 || steps.rank_of(value) < 2) {
    return error(Code::InvalidArgument, "node '", steps.call().name,
                 "' attends to less than matrices");
  }
  ENN_ASSIGN(const bool grouped, args.boolean("enable_gqa", false));
  ENN_ASSIGN(const bool causal, args.boolean("is_causal", false));
  const bool has_dynamic_sizes = steps.has_dynamic_sizes();
  if (shape.back() == kDynamicSize || ((grouped || causal) && has_dynamic_sizes))
    return std::vector<ValueId>{};
  if (grouped) {
    ENN_ASSIGN(key, repeated(steps, key, shape));
    ENN_ASSIGN(value, repeated(steps, value, shape));
  }
  ENN_ASSIGN(const double scale,
             args.number("scale", 1.0 / std::sqrt(static_cast<double>(shape.back()))));
  const ValueId scaled = steps.binary("mul", query, scale);
  TensorType transposed = steps.type_of(key);
  std::swap(transposed.shape.back(), transposed.shape[transposed.shape.size() - 2]);
  const ValueId turned = steps.add(
      "aten.transpose.int",
      {{"self", TensorArgument{key}}, {"dim0", std::int64_t{-2}}, {"dim1", std::int64_t{-1}}},
      std::move(transposed));
  ENN_ASSIGN(ValueId scores, steps.matmul(scaled, turned));
  bool masked = false;
  ENN_ASSIGN(const ValueId given, args.optional_tensor("attn_mask"));
  if (given != kNone) {
    ENN_ASSIGN(scores, steps.binary("add", scores, additive(steps, given)));
    masked = true;
  }
  if (causal) {
    ENN_ASSIGN(const ValueId mask, causal_mask(steps, steps.shape_of(scores)));
    ENN_ASSIGN(scores, steps.binary("add", scores, mask));
    masked = true;
  }
  // A row that is masked as a whole gives 0, as in torch.
  ValueId weights = steps.add(masked ? "aten._safe_softmax.default" : "aten.softmax.int",
                              {{"self", TensorArgument{scores}}, {"dim", std::int64_t{-1}}},
                              steps.type_of(scores));
  if (dropout != 0.0) {
    weights = steps.add("aten.dropout.default",
                        {{"input", TensorArgument{weights}}, {"p", dropout}, {"train", true}},
                        steps.type_of(weights));
  }
  ENN_ASSIGN(const ValueId result, steps.matmul(weights, value));
  if (steps.type_of(result) != steps.call().results.front()) {
    return error(Code::InvalidArgument, "node '", steps.call().name, "' (", steps.call().target,
                 ") gives ", to_string(steps.type_of(result)), ", but its result is declared ",
                 to_string(steps.call().results.front()));
  }
  return std::vector{result};
}

}  // namespace enn
