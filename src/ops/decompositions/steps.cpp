#include "ops/decompositions/steps.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

namespace enn {
namespace {

// As FX names the node of a call: "aten.mul.Tensor" is mul_tensor.
std::string node_name(std::string_view target) {
  std::string name;
  for (const char c : target.substr(target.find('.') + 1)) {
    const bool is_capital = c >= 'A' && c <= 'Z';
    if (is_capital && !name.empty() && name.back() >= 'a' && name.back() <= 'z') name += '_';
    name += c == '.' ? '_' : is_capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}

std::string overload(std::string_view op, std::string_view name) {
  return str("aten.", op, ".", name);
}

}  // namespace

Status Steps::unfit(std::string_view what) const {
  return error(Code::InvalidArgument, "node '", call_.name, "' (", call_.target, "): ", what);
}

ValueId Steps::add(std::string_view target, NamedArguments arguments, TensorType type) {
  steps_.push_back({{std::string(target),
                     node_name(target),
                     std::move(arguments),
                     {std::move(type)},
                     call_.origin},
                    nullptr});
  return kMadeTensor + static_cast<ValueId>(steps_.size() - 1);
}

ValueId Steps::constant(std::string_view role, TensorType type, std::vector<std::byte> bytes) {
  steps_.push_back({{{}, str("_", call_.name, "_", role), {}, {std::move(type)}, call_.origin},
                    std::make_shared<const std::vector<std::byte>>(std::move(bytes))});
  return kMadeTensor + static_cast<ValueId>(steps_.size() - 1);
}

ValueId Steps::constant(std::string_view role, Shape shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return constant(role, {DType::Float32, std::move(shape)}, {bytes.begin(), bytes.end()});
}

ValueId Steps::unary(std::string_view op, ValueId x) {
  return add(overload(op, "default"), {{"self", TensorArgument{x}}}, type_of(x));
}

Result<ValueId> Steps::binary(std::string_view op, ValueId a, ValueId b) {
  ENN_ASSIGN(Shape shape, broadcast(shape_of(a), shape_of(b)));
  if (type_of(a).dtype != type_of(b).dtype) give_up();
  return ValueId{add(overload(op, "Tensor"),
                     {{"self", TensorArgument{a}}, {"other", TensorArgument{b}}},
                     {type_of(a).dtype, std::move(shape)})};
}

ValueId Steps::binary(std::string_view op, ValueId a, double b) {
  if (!is_float(type_of(a).dtype)) give_up();
  return add(overload(op, "Tensor"), {{"self", TensorArgument{a}}, {"other", b}}, type_of(a));
}

Result<ValueId> Steps::compare(std::string_view op, ValueId a, ValueId b) {
  ENN_ASSIGN(Shape shape, broadcast(shape_of(a), shape_of(b)));
  return ValueId{add(overload(op, "Tensor"),
                     {{"self", TensorArgument{a}}, {"other", TensorArgument{b}}},
                     {DType::Bool, std::move(shape)})};
}

ValueId Steps::compare(std::string_view op, ValueId a, double b) {
  return add(overload(op, "Scalar"), {{"self", TensorArgument{a}}, {"other", b}},
             {DType::Bool, shape_of(a)});
}

ValueId Steps::power(ValueId x, double exponent) {
  if (!is_float(type_of(x).dtype)) give_up();
  return add("aten.pow.Tensor_Scalar", {{"self", TensorArgument{x}}, {"exponent", exponent}},
             type_of(x));
}

ValueId Steps::reduce(std::string_view op, ValueId x, List dims, bool keepdim) {
  Shape shape;
  for (std::size_t d = 0; d < rank_of(x); ++d) {
    if (std::ranges::find(dims, static_cast<std::int64_t>(d)) == dims.end()) {
      shape.push_back(shape_of(x)[d]);
    } else if (keepdim) {
      shape.push_back(1);
    }
  }
  if (!is_float(type_of(x).dtype)) give_up();
  TensorType type{type_of(x).dtype, std::move(shape)};
  return add(overload(op, op == "sum" ? "dim_IntList" : "default"),
             {{"self", TensorArgument{x}}, {"dim", std::move(dims)}, {"keepdim", keepdim}},
             std::move(type));
}

Result<ValueId> Steps::matmul(ValueId a, ValueId b) {
  const Shape& first = shape_of(a);
  const Shape& second = shape_of(b);
  if (first.size() < 2 || second.size() < 2 || first.back() != second[second.size() - 2])
    return unfit(str("matrices ", list_str(first), " and ", list_str(second), " do not multiply"));
  ENN_ASSIGN(Shape shape,
             broadcast({first.begin(), first.end() - 2}, {second.begin(), second.end() - 2}));
  shape.insert(shape.end(), {first[first.size() - 2], second.back()});
  if (type_of(a).dtype != type_of(b).dtype) give_up();
  return ValueId{add("aten.matmul.default",
                     {{"self", TensorArgument{a}}, {"other", TensorArgument{b}}},
                     {type_of(a).dtype, std::move(shape)})};
}

Result<ValueId> Steps::linear(ValueId x, ValueId weight, ValueId bias) {
  Shape shape = shape_of(x);
  const Shape& matrix = shape_of(weight);
  if (shape.empty() || matrix.size() != 2 || matrix[1] != shape.back())
    return unfit(str("input ", list_str(shape), " and weight ", list_str(matrix), " do not fit"));
  if (type_of(x).dtype != type_of(weight).dtype) give_up();
  shape.back() = matrix[0];
  NamedArguments arguments{{"input", TensorArgument{x}}, {"weight", TensorArgument{weight}}};
  if (bias != kNone) arguments.emplace_back("bias", TensorArgument{bias});
  return ValueId{
      add("aten.linear.default", std::move(arguments), {type_of(x).dtype, std::move(shape)})};
}

Result<ValueId> Steps::slice(ValueId x, std::int64_t dim, std::int64_t start, std::int64_t end,
                             std::int64_t step) {
  TensorType type = type_of(x);
  if (type.shape.empty()) return unfit("a scalar is sliced");
  ENN_ASSIGN(dim, normalized_dim(dim, type.shape.size()));
  std::int64_t& size = type.shape[static_cast<std::size_t>(dim)];
  if (start < 0 || end < start || (size != kDynamicSize && end > size))
    return unfit(str("[", start, ", ", end, ") is sliced from a dimension of ", size));
  size = (end - start + step - 1) / step;
  NamedArguments arguments{
      {"self", TensorArgument{x}}, {"dim", dim}, {"start", start}, {"end", end}};
  if (step != 1) arguments.emplace_back("step", step);
  return ValueId{add("aten.slice.Tensor", std::move(arguments), std::move(type))};
}

Result<ValueId> Steps::select(ValueId x, std::int64_t dim, std::int64_t index) {
  TensorType type = type_of(x);
  if (type.shape.empty()) return unfit("an element of a scalar is selected");
  ENN_ASSIGN(dim, normalized_dim(dim, type.shape.size()));
  const std::int64_t size = type.shape[static_cast<std::size_t>(dim)];
  if (index < 0 || (size != kDynamicSize && index >= size))
    return unfit(str("element ", index, " is selected from a dimension of ", size));
  type.shape.erase(type.shape.begin() + dim);
  return ValueId{add("aten.select.int",
                     {{"self", TensorArgument{x}}, {"dim", dim}, {"index", index}},
                     std::move(type))};
}

ValueId Steps::reshape(ValueId x, const Shape& shape) {
  if (shape == shape_of(x)) return x;
  // torch takes a single -1 for the size that follows from the others.
  if (std::ranges::count(shape, kDynamicSize) > 1) give_up();
  return add("aten.reshape.default", {{"self", TensorArgument{x}}, {"shape", shape}},
             {type_of(x).dtype, shape});
}

ValueId Steps::permute(ValueId x, const List& dims) {
  if (std::ranges::is_sorted(dims)) return x;
  TensorType type{type_of(x).dtype, {}};
  for (const std::int64_t dim : dims)
    type.shape.push_back(shape_of(x)[static_cast<std::size_t>(dim)]);
  return add("aten.permute.default", {{"self", TensorArgument{x}}, {"dims", dims}},
             std::move(type));
}

ValueId Steps::expand(ValueId x, const Shape& shape) {
  const Shape& from = shape_of(x);
  if (shape == from) return x;
  const std::size_t added = shape.size() - from.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    // torch takes -1 for a size that stays.
    if (shape[d] == kDynamicSize && (d < added || from[d - added] != kDynamicSize)) give_up();
  }
  return add("aten.expand.default", {{"self", TensorArgument{x}}, {"size", shape}},
             {type_of(x).dtype, shape});
}

ValueId Steps::unsqueeze(ValueId x, std::size_t dim) {
  TensorType type = type_of(x);
  type.shape.insert(type.shape.begin() + static_cast<std::ptrdiff_t>(dim), 1);
  return add("aten.unsqueeze.default",
             {{"self", TensorArgument{x}}, {"dim", static_cast<std::int64_t>(dim)}},
             std::move(type));
}

namespace {

Argument list_of(const std::vector<ValueId>& parts) {
  std::vector<TensorArgument> tensors;
  for (const ValueId part : parts) tensors.push_back({part});
  return tensors;
}

}  // namespace

ValueId Steps::concatenate(const std::vector<ValueId>& parts, std::size_t dim) {
  TensorType type = type_of(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    std::int64_t& size = type.shape[dim];
    const std::int64_t more = shape_of(parts[i])[dim];
    size = size == kDynamicSize || more == kDynamicSize ? kDynamicSize : size + more;
  }
  return add("aten.cat.default",
             {{"tensors", list_of(parts)}, {"dim", static_cast<std::int64_t>(dim)}},
             std::move(type));
}

ValueId Steps::stack(const std::vector<ValueId>& parts, std::size_t dim) {
  TensorType type = type_of(parts.front());
  type.shape.insert(type.shape.begin() + static_cast<std::ptrdiff_t>(dim),
                    static_cast<std::int64_t>(parts.size()));
  return add("aten.stack.default",
             {{"tensors", list_of(parts)}, {"dim", static_cast<std::int64_t>(dim)}},
             std::move(type));
}

}  // namespace enn
