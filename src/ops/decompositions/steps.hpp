// Writes the steps of a decomposition.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/common.hpp"
#include "ops/decompositions/decompositions.hpp"

namespace enn {

class Steps {
 public:
  using List = std::vector<std::int64_t>;
  using NamedArguments = std::vector<std::pair<std::string, Argument>>;

  Steps(const Graph& graph, const Call& call) : graph_(graph), call_(call) {}

  [[nodiscard]] const TensorType& type_of(ValueId id) const {
    return id >= kMadeTensor ? steps_[id - kMadeTensor].type() : graph_.value(id).type;
  }
  [[nodiscard]] const Shape& shape_of(ValueId id) const { return type_of(id).shape; }
  [[nodiscard]] std::size_t rank_of(ValueId id) const { return shape_of(id).size(); }
  [[nodiscard]] const Call& call() const { return call_; }
  [[nodiscard]] std::vector<DecompositionStep> take() { return std::move(steps_); }
  // Whether an operand has a size that only a run knows.
  [[nodiscard]] bool has_dynamic_sizes() const;

  // Says that the steps do not express the call; what is written after it does not matter.
  void give_up() { is_expressible_ = false; }
  [[nodiscard]] bool is_expressible() const { return is_expressible_; }

  ValueId add(std::string_view target, NamedArguments arguments, TensorType type);
  // `role` tells apart the constants of one call, by name.
  ValueId constant(std::string_view role, TensorType type, std::vector<std::byte> bytes);
  ValueId constant(std::string_view role, Shape shape, std::span<const float> values);

  // Elementwise functions of one tensor: "sigmoid" is aten.sigmoid.default.
  ValueId unary(std::string_view op, ValueId x);
  // Of two tensors of one element type, which broadcast, or a tensor and a number: "add" is
  // aten.add.Tensor.
  [[nodiscard]] Result<ValueId> binary(std::string_view op, ValueId a, ValueId b);
  ValueId binary(std::string_view op, ValueId a, double b);
  // Truth values: "eq" is aten.eq.Tensor, or aten.eq.Scalar beside a number.
  [[nodiscard]] Result<ValueId> compare(std::string_view op, ValueId a, ValueId b);
  ValueId compare(std::string_view op, ValueId a, double b);
  // aten.pow.Tensor_Scalar
  ValueId power(ValueId x, double exponent);

  // Over `dims`, which count from the front: "sum" of them, "amax", "amin".
  ValueId reduce(std::string_view op, ValueId x, List dims, bool keepdim);
  // Products of the last two dimensions; those before them broadcast.
  [[nodiscard]] Result<ValueId> matmul(ValueId a, ValueId b);
  // `bias` may be kNone.
  [[nodiscard]] Result<ValueId> linear(ValueId x, ValueId weight, ValueId bias);

  [[nodiscard]] Result<ValueId> slice(ValueId x, std::int64_t dim, std::int64_t start,
                                      std::int64_t end, std::int64_t step = 1);
  [[nodiscard]] Result<ValueId> select(ValueId x, std::int64_t dim, std::int64_t index);
  // These three give `x` where it would stay as it is.
  ValueId reshape(ValueId x, const Shape& shape);
  ValueId permute(ValueId x, const List& dims);
  ValueId expand(ValueId x, const Shape& shape);
  ValueId unsqueeze(ValueId x, std::size_t dim);
  ValueId concatenate(const std::vector<ValueId>& parts, std::size_t dim);
  ValueId stack(const std::vector<ValueId>& parts, std::size_t dim);

 private:
  [[nodiscard]] Status unfit(std::string_view what) const;

  const Graph& graph_;
  const Call& call_;
  std::vector<DecompositionStep> steps_;
  bool is_expressible_ = true;
};

// What the rows of decompositions.def name: the tensors that stand for the results of the call.
using Results = Result<std::vector<ValueId>>;

// The p-norm of `x` over `dims`, as torch.linalg.vector_norm computes it.
[[nodiscard]] Result<ValueId> vector_norm(Steps& steps, ValueId x, double p, Steps::List dims,
                                          bool keepdim);

}  // namespace enn
