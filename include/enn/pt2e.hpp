// The steps of PT2E quantization: prepare, calibrate, convert.
//
//   ENN_ASSIGN(const ExportedProgram program, ExportedProgram::load("m.pt2"));
//   EnnQuantizer quantizer;
//   quantizer.set_quant_params(Precision::A8W8, /*is_per_channel=*/true, /*is_qat=*/false);
//   ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(program, quantizer));
//   for (const auto& sample : samples) { ENN_ASSIGN(auto outputs, prepared(sample)); … }
//   ENN_ASSIGN(QuantizedModel quantized, convert_pt2e(prepared));
//   ENN_TRY(quantized.exported_program().save("m_a8w8.pt2"));
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "enn/quantizer.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// A float model with observers on the values that the quantizer chose.
class PreparedModel {
 public:
  // Moved from, a model may only be assigned to or destroyed.
  PreparedModel(PreparedModel&&) noexcept;
  PreparedModel& operator=(PreparedModel&&) noexcept;
  ~PreparedModel();

  // Calibrates: runs the float model on one sample and shows each observer its value. What the
  // observers keep does not grow with the number of samples. Arguments and errors as those of
  // Model::operator().
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs);

  // How many samples the observers saw, merged statistics included.
  [[nodiscard]] std::uint64_t samples() const;

  // What the observers saw, as JSON. Merging statistics of the same model and quantizer adds what
  // others saw, in another run or on another machine; anything else is refused, and then nothing
  // has changed.
  [[nodiscard]] std::string statistics() const;
  [[nodiscard]] Status merge_statistics(std::string_view json);

  // Ranges from outside take the place of what was observed: encodings as QuantizedModel gives
  // them, or AIMET's. Names that the model does not have are an error that lists them.
  [[nodiscard]] Status set_encodings(std::string_view json);

  // Chooses the ranges of what nodes give by the error of the model's outputs, beginning with the
  // ranges observed: call it after calibrating. Takes a run of the model for each sample, range and
  // range that is tried: with fewer than about 32 samples the ranges fit them and not others.
  // `progress` is called with the number of ranges done and of all. InvalidArgument without
  // samples, or where convert_pt2e() would fail for want of calibration.
  [[nodiscard]] Status search_ranges(
      std::span<const std::vector<Tensor>> samples,
      const std::function<void(std::size_t, std::size_t)>& progress = {});

 private:
  friend Result<PreparedModel> prepare_pt2e(const ExportedProgram& program,
                                            const EnnQuantizer& quantizer,
                                            const ModelOptions& options);
  friend Result<class QuantizedModel> convert_pt2e(const PreparedModel& prepared);
  struct State;
  explicit PreparedModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// `options.execution` has no effect: calibration runs in float.
[[nodiscard]] Result<PreparedModel> prepare_pt2e(const ExportedProgram& program,
                                                 const EnnQuantizer& quantizer,
                                                 const ModelOptions& options = {});

// A quantized model: an ordinary program of torch.export with quantize and dequantize operators.
class QuantizedModel {
 public:
  // Moved from, a model may only be assigned to or destroyed.
  QuantizedModel(QuantizedModel&&) noexcept;
  QuantizedModel& operator=(QuantizedModel&&) noexcept;
  ~QuantizedModel();

  // Evaluates. Each kind of execution is compiled when it is first asked for.
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs,
                                                       Execution execution = Execution::Qdq);

  // The quantized model as torch.export has it, to save or to lower.
  [[nodiscard]] const ExportedProgram& exported_program() const;

  // Scale, zero point and range of each quantized value, as JSON. Equal encodings are equal text.
  [[nodiscard]] std::string encodings() const;
  // The same in AIMET's format (version 1.0.0).
  [[nodiscard]] std::string aimet_encodings() const;
  // SHA-256 (hexadecimal) of encodings().
  [[nodiscard]] std::string encodings_hash() const;

  // What the guard left in float, and the reasons: node (or input) by node.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& guarded() const;
  // What is to be said about the calibration and the guard, a line each.
  [[nodiscard]] const std::vector<std::string>& warnings() const;

 private:
  friend Result<QuantizedModel> convert_pt2e(const PreparedModel& prepared);
  struct State;
  explicit QuantizedModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Replaces the observers by quantize and dequantize operators and folds the weights to int8, as
// torchao's convert_pt2e does, and leaves in float what the guard finds destroyed
// (EnnQuantizer::set_guard). An observer that saw no sample and has no encoding is an error that
// names its value.
[[nodiscard]] Result<QuantizedModel> convert_pt2e(const PreparedModel& prepared);

}  // namespace enn
