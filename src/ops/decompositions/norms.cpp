// Norms, and the distances and similarities that are made of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

constexpr double kInfiniteOrder = std::numeric_limits<double>::infinity();
// The differences of all pairs of rows of cdist are made in memory; beyond these, the product of
// the rows says the distances.
constexpr std::int64_t kMostDifferences = std::int64_t{1} << 24;

// The dimensions of a reduction, all of them where the call names none.
Result<Steps::List> dims_of(Steps& steps, ValueId x) {
  const Arguments args(steps.call());
  ENN_ASSIGN(Steps::List dims, args.integers("dim"));
  for (std::int64_t& dim : dims) {
    ENN_ASSIGN(dim, normalized_dim(dim, steps.rank_of(x)));
  }
  if (dims.empty()) {
    dims.resize(steps.rank_of(x));
    std::iota(dims.begin(), dims.end(), std::int64_t{0});
  }
  return Steps::List(std::move(dims));
}

Results norm_of(Steps& steps, double p) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const bool keepdim, args.boolean("keepdim", false));
  ENN_ASSIGN(Steps::List dims, dims_of(steps, self));
  ENN_ASSIGN(const ValueId norm, vector_norm(steps, self, p, std::move(dims), keepdim));
  return std::vector{norm};
}

ValueId at_least(Steps& steps, ValueId x, double minimum) {
  return steps.add("aten.clamp_min.default", {{"self", TensorArgument{x}}, {"min", minimum}},
                   steps.type_of(x));
}

// sqrt(max(|a|^2 + |b|^2 - 2 a b, 0)) of every row of a and every row of b.
Result<ValueId> distances_by_products(Steps& steps, ValueId a, ValueId b) {
  const auto rank = static_cast<std::int64_t>(steps.rank_of(a));
  ENN_ASSIGN(const ValueId squares_a, steps.binary("mul", a, a));
  ENN_ASSIGN(const ValueId squares_b, steps.binary("mul", b, b));
  const ValueId lengths_a = steps.reduce("sum", squares_a, {rank - 1}, true);
  ValueId lengths_b = steps.reduce("sum", squares_b, {rank - 1}, true);
  Steps::List turned(steps.rank_of(a));
  std::iota(turned.begin(), turned.end(), std::int64_t{0});
  std::swap(turned[turned.size() - 1], turned[turned.size() - 2]);
  lengths_b = steps.permute(lengths_b, turned);
  ENN_ASSIGN(ValueId products, steps.matmul(a, steps.permute(b, turned)));
  products = steps.binary("mul", products, -2.0);
  ENN_ASSIGN(const ValueId lengths, steps.binary("add", lengths_a, lengths_b));
  ENN_ASSIGN(const ValueId squares, steps.binary("add", lengths, products));
  return ValueId{steps.unary("sqrt", at_least(steps, squares, 0.0))};
}

}  // namespace

Result<ValueId> vector_norm(Steps& steps, ValueId x, double p, Steps::List dims, bool keepdim) {
  if (!is_float(steps.type_of(x).dtype)) steps.give_up();
  if (p == kInfiniteOrder)
    return ValueId{steps.reduce("amax", steps.unary("abs", x), dims, keepdim)};
  if (p == -kInfiniteOrder)
    return ValueId{steps.reduce("amin", steps.unary("abs", x), dims, keepdim)};
  if (p == 0.0) {
    const ValueId ones = steps.add(
        "aten.where.Scalar",
        {{"condition", TensorArgument{steps.compare("ne", x, 0.0)}}, {"self", 1.0}, {"other", 0.0}},
        {DType::Float32, steps.shape_of(x)});
    return ValueId{steps.reduce("sum", ones, std::move(dims), keepdim)};
  }
  if (p == 1.0)
    return ValueId{steps.reduce("sum", steps.unary("abs", x), std::move(dims), keepdim)};
  if (p == 2.0) {
    ENN_ASSIGN(const ValueId squares, steps.binary("mul", x, x));
    return ValueId{steps.unary("sqrt", steps.reduce("sum", squares, std::move(dims), keepdim))};
  }
  const ValueId powers = steps.power(steps.unary("abs", x), p);
  return ValueId{steps.power(steps.reduce("sum", powers, std::move(dims), keepdim), 1.0 / p)};
}

Results decompose_vector_norm(Steps& steps) {
  ENN_ASSIGN(const double p, Arguments(steps.call()).number("ord", 2.0));
  return norm_of(steps, p);
}

Results decompose_norm(Steps& steps) {
  ENN_ASSIGN(const double p, Arguments(steps.call()).number("p", 2.0));
  return norm_of(steps, p);
}

// Without an order it is the 2-norm of all elements; with one and two dimensions, a matrix norm,
// which is left to others.
Results decompose_linalg_norm(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const double p, args.number("ord", 2.0));
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const Steps::List dims, dims_of(steps, self));
  if (args.has("ord") && dims.size() != 1) return std::vector<ValueId>{};
  return norm_of(steps, p);
}

// The product of both directions; neither norm counts as less than eps.
Results decompose_cosine_similarity(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId first, args.tensor("x1"));
  ENN_ASSIGN(const ValueId second, args.tensor("x2"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 1));
  ENN_ASSIGN(const double eps, args.number("eps", 1e-8));
  if (steps.rank_of(first) == 0 || steps.rank_of(first) != steps.rank_of(second))
    return std::vector<ValueId>{};
  ENN_ASSIGN(dim, normalized_dim(dim, steps.rank_of(first)));
  std::vector<ValueId> directions;
  for (const ValueId x : {first, second}) {
    ENN_ASSIGN(const ValueId norm, vector_norm(steps, x, 2.0, {dim}, true));
    ENN_ASSIGN(const ValueId direction, steps.binary("div", x, at_least(steps, norm, eps)));
    directions.push_back(direction);
  }
  ENN_ASSIGN(const ValueId product, steps.binary("mul", directions[0], directions[1]));
  return std::vector{steps.reduce("sum", product, {dim}, false)};
}

Results decompose_pairwise_distance(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId first, args.tensor("x1"));
  ENN_ASSIGN(const ValueId second, args.tensor("x2"));
  ENN_ASSIGN(const double p, args.number("p", 2.0));
  ENN_ASSIGN(const double eps, args.number("eps", 1e-6));
  ENN_ASSIGN(const bool keepdim, args.boolean("keepdim", false));
  ENN_ASSIGN(ValueId difference, steps.binary("sub", first, second));
  if (steps.rank_of(difference) == 0) return std::vector<ValueId>{};
  difference = steps.binary("add", difference, eps);
  ENN_ASSIGN(const ValueId norm,
             vector_norm(steps, difference, p,
                         {static_cast<std::int64_t>(steps.rank_of(difference)) - 1}, keepdim));
  return std::vector{norm};
}

// The norm of the difference of every row of x1 and every row of x2; batch dimensions broadcast.
Results decompose_cdist(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId first, args.tensor("x1"));
  ENN_ASSIGN(const ValueId second, args.tensor("x2"));
  ENN_ASSIGN(const double p, args.number("p", 2.0));
  const std::size_t rank = steps.rank_of(first);
  if (rank < 2 || steps.rank_of(second) != rank) return std::vector<ValueId>{};
  ENN_ASSIGN(Shape shape,
             broadcast({steps.shape_of(first).begin(), steps.shape_of(first).end() - 2},
                       {steps.shape_of(second).begin(), steps.shape_of(second).end() - 2}));
  shape.insert(shape.end(), {steps.shape_of(first)[rank - 2], steps.shape_of(second)[rank - 2],
                             steps.shape_of(first).back()});
  const bool is_small =
      std::ranges::count(shape, kDynamicSize) > 0 || checked_numel(shape, kMostDifferences);
  if (p == 2.0 && !is_small) {
    ENN_ASSIGN(const ValueId distances, distances_by_products(steps, first, second));
    return std::vector{distances};
  }
  const ValueId rows = steps.unsqueeze(first, rank - 1);
  const ValueId columns = steps.unsqueeze(second, rank - 2);
  ENN_ASSIGN(const ValueId differences, steps.binary("sub", rows, columns));
  ENN_ASSIGN(const ValueId norm,
             vector_norm(steps, differences, p, {static_cast<std::int64_t>(rank)}, false));
  return std::vector{norm};
}

}  // namespace enn
