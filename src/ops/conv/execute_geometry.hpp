// The checks that Conv2D and Conv2DF32 share; their tables have the same geometry fields.
#pragma once

#include "kernels/conv/conv.hpp"
#include "ops/execute_checks.hpp"

namespace enn {

struct ConvOperands {
  const TensorInfo* input = nullptr;
  const TensorInfo* weight = nullptr;
  const TensorInfo* output = nullptr;
  Binder::PackedConstant packed;  // of the weight
  ConvGeometry geometry;
};

// Fills in everything but dtypes, which are the caller's to check, and reports the cost. What
// `packed` is checked for may depend on the shapes, the groups and the zero point of the weight
// alone.
template <typename Table>
[[nodiscard]] Result<ConvOperands> bind_conv_operands(std::string_view name, const Table& op,
                                                      Binder& binder,
                                                      std::int32_t weight_zero_point) {
  ConvOperands operands;
  ENN_ASSIGN(operands.input, binder.tensor(op.input()));
  ENN_ASSIGN(operands.weight, binder.tensor(op.weight()));
  ENN_ASSIGN(operands.output, binder.result(op.output()));
  const TensorInfo& input = *operands.input;
  const TensorInfo& weight = *operands.weight;
  const TensorInfo& output = *operands.output;
  ENN_TRY(check_rank(name, input, 4));
  ENN_TRY(check_rank(name, weight, 4));
  ENN_TRY(check_rank(name, output, 4));
  ENN_TRY(check_not_in_place(name, input, output));

  ConvGeometry& g = operands.geometry;
  g.batch = input.shape[0];
  g.in_h = input.shape[1];
  g.in_w = input.shape[2];
  g.in_c = input.shape[3];
  g.out_h = output.shape[1];
  g.out_w = output.shape[2];
  g.out_c = output.shape[3];
  g.kernel_h = weight.shape[1];
  g.kernel_w = weight.shape[2];
  g.groups = op.groups();
  g.stride_h = op.stride_h();
  g.stride_w = op.stride_w();
  g.pad_top = op.pad_top();
  g.pad_left = op.pad_left();
  g.dilation_h = op.dilation_h();
  g.dilation_w = op.dilation_w();
  if (g.groups < 1 || g.in_c % g.groups != 0 || g.out_c % g.groups != 0 ||
      weight.shape[0] != g.out_c || weight.shape[3] != g.group_in() || output.shape[0] != g.batch) {
    return error(Code::InvalidProgram, name, " has input ", list_str(input.shape), ", weight ",
                 list_str(weight.shape), ", output ", list_str(output.shape), " and ", g.groups,
                 " groups, which do not fit together");
  }
  ENN_TRY(check_window(name, {g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top, g.dilation_h}));
  ENN_TRY(check_window(name, {g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left, g.dilation_w}));
  ENN_ASSIGN(operands.packed,
             binder.packed_constant(weight, str(name, list_str(weight.shape), " groups ", g.groups,
                                                " zero point ", weight_zero_point)));
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(output.numel),
                                        static_cast<std::uint64_t>(g.depth())));
  return operands;
}

}  // namespace enn
