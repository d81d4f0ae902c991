// Binds the steps of a program one after the other, and checks between them what no single operator
// can see: that each byte is written before it is read, and what a run takes in memory and work.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "enn/program.hpp"
#include "runtime/byte_ranges.hpp"
#include "runtime/operator.hpp"
#include "runtime/tensors.hpp"

namespace enn {

struct BindLimits {
  int max_threads = 1;
  std::uint64_t max_scratch_bytes = 0;
  std::uint64_t max_operations = 0;
};

class ProgramBinder final : public Binder {
 public:
  // All arguments but the limits must outlive the binder; the tensors and constants also outlive
  // every operator it binds.
  ProgramBinder(const CheckedTensors& tensors, std::span<const std::byte> constants,
                CpuFeatures features, const BindLimits& limits);

  // Steps in order of execution. An error names the step.
  [[nodiscard]] Result<OperatorPtr> bind(std::size_t index, const program::Step& step);
  // After the last step: every output is complete.
  [[nodiscard]] Status finish() const;
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }

  [[nodiscard]] Result<const TensorInfo*> tensor(std::uint32_t id) override;
  [[nodiscard]] Result<const TensorInfo*> result(std::uint32_t id) override;
  [[nodiscard]] Result<std::span<const std::byte>> constant(
      const TensorInfo& tensor) const override;
  [[nodiscard]] Result<PackedConstant> packed_constant(const TensorInfo& tensor,
                                                       std::string_view packing) override;
  void request_scratch(std::size_t bytes) override;
  void report_cost(std::uint64_t operations) override;
  [[nodiscard]] CpuFeatures features() const override { return features_; }
  [[nodiscard]] int max_threads() const override { return limits_.max_threads; }

 private:
  // Where a tensor's bytes are: the arena and each output are spaces of their own.
  struct Place {
    std::size_t space = 0;
    ByteRange range;
  };

  [[nodiscard]] Result<const TensorInfo*> find(std::uint32_t id);
  [[nodiscard]] static Status check_constant(const TensorInfo& tensor);
  [[nodiscard]] static bool is_writable(const TensorInfo& tensor);
  [[nodiscard]] static Place place(const TensorInfo& tensor);
  [[nodiscard]] Status check_disjoint(const TensorInfo& tensor, const Place& at,
                                      const std::vector<Place>& others) const;
  [[nodiscard]] Status check_budgets() const;

  const CheckedTensors& tensors_;
  std::span<const std::byte> constants_;
  CpuFeatures features_;
  BindLimits limits_;

  std::vector<ByteRanges> written_;  // by space
  std::size_t scratch_bytes_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t lookups_ = 0;
  mutable std::uint64_t bound_constant_bytes_ = 0;
  PackCache packs_;
  std::set<std::string> packed_;  // names of the weights in it

  // Of the step that is being bound.
  std::vector<Place> reads_;
  std::vector<Place> writes_;
};

}  // namespace enn
