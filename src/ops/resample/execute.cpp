#include <cstring>

#include "kernels/quantization.hpp"
#include "kernels/resample/resample.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Their taps are kept from loading on.
constexpr std::int64_t kMaxColumns = 1 << 18;

struct Resampling {
  const TensorInfo* input = nullptr;
  const TensorInfo* output = nullptr;
  ResampleRun run = nullptr;  // nullptr: one tap, which is copied
  ResampleParams params;
  std::int64_t element = 1;  // bytes
  ResampleMode mode = ResampleMode::Nearest;
  bool align_corners = false;
  float ratio_h = 1;
  std::vector<AxisTaps> columns;

  // One row of result pixels; `row` counts over images.
  void run_row(const std::byte* in, std::byte* out, std::int64_t row) const noexcept {
    const std::int64_t out_h = output->shape[1];
    const auto out_w = static_cast<std::int64_t>(columns.size());
    const std::int64_t pixel_bytes = params.channels * element;
    const std::int64_t row_bytes = input->shape[2] * pixel_bytes;
    const std::byte* image = in + row / out_h * input->shape[1] * row_bytes;
    std::byte* result = out + row * out_w * pixel_bytes;
    const AxisTaps vertical =
        axis_taps(mode, align_corners, ratio_h, input->shape[1], out_h, row % out_h);
    ResamplePixel pixel;
    pixel.row_weights = vertical.weight;
    for (int r = 0; r < params.taps; ++r) pixel.rows[r] = image + vertical.index[r] * row_bytes;
    for (const AxisTaps& horizontal : columns) {
      for (int s = 0; s < params.taps; ++s) pixel.columns[s] = horizontal.index[s] * pixel_bytes;
      if (run == nullptr) {
        std::memcpy(result, static_cast<const std::byte*>(pixel.rows[0]) + pixel.columns[0],
                    static_cast<std::size_t>(pixel_bytes));
      } else {
        pixel.column_weights = horizontal.weight;
        run(params, pixel, result);
      }
      result += pixel_bytes;
    }
  }
};

Result<ResampleMode> mode_of(program::ResampleKind kind) {
  switch (kind) {
    case program::ResampleKind_Nearest:
      return ResampleMode::Nearest;
    case program::ResampleKind_NearestExact:
      return ResampleMode::NearestExact;
    case program::ResampleKind_Linear:
      return ResampleMode::Linear;
    case program::ResampleKind_Cubic:
      return ResampleMode::Cubic;
  }
  return error(Code::InvalidProgram, "Resample has an unknown kind");
}

std::vector<AxisTaps> all_taps(ResampleMode mode, bool align_corners, float ratio, std::int64_t in,
                               std::int64_t out) {
  std::vector<AxisTaps> taps;
  taps.reserve(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    taps.push_back(axis_taps(mode, align_corners, ratio, in, out, i));
  }
  return taps;
}

}  // namespace

Result<OperatorPtr> bind_resample(const program::Resample& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Resample input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Resample output", *output, {input->dtype}));
  ENN_TRY(check_rank("Resample input", *input, 4));
  ENN_TRY(check_rank("Resample output", *output, 4));
  ENN_TRY(check_not_in_place("Resample", *input, *output));
  if (input->shape[0] != output->shape[0] || input->shape[3] != output->shape[3]) {
    return error(Code::InvalidProgram, "Resample maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  if (output->shape[2] > kMaxColumns) {
    return error(Code::InvalidProgram, "Resample has a result of ", output->shape[2],
                 " columns; at most ", kMaxColumns, " are taken");
  }
  ENN_ASSIGN(const ResampleMode mode, mode_of(op.kind()));
  for (const float ratio : {op.ratio_h(), op.ratio_w()}) {
    ENN_TRY(check_finite("Resample ratio", ratio));
    if (ratio < 0.0F) return error(Code::InvalidProgram, "Resample has a negative ratio");
  }
  Resampling resampling;
  resampling.input = input;
  resampling.output = output;
  resampling.params.channels = input->shape[3];
  resampling.params.taps = tap_count(mode);
  const bool is_u8 = input->dtype == program::DType_UInt8;
  resampling.element = is_u8 ? 1 : 4;
  const auto taps = static_cast<std::uint64_t>(tap_count(mode));
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(output->numel), taps * taps));
  std::string_view name = "resample_nearest";
  if (tap_count(mode) > 1) {
    const auto& kernel = is_u8 ? best_kernel(kResampleU8Kernels, binder.features())
                               : best_kernel(kResampleF32Kernels, binder.features());
    resampling.run = kernel.run;
    name = kernel.name;
    if (is_u8) {
      ENN_TRY(check_quantization("Resample input", *input));
      ENN_TRY(check_quantization("Resample output", *output));
      resampling.params.input_scale = input->scale;
      resampling.params.inv_scale = inverse_scale(output->scale);
      resampling.params.input_zero_point = input->zero_point;
      resampling.params.zero_point = output->zero_point;
    }
  }
  resampling.mode = mode;
  resampling.align_corners = op.align_corners();
  resampling.ratio_h = op.ratio_h();
  resampling.columns =
      all_taps(mode, op.align_corners(), op.ratio_w(), input->shape[2], output->shape[2]);
  return make_operator(name, [resampling = std::move(resampling), taps](const Frame& frame) {
    const std::byte* in = frame.read(*resampling.input);
    std::byte* out = frame.write(*resampling.output);
    const std::int64_t rows = resampling.output->shape[1];
    const std::int64_t row_cost = static_cast<std::int64_t>(resampling.columns.size()) *
                                  resampling.params.channels * static_cast<std::int64_t>(taps);
    split(*frame.parallel, resampling.output->shape[0] * rows, row_cost,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) resampling.run_row(in, out, row);
          });
  });
}

}  // namespace enn
