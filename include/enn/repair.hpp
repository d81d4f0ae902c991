// What gets accuracy back without leaving layers in float: channels of like range, weights whose
// rounding is learned, ranges chosen by the error of the model's outputs (docs/repair.md).
#pragma once

#include <cstddef>
#include <functional>

#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "enn/pt2e.hpp"
#include "enn/quantizer.hpp"
#include "enn/result.hpp"
#include "enn/search.hpp"

namespace enn {

// The program with other weights and biases: channels that layers alone read are given about the
// same range. In float it computes the same, but for rounding, and for channels after a clamp such
// as relu6 that reach twice as far as any sample of `feed` shows. Batch norms are folded into their
// convolutions.
[[nodiscard]] Result<ExportedProgram> equalize(const ExportedProgram& program,
                                               const FeedSamples& feed,
                                               const ModelOptions& options = {});

// equalize(), prepare_pt2e() with learned rounding of weights, calibration,
// PreparedModel::search_ranges(), convert_pt2e(). `progress` is called with the number of ranges
// searched and of all.
[[nodiscard]] Result<QuantizedModel> quantize_repaired(
    const ExportedProgram& program, const EnnQuantizer& quantizer, const FeedSamples& feed,
    const ModelOptions& options = {},
    const std::function<void(std::size_t, std::size_t)>& progress = {});

}  // namespace enn
