#include <algorithm>

#include "kernels/scan/scan.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// A tensor as [outer][count][inner], count being the dimension that is worked along.
struct Runs {
  std::int64_t outer = 1;
  std::int64_t count = 1;
  std::int64_t inner = 1;

  [[nodiscard]] std::int64_t size() const { return outer * inner; }
  // The first element of the i-th run when runs are `length` long.
  [[nodiscard]] std::int64_t begin(std::int64_t i, std::int64_t length) const {
    return i / inner * length * inner + i % inner;
  }
};

Result<Runs> runs_of(std::string_view name, const TensorInfo& tensor, std::uint32_t axis) {
  if (axis >= tensor.shape.size()) {
    return error(Code::InvalidProgram, name, " has axis ", axis, " for rank ", tensor.shape.size());
  }
  Runs runs;
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    (d < axis ? runs.outer : d == axis ? runs.count : runs.inner) *= tensor.shape[d];
  }
  return Runs{runs};
}

template <typename In, typename Out, typename Kernel>
OperatorPtr make_cumulative(std::string_view name, const Runs& runs, const TensorInfo& input,
                            const TensorInfo& output, Kernel kernel) {
  return make_operator(name, [=, &input, &output](const Frame& frame) {
    const auto* in = reinterpret_cast<const In*>(frame.read(input));
    auto* out = reinterpret_cast<Out*>(frame.write(output));
    split(*frame.parallel, runs.size(), runs.count, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t at = runs.begin(i, runs.count);
        kernel(in + at, runs.count, runs.inner, out + at);
      }
    });
  });
}

struct Selection {
  Runs runs;
  std::int64_t k = 1;
  bool largest = true;
  const TensorInfo* input = nullptr;
  const TensorInfo* values = nullptr;  // nullptr: only the places are wanted
  const TensorInfo* indices = nullptr;

  template <typename T>
  void run(const Frame& frame, int slots) const noexcept {
    const auto* in = reinterpret_cast<const T*>(frame.read(*input));
    auto* places = reinterpret_cast<std::int64_t*>(frame.write(*indices));
    T* out = values != nullptr ? reinterpret_cast<T*>(frame.write(*values)) : nullptr;
    const bool small = runs.size() * runs.count < kGrain;
    const std::int64_t parts =
        small ? 1 : std::min<std::int64_t>({slots, frame.parallel->thread_count(), runs.size()});
    const auto part = [&](int index) {
      auto* scratch = reinterpret_cast<std::uint64_t*>(frame.scratch) + index * runs.count;
      for (std::int64_t i = part_begin(runs.size(), parts, index);
           i < part_begin(runs.size(), parts, index + 1); ++i) {
        const T* run = in + runs.begin(i, runs.count);
        const std::int64_t to = runs.begin(i, k);
        top_places(run, runs.count, runs.inner, largest, k, scratch, places + to, runs.inner);
        for (std::int64_t j = 0; j < k && out != nullptr; ++j) {
          out[to + j * runs.inner] = run[places[to + j * runs.inner] * runs.inner];
        }
      }
    };
    if (parts == 1) {
      part(0);
    } else {
      frame.parallel->run(static_cast<int>(parts), part);
    }
  }
};

// `table` is the name in errors, `kernel` that of the function.
template <typename Fold, typename Table>
Result<OperatorPtr> bind_cumulative(std::string_view table, std::string_view kernel,
                                    const Table& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_not_in_place(table, *input, *output));
  ENN_ASSIGN(const Runs runs, runs_of(table, *input, op.axis()));
  if (input->shape != output->shape) {
    return error(Code::InvalidProgram, table, " maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  ENN_TRY(check_dtype(
      table, *input,
      {program::DType_Float32, program::DType_Int32, program::DType_Int64, program::DType_Bool}));
  const bool real = input->dtype == program::DType_Float32;
  ENN_TRY(check_dtype(table, *output, {real ? program::DType_Float32 : program::DType_Int64}));
  const auto integers = [&]<typename T>(T /*element*/) {
    return make_cumulative<T, std::int64_t>(kernel, runs, *input, *output,
                                            cumulative_integers<Fold, T>);
  };
  switch (input->dtype) {
    case program::DType_Float32:
      return make_cumulative<float, float>(kernel, runs, *input, *output, cumulative_f32<Fold>);
    case program::DType_Int32:
      return integers(std::int32_t{});
    case program::DType_Int64:
      return integers(std::int64_t{});
    default:
      return integers(std::uint8_t{});
  }
}

}  // namespace

Result<OperatorPtr> bind_cumulative_sum(const program::CumulativeSum& op, Binder& binder) {
  return bind_cumulative<Sum>("CumulativeSum", "cumulative_sum", op, binder);
}

Result<OperatorPtr> bind_cumulative_product(const program::CumulativeProduct& op, Binder& binder) {
  return bind_cumulative<Product>("CumulativeProduct", "cumulative_product", op, binder);
}

Result<OperatorPtr> bind_topk(const program::TopK& op, Binder& binder) {
  Selection selection;
  ENN_ASSIGN(selection.input, binder.tensor(op.input()));
  ENN_ASSIGN(selection.indices, binder.result(op.indices()));
  const TensorInfo& input = *selection.input;
  const TensorInfo& indices = *selection.indices;
  ENN_TRY(check_dtype("TopK input", input,
                      {program::DType_UInt8, program::DType_Float32, program::DType_Int32}));
  ENN_TRY(check_dtype("TopK indices", indices, {program::DType_Int64}));
  ENN_TRY(check_not_in_place("TopK", input, indices));
  ENN_ASSIGN(selection.runs, runs_of("TopK", input, op.axis()));
  std::vector<std::int64_t> shape = input.shape;
  if (indices.shape.size() == shape.size()) shape[op.axis()] = indices.shape[op.axis()];
  selection.k = shape[op.axis()];
  if (indices.shape != shape || selection.k > selection.runs.count ||
      selection.runs.count > INT32_MAX) {
    return error(Code::InvalidProgram, "TopK maps shape ", list_str(input.shape), " to ",
                 list_str(indices.shape));
  }
  if (op.values() != UINT32_MAX) {
    ENN_ASSIGN(selection.values, binder.result(op.values()));
    ENN_TRY(check_dtype("TopK values", *selection.values, {input.dtype}));
    ENN_TRY(check_not_in_place("TopK", input, *selection.values));
    ENN_TRY(check_not_in_place("TopK", indices, *selection.values));
    if (selection.values->shape != shape) {
      return error(Code::InvalidProgram, "TopK has values of shape ",
                   list_str(selection.values->shape), " and indices of shape ", list_str(shape));
    }
  }
  selection.largest = op.largest();
  const int slots =
      static_cast<int>(std::min<std::int64_t>(binder.max_threads(), selection.runs.size()));
  binder.request_scratch(static_cast<std::size_t>(slots) *
                         static_cast<std::size_t>(selection.runs.count) * sizeof(std::uint64_t));
  // A sort compares each element about log2(count) <= 31 times.
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(input.numel), 32));
  return make_operator("topk", [selection, slots](const Frame& frame) {
    switch (selection.input->dtype) {
      case program::DType_UInt8:
        return selection.run<std::uint8_t>(frame, slots);
      case program::DType_Float32:
        return selection.run<float>(frame, slots);
      default:
        return selection.run<std::int32_t>(frame, slots);
    }
  });
}

}  // namespace enn
