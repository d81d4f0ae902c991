#include <cstring>
#include <limits>

#include "kernels/index/index.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// A checked walk of a Gather or Scatter through its indexed tensor.
struct IndexedWalk {
  IndexPlan plan;
  std::vector<const TensorInfo*> indices;
  std::int64_t offset = 0;

  // The index tensors' memory; reports the first index that is out of range.
  [[nodiscard]] bool read(const Frame& frame, IndexList& out) const noexcept {
    for (std::size_t k = 0; k < indices.size(); ++k) {
      out[k] = {frame.read(*indices[k]), indices[k]->dtype == program::DType_Int64};
      if (const auto wrong = index_outside(out[k], indices[k]->numel, plan.sizes[k])) {
        frame.fail_index(*wrong, plan.sizes[k]);
        return false;
      }
    }
    return true;
  }
};

// `indexed` is what the indices point into; the fields of both tables have the same names.
template <typename Table>
Result<IndexedWalk> indexed_walk(std::string_view name, const Table& op, Binder& binder,
                                 const TensorInfo& indexed, std::vector<std::int64_t> shape) {
  IndexedWalk walk;
  walk.plan.shape = std::move(shape);
  walk.plan.strides = listed(op.strides());
  walk.plan.sizes = listed(op.sizes());
  walk.plan.steps = listed(op.steps());
  const std::vector<std::int64_t> ids = listed(op.indices());
  const std::vector<std::int64_t> index_strides = listed(op.index_strides());
  const std::size_t rank = walk.plan.shape.size();
  if (rank > kMaxIndexedRank || ids.size() > kMaxIndices) {
    return error(Code::InvalidProgram, name, " has rank ", rank, " and ", ids.size(),
                 " index tensors; at most ", kMaxIndexedRank, " and ", kMaxIndices, " are allowed");
  }
  if (walk.plan.strides.size() != rank || walk.plan.sizes.size() != ids.size() ||
      walk.plan.steps.size() != ids.size() || index_strides.size() != ids.size() * rank) {
    return error(Code::InvalidProgram, name, " has lists that do not fit rank ", rank, " and ",
                 ids.size(), " index tensors");
  }
  std::vector<std::int64_t> extents = walk.plan.shape;
  std::vector<std::int64_t> strides = walk.plan.strides;
  for (std::size_t k = 0; k < ids.size(); ++k) {
    ENN_ASSIGN(const TensorInfo* index, binder.tensor(static_cast<std::uint32_t>(ids[k])));
    ENN_TRY(check_dtype("an index tensor", *index, {program::DType_Int32, program::DType_Int64}));
    const auto begin = index_strides.begin() + static_cast<std::ptrdiff_t>(k * rank);
    walk.plan.index_strides.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(rank));
    if (!stays_inside(walk.plan.shape, walk.plan.index_strides.back(), 0, index->numel)) {
      return error(Code::InvalidProgram, name, " reads outside its index tensor ",
                   list_str(index->shape));
    }
    if (walk.plan.sizes[k] < 1)
      return error(Code::InvalidProgram, name, " has a dimension of size 0");
    walk.indices.push_back(index);
    extents.push_back(walk.plan.sizes[k]);
    strides.push_back(walk.plan.steps[k]);
  }
  if (op.offset() >= static_cast<std::uint64_t>(indexed.numel) ||
      !stays_inside(extents, strides, static_cast<std::int64_t>(op.offset()), indexed.numel)) {
    return error(Code::InvalidProgram, name, " leaves its tensor ", list_str(indexed.shape));
  }
  walk.offset = static_cast<std::int64_t>(op.offset());
  return IndexedWalk(std::move(walk));
}

}  // namespace

Result<OperatorPtr> bind_gather(const program::Gather& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Gather output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Gather", *input, *output));
  ENN_ASSIGN(IndexedWalk walk, indexed_walk("Gather", op, binder, *input, output->shape));
  for (const TensorInfo* index : walk.indices)
    ENN_TRY(check_not_in_place("Gather", *index, *output));
  merge_rows(walk.plan);
  const std::size_t size = element_size(*input);
  const std::int64_t start = walk.offset * static_cast<std::int64_t>(size);
  return make_operator(
      "gather", [walk = std::move(walk), size, start, input, output](const Frame& frame) {
        IndexList indices;
        if (!walk.read(frame, indices)) return;
        const std::byte* in = frame.read(*input) + start;
        std::byte* out = frame.write(*output);
        const IndexPlan& plan = walk.plan;
        split(*frame.parallel, plan.count, 4 + plan.row * static_cast<std::int64_t>(size),
              [&](std::int64_t begin, std::int64_t end) {
                gather_rows(plan, indices, size, in, out, begin, end);
              });
      });
}

Result<OperatorPtr> bind_scatter(const program::Scatter& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* source, binder.tensor(op.source()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Scatter output", *output, {input->dtype}));
  ENN_TRY(check_dtype("Scatter source", *source, {input->dtype}));
  if (output->shape != input->shape) {
    return error(Code::InvalidProgram, "Scatter has the input ", list_str(input->shape),
                 " and the output ", list_str(output->shape));
  }
  const bool accumulate = op.accumulate();
  if (accumulate) {
    ENN_TRY(check_dtype("Scatter that adds", *input,
                        {program::DType_Float32, program::DType_Int32, program::DType_Int64}));
  }
  std::vector<std::int64_t> shape = listed(op.shape());
  std::uint64_t places = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 1) return error(Code::InvalidProgram, "Scatter walks an empty shape");
    places = saturating_product(places, static_cast<std::uint64_t>(extent));
  }
  binder.report_cost(places);
  if (places > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 16)) {
    return error(Code::InvalidProgram, "Scatter walks the shape ", list_str(shape),
                 ", which is too large");
  }
  ENN_ASSIGN(IndexedWalk walk, indexed_walk("Scatter", op, binder, *output, shape));
  for (const TensorInfo* other : {input, source})
    ENN_TRY(check_not_in_place("Scatter", *other, *output));
  for (const TensorInfo* index : walk.indices)
    ENN_TRY(check_not_in_place("Scatter", *index, *output));
  walk.plan.source_strides = listed(op.source_strides());
  if (walk.plan.source_strides.size() != shape.size() ||
      !stays_inside(shape, walk.plan.source_strides, 0, source->numel)) {
    return error(Code::InvalidProgram, "Scatter reads outside its source ",
                 list_str(source->shape));
  }
  merge_rows(walk.plan);
  const std::size_t size = element_size(*input);
  const std::int64_t start = walk.offset * static_cast<std::int64_t>(size);
  return make_operator("scatter", [walk = std::move(walk), size, start, accumulate, input, source,
                                   output](const Frame& frame) {
    IndexList indices;
    if (!walk.read(frame, indices)) return;
    std::byte* out = frame.write(*output);
    std::memcpy(out, frame.read(*input), output->bytes);
    out += start;
    const std::byte* from = frame.read(*source);
    if (!accumulate) {
      scatter_rows(walk.plan, indices, size, from, out);
    } else if (input->dtype == program::DType_Float32) {
      scatter_add_rows<float>(walk.plan, indices, from, out);
    } else if (input->dtype == program::DType_Int32) {
      scatter_add_rows<std::int32_t>(walk.plan, indices, from, out);
    } else {
      scatter_add_rows<std::int64_t>(walk.plan, indices, from, out);
    }
  });
}

}  // namespace enn
