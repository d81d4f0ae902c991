#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ops/common.hpp"

namespace enn {
namespace {

// -inf above the diagonal.
ValueId causal_mask(Graph& graph, const std::string& name, std::int64_t rows,
                    std::int64_t columns) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns), 0.0F);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = i + 1; j < columns; ++j) {
      values[static_cast<std::size_t>(i * columns + j)] = -std::numeric_limits<float>::infinity();
    }
  }
  return add_float_constant(graph, name + ".causal", {rows, columns}, values);
}

}  // namespace

// softmax(q k^T scale + mask) v, as nodes of their own. What they cannot express stays a node of
// unknown operator: dropout, masks of booleans, heads that share keys.
Result<NodeId> import_attention(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId query, args.tensor("query"));
  ENN_ASSIGN(const ValueId key, args.tensor("key"));
  ENN_ASSIGN(const ValueId value, args.tensor("value"));
  ENN_ASSIGN(const ValueId mask, args.optional_tensor("attn_mask"));
  ENN_ASSIGN(const double dropout, args.number("dropout_p", 0.0));
  ENN_ASSIGN(const bool causal, args.boolean("is_causal", false));
  ENN_ASSIGN(const bool grouped, args.boolean("enable_gqa", false));
  const Shape q = graph.value(query).type.shape;
  const Shape k = graph.value(key).type.shape;
  const DType dtype = graph.value(query).type.dtype;
  const bool plain_mask = mask == kNone || graph.value(mask).type.dtype == dtype;
  const bool shared_keys =
      grouped && q.size() > 2 && k.size() > 2 && q[q.size() - 3] != k[k.size() - 3];
  if (dropout != 0.0 || !plain_mask || shared_keys || q.size() < 2 || k.size() < 2) {
    std::vector<ValueId> inputs{query, key, value};
    if (mask != kNone) inputs.push_back(mask);
    return NodeId{add_call(graph, call, Op::Unknown, std::move(inputs))};
  }
  const std::int64_t rows = q[q.size() - 2];
  const std::int64_t columns = k[k.size() - 2];
  ENN_ASSIGN(const double scale,
             args.number("scale", 1.0 / std::sqrt(static_cast<double>(q.back()))));
  const std::array factor{static_cast<float>(scale)};
  const ValueId scaled = internal_value(
      graph, Op::Mul, call.name + ".scaled",
      {query, add_float_constant(graph, call.name + ".scale", {}, factor)}, {dtype, q});
  ENN_ASSIGN(Shape shape, broadcast({q.begin(), q.end() - 2}, {k.begin(), k.end() - 2}));
  shape.insert(shape.end(), {rows, columns});
  Attributes transposed = internal_attributes();
  transposed.set("transpose_b", true);
  ValueId scores = internal_value(graph, Op::MatMul, call.name + ".scores", {scaled, key},
                                  {dtype, shape}, std::move(transposed));
  if (mask != kNone) {
    scores = internal_value(graph, Op::Add, call.name + ".masked", {scores, mask}, {dtype, shape});
  }
  if (causal) {
    scores = internal_value(graph, Op::Add, call.name + ".causally_masked",
                            {scores, causal_mask(graph, call.name, rows, columns)}, {dtype, shape});
  }
  Attributes along = internal_attributes();
  along.set("dim", static_cast<std::int64_t>(shape.size()) - 1);
  // A row that is masked as a whole gives 0.
  if (mask != kNone || causal) along.set("safe", true);
  const ValueId weights = internal_value(graph, Op::Softmax, call.name + ".weights", {scores},
                                         {dtype, shape}, std::move(along));
  return NodeId{add_call(graph, call, op, {weights, value})};
}

}  // namespace enn
