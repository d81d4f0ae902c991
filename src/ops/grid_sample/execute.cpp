#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"
#include "ops/resample/execute_pixel.hpp"

namespace enn {
namespace {

struct GridSampling {
  const TensorInfo* input = nullptr;
  const TensorInfo* grid = nullptr;
  const TensorInfo* output = nullptr;
  PixelKernel kernel;
  GridPadding padding = GridPadding::Zeros;
  bool align_corners = false;

  // One row of result pixels; `row` counts over images.
  void run_row(const std::byte* in, const float* places, std::byte* out,
               std::int64_t row) const noexcept {
    const std::int64_t height = input->shape[1];
    const std::int64_t width = input->shape[2];
    const std::int64_t columns = output->shape[2];
    const std::int64_t row_bytes = width * kernel.pixel_bytes;
    const std::byte* image = in + row / output->shape[1] * height * row_bytes;
    std::byte* result = out + row * columns * kernel.pixel_bytes;
    const float* place = places + row * columns * 2;
    AxisTaps vertical;
    AxisTaps horizontal;
    ResamplePixel pixel;
    pixel.row_weights = vertical.weight;
    pixel.column_weights = horizontal.weight;
    for (std::int64_t i = 0; i < columns; ++i, place += 2, result += kernel.pixel_bytes) {
      const bool inside =
          grid_taps(kernel.mode, padding, align_corners, width, place[0], horizontal) &&
          grid_taps(kernel.mode, padding, align_corners, height, place[1], vertical);
      if (!inside) {
        kernel.clear(result);
        continue;
      }
      for (int tap = 0; tap < kernel.params.taps; ++tap) {
        pixel.rows[tap] = image + vertical.index[tap] * row_bytes;
        pixel.columns[tap] = horizontal.index[tap] * kernel.pixel_bytes;
      }
      kernel.run(pixel, result);
    }
  }
};

Result<GridPadding> padding_of(program::GridPadding padding) {
  switch (padding) {
    case program::GridPadding_Zeros:
      return GridPadding::Zeros;
    case program::GridPadding_Border:
      return GridPadding::Border;
    case program::GridPadding_Reflection:
      return GridPadding::Reflection;
  }
  return error(Code::InvalidProgram, "GridSample has an unknown padding");
}

}  // namespace

Result<OperatorPtr> bind_grid_sample(const program::GridSample& op, Binder& binder) {
  GridSampling sampling;
  ENN_ASSIGN(sampling.input, binder.tensor(op.input()));
  ENN_ASSIGN(sampling.grid, binder.tensor(op.grid()));
  ENN_ASSIGN(sampling.output, binder.result(op.output()));
  const TensorInfo& grid = *sampling.grid;
  const std::vector<std::int64_t>& shape = sampling.output->shape;
  ENN_ASSIGN(sampling.kernel,
             bind_pixel_kernel("GridSample", op.kind(), *sampling.input, *sampling.output, binder));
  ENN_TRY(check_dtype("GridSample grid", grid, {program::DType_Float32}));
  ENN_TRY(check_not_in_place("GridSample", grid, *sampling.output));
  if (sampling.kernel.mode == ResampleMode::NearestExact) {
    return error(Code::InvalidProgram, "GridSample has the kind NearestExact");
  }
  if (grid.shape != std::vector<std::int64_t>{shape[0], shape[1], shape[2], 2}) {
    return error(Code::InvalidProgram, "GridSample gives ", list_str(shape), " by a grid of shape ",
                 list_str(grid.shape));
  }
  ENN_ASSIGN(sampling.padding, padding_of(op.padding()));
  sampling.align_corners = op.align_corners();
  // Finding the taps of a pixel takes about as long as 32 of them.
  constexpr std::int64_t kPlaceCost = 32;
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(grid.numel), kPlaceCost));
  return make_operator(sampling.kernel.name, [sampling](const Frame& frame) {
    const std::byte* in = frame.read(*sampling.input);
    const auto* places = reinterpret_cast<const float*>(frame.read(*sampling.grid));
    std::byte* out = frame.write(*sampling.output);
    const std::vector<std::int64_t>& result = sampling.output->shape;
    split(*frame.parallel, result[0] * result[1], result[2] * (sampling.kernel.cost() + kPlaceCost),
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
              sampling.run_row(in, places, out, row);
            }
          });
  });
}

}  // namespace enn
