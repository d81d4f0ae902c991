#include "ops/matmul/decompose_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "ops/common.hpp"

namespace enn {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
// A causal mask is made in memory.
constexpr std::int64_t kLargestMask = std::int64_t{1} << 26;

class AttentionDecomposition {
 public:
  AttentionDecomposition(const Graph& graph, const Call& call, bool has_dynamic_sizes)
      : graph_(graph), call_(call), has_dynamic_sizes_(has_dynamic_sizes) {}

  Result<std::optional<std::vector<DecompositionStep>>> run() {
    const Arguments args(call_);
    ENN_ASSIGN(const double dropout, args.number("dropout_p", 0.0));
    ENN_ASSIGN(const ValueId query, args.tensor("query"));
    ENN_ASSIGN(ValueId key, args.tensor("key"));
    ENN_ASSIGN(ValueId value, args.tensor("value"));
    const Shape shape = type_of(query).shape;
    if (shape.size() < 2 || type_of(key).shape.size() < 2 || type_of(value).shape.size() < 2) {
      return error(Code::InvalidArgument, "node '", call_.name, "' attends to less than matrices");
    }
    ENN_ASSIGN(const bool grouped, args.boolean("enable_gqa", false));
    ENN_ASSIGN(const bool causal, args.boolean("is_causal", false));
    if (shape.back() == kDynamicSize || ((grouped || causal) && has_dynamic_sizes_))
      return std::optional<std::vector<DecompositionStep>>();
    if (grouped) {
      ENN_ASSIGN(key, repeated(key, shape));
      ENN_ASSIGN(value, repeated(value, shape));
    }
    ENN_ASSIGN(const double scale,
               args.number("scale", 1.0 / std::sqrt(static_cast<double>(shape.back()))));
    const ValueId scaled = add("aten.mul.Tensor", "mul_tensor",
                               {{"self", TensorArgument{query}}, {"other", scale}}, type_of(query));
    TensorType transposed = type_of(key);
    std::swap(transposed.shape.back(), transposed.shape[transposed.shape.size() - 2]);
    const ValueId turned =
        add("aten.transpose.int", "transpose_int",
            {{"self", TensorArgument{key}}, {"dim0", std::int64_t{-2}}, {"dim1", std::int64_t{-1}}},
            std::move(transposed));
    ENN_ASSIGN(ValueId scores, product(scaled, turned));
    bool masked = false;
    ENN_ASSIGN(const ValueId given, args.optional_tensor("attn_mask"));
    if (given != kNone) {
      ENN_ASSIGN(scores, sum(scores, additive(given)));
      masked = true;
    }
    if (causal) {
      ENN_ASSIGN(const ValueId mask, causal_mask(type_of(scores).shape));
      ENN_ASSIGN(scores, sum(scores, mask));
      masked = true;
    }
    // A row that is masked as a whole gives 0, as in torch.
    ValueId weights =
        add(masked ? "aten._safe_softmax.default" : "aten.softmax.int",
            masked ? "_safe_softmax_default" : "softmax_int",
            {{"self", TensorArgument{scores}}, {"dim", std::int64_t{-1}}}, type_of(scores));
    if (dropout != 0.0) {
      // The attention itself has no mode: it drops whenever it runs.
      weights = add("aten.dropout.default", "dropout_default",
                    {{"input", TensorArgument{weights}}, {"p", dropout}, {"train", true}},
                    type_of(weights));
    }
    ENN_ASSIGN(const ValueId result, product(weights, value));
    if (type_of(result) != call_.results.front()) {
      return error(Code::InvalidArgument, "node '", call_.name, "' (", call_.target, ") gives ",
                   to_string(type_of(result)), ", but its result is declared ",
                   to_string(call_.results.front()));
    }
    return std::optional(std::move(steps_));
  }

 private:
  using NamedArguments = std::vector<std::pair<std::string, Argument>>;

  [[nodiscard]] const TensorType& type_of(ValueId id) const {
    return id >= kMadeTensor ? steps_[id - kMadeTensor].type() : graph_.value(id).type;
  }

  ValueId add(std::string target, std::string name, NamedArguments arguments, TensorType type) {
    steps_.push_back({{std::move(target),
                       std::move(name),
                       std::move(arguments),
                       {std::move(type)},
                       call_.source},
                      nullptr});
    return kMadeTensor + static_cast<ValueId>(steps_.size() - 1);
  }

  ValueId add_constant(Shape shape, std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    steps_.push_back({{{},
                       str("_", call_.name, "_mask"),
                       {},
                       {{DType::Float32, std::move(shape)}},
                       call_.source},
                      std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())});
    return kMadeTensor + static_cast<ValueId>(steps_.size() - 1);
  }

  Result<ValueId> product(ValueId a, ValueId b) {
    const Shape& first = type_of(a).shape;
    const Shape& second = type_of(b).shape;
    ENN_ASSIGN(Shape shape,
               broadcast({first.begin(), first.end() - 2}, {second.begin(), second.end() - 2}));
    shape.insert(shape.end(), {first[first.size() - 2], second.back()});
    TensorType type{type_of(a).dtype, std::move(shape)};
    return ValueId{add("aten.matmul.default", "matmul_default",
                       {{"self", TensorArgument{a}}, {"other", TensorArgument{b}}},
                       std::move(type))};
  }

  Result<ValueId> sum(ValueId scores, ValueId mask) {
    ENN_ASSIGN(Shape shape, broadcast(type_of(scores).shape, type_of(mask).shape));
    TensorType type{type_of(scores).dtype, std::move(shape)};
    return ValueId{add("aten.add.Tensor", "add_tensor",
                       {{"self", TensorArgument{scores}}, {"other", TensorArgument{mask}}},
                       std::move(type))};
  }

  // Each head of a group of queries reads the same key and value.
  Result<ValueId> repeated(ValueId heads, const Shape& query) {
    const Shape shape = type_of(heads).shape;
    if (shape.size() < 3 || query.size() < 3 || shape[shape.size() - 3] <= 0 ||
        query[query.size() - 3] % shape[shape.size() - 3] != 0) {
      return error(Code::InvalidArgument, "node '", call_.name,
                   "' has heads that cannot share keys");
    }
    const std::int64_t groups = query[query.size() - 3] / shape[shape.size() - 3];
    if (groups == 1) return heads;
    const DType dtype = type_of(heads).dtype;
    const auto at = static_cast<std::ptrdiff_t>(shape.size()) - 2;
    Shape apart = shape;
    apart.insert(apart.begin() + at, 1);
    const ValueId unsqueezed =
        add("aten.unsqueeze.default", "unsqueeze_default",
            {{"self", TensorArgument{heads}}, {"dim", std::int64_t{-3}}}, {dtype, apart});
    apart[static_cast<std::size_t>(at)] = groups;
    const ValueId expanded =
        add("aten.expand.default", "expand_default",
            {{"self", TensorArgument{unsqueezed}}, {"size", apart}}, {dtype, apart});
    Shape joined = shape;
    joined[joined.size() - 3] *= groups;
    return ValueId{add("aten.reshape.default", "reshape_default",
                       {{"self", TensorArgument{expanded}}, {"shape", joined}}, {dtype, joined})};
  }

  // A mask of truth values becomes 0 and -inf.
  ValueId additive(ValueId mask) {
    if (type_of(mask).dtype != DType::Bool) return mask;
    const ValueId lowest = add_constant({}, std::span(&kNegativeInfinity, 1));
    TensorType type{DType::Float32, type_of(mask).shape};
    return add(
        "aten.where.ScalarSelf", "where_scalar_self",
        {{"condition", TensorArgument{mask}}, {"self", 0.0}, {"other", TensorArgument{lowest}}},
        std::move(type));
  }

  // -inf above the diagonal.
  Result<ValueId> causal_mask(const Shape& scores) {
    const std::int64_t rows = scores[scores.size() - 2];
    const std::int64_t columns = scores.back();
    const auto count = checked_numel({rows, columns}, kLargestMask);
    if (!count) {
      return error(Code::ResourceExhausted, "the causal mask of node '", call_.name,
                   "' is too large");
    }
    std::vector<float> values(static_cast<std::size_t>(*count), 0.0F);
    for (std::int64_t i = 0; i < rows; ++i) {
      const auto row = values.begin() + i * columns;
      std::fill(row + std::min(i + 1, columns), row + columns, kNegativeInfinity);
    }
    return ValueId{add_constant({rows, columns}, values)};
  }

  const Graph& graph_;
  const Call& call_;
  bool has_dynamic_sizes_;
  std::vector<DecompositionStep> steps_;
};

}  // namespace

Result<std::optional<std::vector<DecompositionStep>>> decompose_attention(const Graph& graph,
                                                                          const Call& call) {
  bool has_dynamic_sizes = false;
  for (const auto& [name, argument] : call.arguments) {
    if (std::holds_alternative<SymbolArgument>(argument))
      return std::optional<std::vector<DecompositionStep>>();
    const auto* const tensor = std::get_if<TensorArgument>(&argument);
    if (tensor == nullptr || tensor->id == kNone) continue;
    const TensorType& type = graph.value(tensor->id).type;
    if (!is_known(type.dtype)) return std::optional<std::vector<DecompositionStep>>();
    has_dynamic_sizes |= dynamic_dim(type.shape) >= 0;
  }
  auto steps = AttentionDecomposition(graph, call, has_dynamic_sizes).run();
  // Dynamic sizes that differ may be equal when it runs, which only torch knows.
  if (!steps.ok() && has_dynamic_sizes) return std::optional<std::vector<DecompositionStep>>();
  return steps;
}

}  // namespace enn
