// The passes, one per file. Each leaves a graph that verify() accepts.
#pragma once

#include "ir/graph.hpp"

namespace enn {

// A float16 graph computes in float32: constants are widened, inputs converted behind the border
// and outputs before it.
[[nodiscard]] Status widen_float16(Graph& graph);
// Operands of elementwise operators are converted to the element type in which these compute; a
// clamp to tensors becomes maximum and minimum, and the weight of prelu broadcasts.
[[nodiscard]] Status promote_operands(Graph& graph);
// Removes operators that do nothing: dropout in inference, clone, alias.
[[nodiscard]] Status erase_identities(Graph& graph);
// Computes operators on constants (ops/evaluate.hpp) but dequantize, so that weights reach the
// engine in one form.
[[nodiscard]] Status fold_constants(Graph& graph);
// Batch norm in inference becomes part of the convolution before it, else a multiplication and an
// addition.
[[nodiscard]] Status fold_batch_norm(Graph& graph);
// A function that is written out as its arithmetic (ops/written_out.hpp) becomes the operator.
[[nodiscard]] Status recognize_functions(Graph& graph);
// relu and clamp become the activation range of the convolution, linear, add, sub or mul that they
// follow.
[[nodiscard]] Status fuse_activations(Graph& graph);
// The dimensions of a reduction become neighbours: those that are not are permuted behind the
// others.
[[nodiscard]] Status arrange_reductions(Graph& graph);
// A convolution, pooling or resampling over [N, C, W], [C, H, W] or [C, W] becomes one over
// [N, C, H, W] between two reshapes; unused second results of pooling go.
[[nodiscard]] Status widen_images(Graph& graph);
// A transposed convolution becomes a convolution that computes, for each input position, the
// stride x stride results that begin there as channels, which a shuffle spreads out.
[[nodiscard]] Status rewrite_transposed_convolution(Graph& graph);
// What lies between two image operators is computed on images too, so that the reshapes of
// widen_images cancel out: reshapes to [N, C, W] go behind elementwise operators, concatenations
// and permutations, those to [N, C, 1, W] before them.
[[nodiscard]] Status sink_reshapes(Graph& graph);
// Every 8-bit value that is quantized or dequantized carries its parameters. A value that is
// dequantized in two ways keeps the first; the others read a copy.
[[nodiscard]] Status attach_quantization(Graph& graph);
// Does so, and dequantize -> operator -> quantize becomes the operator on quantized values.
[[nodiscard]] Status fold_qdq(Graph& graph);
// Computes the dequantize of constants that are left, and what follows from them.
[[nodiscard]] Status fold_dequantized_constants(Graph& graph);
// A matrix product reads its second operand transposed where that was transposed for it.
[[nodiscard]] Status fold_transposes(Graph& graph);
// Chooses the layout of every rank-4 value and makes each change of layout an identity node between
// two.
[[nodiscard]] Status assign_layouts(Graph& graph);

}  // namespace enn
