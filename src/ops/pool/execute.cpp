#include <algorithm>

#include "kernels/pool/pool.hpp"
#include "kernels/quantization.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Taps [first, last) of the window at output index `index` that lie inside the input.
struct Taps {
  std::int64_t start = 0;  // position of tap 0 in the input, may be negative
  std::int64_t first = 0;
  std::int64_t last = 0;

  [[nodiscard]] std::int64_t count() const { return std::max<std::int64_t>(last - first, 0); }
};

// The window [floor(index * in / out), ceil((index + 1) * in / out)) of an adaptive pooling.
Taps adaptive_taps_of(const WindowAxis& axis, std::int64_t index) {
  Taps taps;
  taps.start = index * axis.in / axis.out;
  taps.last = ceil_div((index + 1) * axis.in, axis.out) - taps.start;
  return taps;
}

Taps taps_of(const WindowAxis& axis, std::int64_t index) {
  Taps taps;
  taps.start = index * axis.stride - axis.pad;
  taps.first = taps.start < 0 ? ceil_div(-taps.start, axis.dilation) : 0;
  taps.last = std::min(axis.kernel,
                       ceil_div(std::max<std::int64_t>(axis.in - taps.start, 0), axis.dilation));
  return taps;
}

std::int64_t largest_adaptive_window(const WindowAxis& axis) {
  return std::min(axis.in, ceil_div(axis.in, axis.out) + 1);
}

// Taps that count for the divisor when padding does: those inside the symmetrically padded input.
std::int64_t padded_count(const WindowAxis& axis, const Taps& taps) {
  return std::min(taps.start + axis.kernel, axis.in + axis.pad) - taps.start;
}

struct Pool {
  PoolRun run = nullptr;
  PoolParams params;
  WindowAxis h;
  WindowAxis w;
  std::int64_t element = 1;  // bytes
  bool average = false;
  bool adaptive = false;
  bool count_include_pad = true;
  std::int64_t divisor_override = 0;

  [[nodiscard]] float divisor(const Taps& rows, const Taps& columns) const {
    if (divisor_override > 0) return static_cast<float>(divisor_override);
    if (!count_include_pad || adaptive) return static_cast<float>(rows.count() * columns.count());
    return static_cast<float>(padded_count(h, rows) * padded_count(w, columns));
  }

  // One row of output pixels; `row` counts over images.
  void run_row(const std::byte* input, std::byte* output, std::int64_t row) const {
    const std::int64_t pixel = params.channels * element;
    const std::int64_t in_row = w.in * pixel;
    const std::byte* image = input + row / h.out * h.in * in_row;
    const auto taps = adaptive ? &adaptive_taps_of : &taps_of;
    const Taps rows = taps(h, row % h.out);
    for (std::int64_t q = 0; q < w.out; ++q) {
      const Taps columns = taps(w, q);
      PoolWindow window;
      window.rows = rows.count();
      window.columns = columns.count();
      window.row_stride = h.dilation * in_row;
      window.column_stride = w.dilation * pixel;
      if (window.rows > 0 && window.columns > 0) {
        window.first = image + (rows.start + rows.first * h.dilation) * in_row +
                       (columns.start + columns.first * w.dilation) * pixel;
      } else {
        window.rows = 0;
      }
      if (average) window.divisor = divisor(rows, columns);
      run(params, window, output + (row * w.out + q) * pixel);
    }
  }
};

Status check_pool(const program::Pool2D& op, const Pool& pool) {
  for (const WindowAxis* axis : {&pool.h, &pool.w}) {
    ENN_TRY(check_window("Pool2D", *axis));
    if (axis->pad >= axis->extent() || (axis->out - 1) * axis->stride - axis->pad >= axis->in) {
      return error(Code::InvalidProgram, "Pool2D has a window that lies in the padding: size ",
                   axis->in, ", kernel ", axis->kernel, ", stride ", axis->stride, ", padding ",
                   axis->pad, ", ", axis->out, " results");
    }
    if (op.kind() == program::PoolKind_Average && axis->dilation != 1) {
      return error(Code::InvalidProgram, "Pool2D: an average has no dilation");
    }
  }
  return {};
}

}  // namespace

Result<OperatorPtr> bind_pool2d(const program::Pool2D& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Pool2D input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Pool2D output", *output, {input->dtype}));
  ENN_TRY(check_rank("Pool2D input", *input, 4));
  ENN_TRY(check_rank("Pool2D output", *output, 4));
  ENN_TRY(check_not_in_place("Pool2D", *input, *output));
  if (input->shape[0] != output->shape[0] || input->shape[3] != output->shape[3]) {
    return error(Code::InvalidProgram, "Pool2D maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  if (op.kind() != program::PoolKind_Max && op.kind() != program::PoolKind_Average) {
    return error(Code::InvalidProgram, "Pool2D has an unknown kind");
  }
  Pool pool;
  pool.h = {input->shape[1], output->shape[1], op.kernel_h(),
            op.stride_h(),   op.pad_top(),     op.dilation_h()};
  pool.w = {input->shape[2], output->shape[2], op.kernel_w(),
            op.stride_w(),   op.pad_left(),    op.dilation_w()};
  if (op.adaptive()) {
    pool.adaptive = true;
    pool.h = {.in = pool.h.in, .out = pool.h.out, .kernel = largest_adaptive_window(pool.h)};
    pool.w = {.in = pool.w.in, .out = pool.w.out, .kernel = largest_adaptive_window(pool.w)};
  } else {
    ENN_TRY(check_pool(op, pool));
  }
  const auto window_cost = static_cast<std::uint64_t>(std::min(pool.h.kernel, pool.h.in) *
                                                      std::min(pool.w.kernel, pool.w.in));
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(output->numel), window_cost));

  const bool is_u8 = input->dtype == program::DType_UInt8;
  pool.average = op.kind() == program::PoolKind_Average;
  pool.count_include_pad = op.count_include_pad();
  pool.divisor_override = op.adaptive() ? 0 : op.divisor_override();
  pool.element = is_u8 ? 1 : 4;
  pool.params.channels = input->shape[3];
  if (is_u8 && pool.average) {
    ENN_TRY(check_quantization("Pool2D input", *input));
    ENN_TRY(check_quantization("Pool2D output", *output));
    pool.params.input_scale = input->scale;
    pool.params.inv_scale = inverse_scale(output->scale);
    pool.params.input_zero_point = input->zero_point;
    pool.params.zero_point = output->zero_point;
  }
  const PoolOp kind = is_u8 ? (pool.average ? PoolOp::AverageU8 : PoolOp::MaxU8)
                            : (pool.average ? PoolOp::AverageF32 : PoolOp::MaxF32);
  const PoolKernel& kernel = best_pool_kernel(kind, binder.features());
  pool.run = kernel.run;
  const std::int64_t row_cost =
      pool.w.out * pool.params.channels * pool.element * static_cast<std::int64_t>(window_cost);
  return make_operator(kernel.name, [pool, row_cost, input, output](const Frame& frame) {
    const std::byte* in = frame.read(*input);
    std::byte* out = frame.write(*output);
    split(*frame.parallel, output->shape[0] * pool.h.out, row_cost,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) pool.run_row(in, out, row);
          });
  });
}

}  // namespace enn
