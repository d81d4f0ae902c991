#include "kernels/quantization.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"
#include "ops/resample/execute_pixel.hpp"

namespace enn {
namespace {

// Their taps are kept from loading on.
constexpr std::int64_t kMaxColumns = 1 << 18;

struct Resampling {
  const TensorInfo* input = nullptr;
  const TensorInfo* output = nullptr;
  PixelKernel kernel;
  bool align_corners = false;
  float ratio_h = 1;
  std::vector<AxisTaps> columns;

  // One row of result pixels; `row` counts over images.
  void run_row(const std::byte* in, std::byte* out, std::int64_t row) const noexcept {
    const std::int64_t out_h = output->shape[1];
    const auto out_w = static_cast<std::int64_t>(columns.size());
    const std::int64_t pixel_bytes = kernel.pixel_bytes;
    const std::int64_t row_bytes = input->shape[2] * pixel_bytes;
    const std::byte* image = in + row / out_h * input->shape[1] * row_bytes;
    std::byte* result = out + row * out_w * pixel_bytes;
    const AxisTaps vertical =
        axis_taps(kernel.mode, align_corners, ratio_h, input->shape[1], out_h, row % out_h);
    ResamplePixel pixel;
    pixel.row_weights = vertical.weight;
    for (int r = 0; r < kernel.params.taps; ++r)
      pixel.rows[r] = image + vertical.index[r] * row_bytes;
    for (const AxisTaps& horizontal : columns) {
      for (int s = 0; s < kernel.params.taps; ++s) {
        pixel.columns[s] = horizontal.index[s] * pixel_bytes;
      }
      pixel.column_weights = horizontal.weight;
      kernel.run(pixel, result);
      result += pixel_bytes;
    }
  }
};

Result<ResampleMode> mode_of(std::string_view table, program::ResampleKind kind) {
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
  return error(Code::InvalidProgram, table, " has an unknown kind");
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

Result<PixelKernel> bind_pixel_kernel(std::string_view table, program::ResampleKind kind,
                                      const TensorInfo& input, const TensorInfo& output,
                                      Binder& binder) {
  ENN_TRY(check_dtype(table, input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype(table, output, {input.dtype}));
  ENN_TRY(check_rank(table, input, 4));
  ENN_TRY(check_rank(table, output, 4));
  ENN_TRY(check_not_in_place(table, input, output));
  if (input.shape[0] != output.shape[0] || input.shape[3] != output.shape[3]) {
    return error(Code::InvalidProgram, table, " maps shape ", list_str(input.shape), " to ",
                 list_str(output.shape));
  }
  PixelKernel kernel;
  ENN_ASSIGN(kernel.mode, mode_of(table, kind));
  kernel.params.channels = input.shape[3];
  kernel.params.taps = tap_count(kernel.mode);
  const bool is_u8 = input.dtype == program::DType_UInt8;
  kernel.pixel_bytes = input.shape[3] * (is_u8 ? 1 : 4);
  if (is_u8) {
    ENN_TRY(check_quantization(table, input));
    ENN_TRY(check_quantization(table, output));
    kernel.params.input_scale = input.scale;
    kernel.params.inv_scale = inverse_scale(output.scale);
    kernel.params.input_zero_point = input.zero_point;
    kernel.params.zero_point = output.zero_point;
  }
  const bool same = input.scale == output.scale && input.zero_point == output.zero_point;
  kernel.name = "resample_nearest";
  if (kernel.params.taps > 1 || (is_u8 && !same)) {
    const auto& row = is_u8 ? best_kernel(kResampleU8Kernels, binder.features())
                            : best_kernel(kResampleF32Kernels, binder.features());
    kernel.weighted = row.run;
    kernel.name = row.name;
  }
  const auto taps = static_cast<std::uint64_t>(kernel.params.taps);
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(output.numel), taps * taps));
  return PixelKernel(kernel);
}

Result<OperatorPtr> bind_resample(const program::Resample& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_ASSIGN(const PixelKernel kernel,
             bind_pixel_kernel("Resample", op.kind(), *input, *output, binder));
  if (output->shape[2] > kMaxColumns) {
    return error(Code::InvalidProgram, "Resample has a result of ", output->shape[2],
                 " columns; at most ", kMaxColumns, " are taken");
  }
  for (const float ratio : {op.ratio_h(), op.ratio_w()}) {
    ENN_TRY(check_finite("Resample ratio", ratio));
    if (ratio < 0.0F) return error(Code::InvalidProgram, "Resample has a negative ratio");
  }
  Resampling resampling;
  resampling.input = input;
  resampling.output = output;
  resampling.kernel = kernel;
  resampling.align_corners = op.align_corners();
  resampling.ratio_h = op.ratio_h();
  resampling.columns =
      all_taps(kernel.mode, op.align_corners(), op.ratio_w(), input->shape[2], output->shape[2]);
  return make_operator(kernel.name, [resampling = std::move(resampling)](const Frame& frame) {
    const std::byte* in = frame.read(*resampling.input);
    std::byte* out = frame.write(*resampling.output);
    const std::int64_t rows = resampling.output->shape[1];
    const std::int64_t row_cost =
        static_cast<std::int64_t>(resampling.columns.size()) * resampling.kernel.cost();
    split(*frame.parallel, resampling.output->shape[0] * rows, row_cost,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) resampling.run_row(in, out, row);
          });
  });
}

}  // namespace enn
