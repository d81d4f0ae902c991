// Composites that are computed element by element.
#include <limits>
#include <numbers>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// self + value * op(tensor1, tensor2)
Results added(Steps& steps, std::string_view op) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const ValueId first, args.tensor("tensor1"));
  ENN_ASSIGN(const ValueId second, args.tensor("tensor2"));
  ENN_ASSIGN(const double value, args.number("value", 1.0));
  if (!is_float(steps.type_of(self).dtype)) return std::vector<ValueId>{};
  ENN_ASSIGN(ValueId term, steps.binary(op, first, second));
  if (value != 1.0) term = steps.binary("mul", term, value);
  ENN_ASSIGN(const ValueId sum, steps.binary("add", self, term));
  return std::vector{sum};
}

Results converted_angle(Steps& steps, double factor) {
  ENN_ASSIGN(const ValueId self, Arguments(steps.call()).tensor("self"));
  return std::vector{steps.binary("mul", self, factor)};
}

// `value` where the condition holds, else the tensor's element.
ValueId where(Steps& steps, ValueId condition, double value, ValueId otherwise) {
  return steps.add("aten.where.ScalarSelf",
                   {{"condition", TensorArgument{condition}},
                    {"self", value},
                    {"other", TensorArgument{otherwise}}},
                   steps.type_of(otherwise));
}

}  // namespace

// The first half times the sigmoid of the second.
Results decompose_glu(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", -1));
  const Shape shape = steps.shape_of(self);
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  if (shape.empty() || shape[static_cast<std::size_t>(dim)] < 0) return std::vector<ValueId>{};
  const std::int64_t half = shape[static_cast<std::size_t>(dim)] / 2;
  ENN_ASSIGN(const ValueId first, steps.slice(self, dim, 0, half));
  ENN_ASSIGN(const ValueId second, steps.slice(self, dim, half, 2 * half));
  ENN_ASSIGN(const ValueId product, steps.binary("mul", first, steps.unary("sigmoid", second)));
  return std::vector{product};
}

Results decompose_addcmul(Steps& steps) { return added(steps, "mul"); }
Results decompose_addcdiv(Steps& steps) { return added(steps, "div"); }

Results decompose_deg2rad(Steps& steps) { return converted_angle(steps, std::numbers::pi / 180.0); }
Results decompose_rad2deg(Steps& steps) { return converted_angle(steps, 180.0 / std::numbers::pi); }

// From whichever end is nearer, as torch computes it where the weight is a number.
Results decompose_lerp(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const ValueId end, args.tensor("end"));
  if (!is_float(steps.type_of(self).dtype)) return std::vector<ValueId>{};
  ENN_ASSIGN(const ValueId way, steps.binary("sub", end, self));
  const Argument* weight = args.find("weight");
  if (weight != nullptr && std::holds_alternative<TensorArgument>(*weight)) {
    ENN_ASSIGN(const ValueId part, steps.binary("mul", way, std::get<TensorArgument>(*weight).id));
    ENN_ASSIGN(const ValueId sum, steps.binary("add", self, part));
    return std::vector{sum};
  }
  ENN_ASSIGN(const double part, args.number("weight"));
  const bool from_start = part < 0.5;
  const ValueId step = steps.binary("mul", way, from_start ? part : 1.0 - part);
  ENN_ASSIGN(const ValueId sum,
             steps.binary(from_start ? "add" : "sub", from_start ? self : end, step));
  return std::vector{sum};
}

// Infinities become the largest finite numbers unless the call gives others.
Results decompose_nan_to_num(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  if (steps.type_of(self).dtype != DType::Float32) return std::vector<ValueId>{};
  constexpr double kLargest = std::numeric_limits<float>::max();
  ENN_ASSIGN(const double nan, args.number("nan", 0.0));
  ENN_ASSIGN(const double highest, args.number("posinf", kLargest));
  ENN_ASSIGN(const double lowest, args.number("neginf", -kLargest));
  const ValueId is_nan = steps.add("aten.isnan.default", {{"self", TensorArgument{self}}},
                                   {DType::Bool, steps.shape_of(self)});
  ValueId result = where(steps, is_nan, nan, self);
  if (highest == kLargest && lowest == -kLargest) {
    result = steps.add("aten.clamp.default",
                       {{"self", TensorArgument{result}}, {"min", lowest}, {"max", highest}},
                       steps.type_of(result));
    return std::vector{result};
  }
  result = where(steps, steps.compare("eq", self, kInfinite), highest, result);
  return std::vector{where(steps, steps.compare("eq", self, -kInfinite), lowest, result)};
}

// |x| differs from infinity, and x is not a NaN.
Results decompose_isfinite(Steps& steps) {
  ENN_ASSIGN(const ValueId self, Arguments(steps.call()).tensor("self"));
  if (!is_float(steps.type_of(self).dtype)) return std::vector<ValueId>{};
  return std::vector{steps.compare("lt", steps.unary("abs", self), kInfinite)};
}

}  // namespace enn
