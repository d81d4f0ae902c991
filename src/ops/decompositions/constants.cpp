// Tensors whose values are known before a run, and operators that choose by such a tensor.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

constexpr std::int64_t kLargestConstant = std::int64_t{1} << 24;

// One where row and column are equal.
template <typename T>
std::vector<std::byte> identity(std::int64_t rows, std::int64_t columns) {
  std::vector<T> values(static_cast<std::size_t>(rows * columns), T{0});
  for (std::int64_t i = 0; i < std::min(rows, columns); ++i) {
    values[static_cast<std::size_t>(i * columns + i)] = T{1};
  }
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// A triangle of the last two dimensions, zero outside: below the diagonal, or above it.
Results triangle(Steps& steps, bool lower) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t diagonal, args.integer("diagonal", 0));
  const TensorType type = steps.type_of(self);
  const std::size_t rank = type.shape.size();
  if (rank < 2) return std::vector<ValueId>{};
  const std::int64_t rows = type.shape[rank - 2];
  const std::int64_t columns = type.shape[rank - 1];
  if (rows < 0 || columns < 0 || !checked_numel({rows, columns}, kLargestConstant))
    return std::vector<ValueId>{};
  // Of a diagonal so far away that it does not matter.
  const std::int64_t limit = rows + columns;
  const std::int64_t offset = std::clamp(diagonal, -limit, limit);
  std::vector<std::byte> inside(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const bool is_inside = lower ? j - i <= offset : j - i >= offset;
      inside[static_cast<std::size_t>(i * columns + j)] = std::byte{is_inside};
    }
  }
  const ValueId mask = steps.constant("triangle", {DType::Bool, {rows, columns}}, inside);
  if (type.dtype == DType::Bool) {
    return std::vector{steps.add("aten.logical_and.default",
                                 {{"self", TensorArgument{self}}, {"other", TensorArgument{mask}}},
                                 type)};
  }
  Argument zero = std::int64_t{0};
  if (is_float(type.dtype)) zero = 0.0;
  return std::vector{steps.add("aten.where.ScalarOther",
                               {{"condition", TensorArgument{mask}},
                                {"self", TensorArgument{self}},
                                {"other", std::move(zero)}},
                               type)};
}

}  // namespace

Results decompose_tril(Steps& steps) { return triangle(steps, true); }
Results decompose_triu(Steps& steps) { return triangle(steps, false); }

Results decompose_eye(Steps& steps) {
  const TensorType& type = steps.call().results.front();
  if (type.shape.size() != 2 || dynamic_dim(type.shape) >= 0 ||
      !checked_numel(type.shape, kLargestConstant)) {
    return std::vector<ValueId>{};
  }
  const std::int64_t rows = type.shape[0];
  const std::int64_t columns = type.shape[1];
  std::vector<std::byte> bytes;
  switch (type.dtype) {
    case DType::Float32:
      bytes = identity<float>(rows, columns);
      break;
    case DType::Int32:
      bytes = identity<std::int32_t>(rows, columns);
      break;
    case DType::Int64:
      bytes = identity<std::int64_t>(rows, columns);
      break;
    case DType::Bool:
    case DType::Int8:
    case DType::UInt8:
      bytes = identity<std::uint8_t>(rows, columns);
      break;
    default:
      return std::vector<ValueId>{};
  }
  return std::vector{steps.constant("eye", type, std::move(bytes))};
}

// From both ends to the middle, as torch computes it.
Results decompose_linspace(Steps& steps) {
  const Arguments args(steps.call());
  const TensorType& type = steps.call().results.front();
  if (type.dtype != DType::Float32 || type.shape.size() != 1 ||
      !checked_numel(type.shape, kLargestConstant)) {
    return std::vector<ValueId>{};
  }
  ENN_ASSIGN(const double first, args.number("start"));
  ENN_ASSIGN(const double last, args.number("end"));
  const auto start = static_cast<float>(first);
  const auto end = static_cast<float>(last);
  const std::int64_t count = type.shape[0];
  std::vector<float> values(static_cast<std::size_t>(count), start);
  const float step = count > 1 ? (end - start) / static_cast<float>(count - 1) : 0.0F;
  for (std::int64_t i = 0; i < count && count > 1; ++i) {
    values[static_cast<std::size_t>(i)] =
        i < count / 2 ? std::fma(step, static_cast<float>(i), start)
                      : std::fma(-step, static_cast<float>(count - i - 1), end);
  }
  return std::vector{steps.constant("linspace", type.shape, values)};
}

// 1 where the class is the place along a new last dimension. A number of classes that follows from
// the values is left to others.
Results decompose_one_hot(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t classes, args.integer("num_classes", -1));
  if (classes < 1 || classes > kLargestConstant || steps.type_of(self).dtype != DType::Int64)
    return std::vector<ValueId>{};
  std::vector<std::int64_t> places(static_cast<std::size_t>(classes));
  for (std::int64_t i = 0; i < classes; ++i) places[static_cast<std::size_t>(i)] = i;
  const auto bytes = std::as_bytes(std::span(places));
  const ValueId all =
      steps.constant("classes", {DType::Int64, {classes}}, {bytes.begin(), bytes.end()});
  const ValueId classed = steps.unsqueeze(self, steps.rank_of(self));
  ENN_ASSIGN(const ValueId equal, steps.compare("eq", classed, all));
  return std::vector{steps.add(
      "aten.where.Scalar",
      {{"condition", TensorArgument{equal}}, {"self", std::int64_t{1}}, {"other", std::int64_t{0}}},
      {DType::Int64, steps.shape_of(equal)})};
}

}  // namespace enn
