// Composites that move elements.
#include <algorithm>
#include <array>
#include <numeric>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

// torch.atleast_1d, _2d and _3d.
ValueId with_rank(Steps& steps, ValueId x, std::size_t rank) {
  if (steps.rank_of(x) == 0 && rank >= 1) x = steps.reshape(x, {1});
  if (steps.rank_of(x) == 1 && rank >= 2) x = steps.unsqueeze(x, 0);
  if (steps.rank_of(x) == 2 && rank >= 3) x = steps.unsqueeze(x, 2);
  return x;
}

Results stacked(Steps& steps, std::size_t rank, std::size_t dim) {
  ENN_ASSIGN(std::vector<ValueId> tensors, Arguments(steps.call()).tensors("tensors"));
  if (tensors.empty() || std::ranges::count(tensors, kNone) > 0) return std::vector<ValueId>{};
  for (ValueId& tensor : tensors) tensor = with_rank(steps, tensor, rank);
  const TensorType& first = steps.type_of(tensors.front());
  const bool alike = std::ranges::all_of(tensors, [&](ValueId id) {
    return steps.rank_of(id) == first.shape.size() && steps.type_of(id).dtype == first.dtype;
  });
  if (!alike) return std::vector<ValueId>{};
  return std::vector{steps.concatenate(tensors, std::min(dim, first.shape.size() - 1))};
}

Results flipped(Steps& steps, std::size_t dim) {
  ENN_ASSIGN(const ValueId self, Arguments(steps.call()).tensor("self"));
  if (steps.rank_of(self) <= dim) return std::vector<ValueId>{};
  return std::vector{steps.add(
      "aten.flip.default",
      {{"self", TensorArgument{self}}, {"dims", Steps::List{static_cast<std::int64_t>(dim)}}},
      steps.type_of(self))};
}

// torch's unfold: windows of `size` along a dimension become a new last dimension.
ValueId unfold(Steps& steps, ValueId x, std::size_t dim, std::int64_t size, std::int64_t step) {
  TensorType type = steps.type_of(x);
  type.shape[dim] = (type.shape[dim] - size) / step + 1;
  type.shape.push_back(size);
  return steps.add("aten.unfold.default",
                   {{"self", TensorArgument{x}},
                    {"dimension", static_cast<std::int64_t>(dim)},
                    {"size", size},
                    {"step", step}},
                   std::move(type));
}

}  // namespace

Results decompose_hstack(Steps& steps) { return stacked(steps, 1, 1); }
Results decompose_vstack(Steps& steps) { return stacked(steps, 2, 0); }
Results decompose_dstack(Steps& steps) { return stacked(steps, 3, 2); }
Results decompose_fliplr(Steps& steps) { return flipped(steps, 1); }
Results decompose_flipud(Steps& steps) { return flipped(steps, 0); }

// aten.diagonal with other defaults.
Results decompose_linalg_diagonal(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId self, args.tensor("A"));
  ENN_ASSIGN(const std::int64_t offset, args.integer("offset", 0));
  ENN_ASSIGN(const std::int64_t dim1, args.integer("dim1", -2));
  ENN_ASSIGN(const std::int64_t dim2, args.integer("dim2", -1));
  return std::vector{steps.add(
      "aten.diagonal.default",
      {{"self", TensorArgument{self}}, {"offset", offset}, {"dim1", dim1}, {"dim2", dim2}},
      steps.call().results.front())};
}

// Vectors are columns.
Results decompose_column_stack(Steps& steps) {
  ENN_ASSIGN(std::vector<ValueId> tensors, Arguments(steps.call()).tensors("tensors"));
  if (tensors.empty() || std::ranges::count(tensors, kNone) > 0) return std::vector<ValueId>{};
  const DType dtype = steps.type_of(tensors.front()).dtype;
  for (ValueId& tensor : tensors) {
    tensor = with_rank(steps, tensor, 1);
    if (steps.rank_of(tensor) == 1) tensor = steps.unsqueeze(tensor, 1);
  }
  const bool alike = std::ranges::all_of(tensors, [&](ValueId id) {
    return steps.rank_of(id) == steps.rank_of(tensors.front()) && steps.type_of(id).dtype == dtype;
  });
  if (!alike) return std::vector<ValueId>{};
  return std::vector{steps.concatenate(tensors, 1)};
}

// The k-th vector along dimension k of all; "xy" swaps the first two dimensions.
Results decompose_meshgrid(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const std::vector<ValueId> tensors, args.tensors("tensors"));
  ENN_ASSIGN(const std::string indexing, args.text("indexing", "ij"));
  std::vector<std::size_t> places(tensors.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  if (indexing == "xy" && tensors.size() >= 2) std::swap(places[0], places[1]);
  Shape all(tensors.size(), 1);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    if (tensors[k] == kNone || steps.rank_of(tensors[k]) > 1) return std::vector<ValueId>{};
    if (steps.rank_of(tensors[k]) == 1) all[places[k]] = steps.shape_of(tensors[k])[0];
  }
  if (!checked_numel(all)) return std::vector<ValueId>{};
  std::vector<ValueId> grids;
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    Shape along(tensors.size(), 1);
    along[places[k]] = all[places[k]];
    grids.push_back(steps.expand(steps.reshape(tensors[k], along), all));
  }
  return std::vector<ValueId>(std::move(grids));
}

Results decompose_broadcast_tensors(Steps& steps) {
  ENN_ASSIGN(std::vector<ValueId> tensors, Arguments(steps.call()).tensors("tensors"));
  if (std::ranges::count(tensors, kNone) > 0) return std::vector<ValueId>{};
  Shape all;
  for (const ValueId tensor : tensors) {
    ENN_ASSIGN(all, broadcast(all, steps.shape_of(tensor)));
  }
  for (ValueId& tensor : tensors) tensor = steps.expand(tensor, all);
  return std::vector<ValueId>(std::move(tensors));
}

// The patches under a kernel as columns: [..., channels * kernel, places].
Results decompose_im2col(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(ValueId x, args.tensor("self"));
  ENN_ASSIGN(const auto kernel, args.expanded("kernel_size", 2, {}));
  ENN_ASSIGN(const auto dilation, args.expanded("dilation", 2, {1, 1}));
  ENN_ASSIGN(const auto padding, args.expanded("padding", 2, {0, 0}));
  ENN_ASSIGN(const auto stride, args.expanded("stride", 2, {1, 1}));
  const std::size_t rank = steps.rank_of(x);
  if (rank < 3 || rank > 4 || kernel.size() != 2) return std::vector<ValueId>{};
  const auto channel = static_cast<std::size_t>(rank - 3);
  Shape shape = steps.shape_of(x);
  if (std::ranges::count(shape.begin() + static_cast<std::ptrdiff_t>(channel), shape.end(),
                         kDynamicSize) > 0) {
    return std::vector<ValueId>{};
  }
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  const auto in_range = [&](const std::vector<std::int64_t>& list, std::int64_t least) {
    return std::ranges::all_of(list, [&](auto n) { return n >= least && n <= kLargest; });
  };
  if (!in_range(kernel, 1) || !in_range(dilation, 1) || !in_range(padding, 0) ||
      !in_range(stride, 1) || !in_range(shape, kDynamicSize)) {
    return std::vector<ValueId>{};
  }
  if (padding[0] != 0 || padding[1] != 0) {
    shape[rank - 2] += 2 * padding[0];
    shape[rank - 1] += 2 * padding[1];
    x = steps.add("aten.constant_pad_nd.default",
                  {{"self", TensorArgument{x}},
                   {"pad", Steps::List{padding[1], padding[1], padding[0], padding[0]}},
                   {"value", 0.0}},
                  {steps.type_of(x).dtype, shape});
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t span = dilation[i] * (kernel[i] - 1) + 1;
    if (span > shape[rank - 2 + i]) return std::vector<ValueId>{};
    x = unfold(steps, x, rank - 2 + i, span, stride[i]);
    if (dilation[i] != 1) {
      ENN_ASSIGN(x, steps.slice(x, static_cast<std::int64_t>(rank + i), 0, span, dilation[i]));
    }
  }
  // [..., channel, rows, columns, kernel rows, kernel columns]
  Steps::List dims(rank + 2);
  std::iota(dims.begin(), dims.end(), std::int64_t{0});
  std::rotate(dims.begin() + static_cast<std::ptrdiff_t>(channel) + 1, dims.end() - 2, dims.end());
  x = steps.permute(x, dims);
  const Shape& patches = steps.shape_of(x);
  Shape columns(patches.begin(), patches.begin() + static_cast<std::ptrdiff_t>(channel));
  columns.push_back(patches[channel] * kernel[0] * kernel[1]);
  columns.push_back(patches[rank] * patches[rank + 1]);
  return std::vector{steps.reshape(x, columns)};
}

}  // namespace enn
