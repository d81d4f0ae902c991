// What the bind functions of ops/*/execute.cpp share: checks of untrusted program tables, and an
// Operator made from a callable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/operator.hpp"

namespace enn {

// `run` is called as run(frame), must not throw and must not allocate.
template <typename Run>
[[nodiscard]] OperatorPtr make_operator(std::string_view kernel, Run run) {
  class CallableOperator final : public Operator {
   public:
    CallableOperator(std::string_view name, Run callable)
        : name_(name), run_(std::move(callable)) {}
    void run(const Frame& frame) const noexcept override { run_(frame); }
    [[nodiscard]] std::string_view kernel() const noexcept override { return name_; }

   private:
    std::string_view name_;
    Run run_;
  };
  return std::make_unique<CallableOperator>(kernel, std::move(run));
}

// A copy of a table's vector, empty where it is absent. The file decides where the elements lie,
// and the verifier asks 4-byte alignment of them and no more: 8-byte ones are to be read through
// this.
template <typename T>
[[nodiscard]] std::vector<std::int64_t> listed(const flatbuffers::Vector<T>* vector) {
  if (vector == nullptr || vector->size() == 0) return {};
  std::vector<T> elements(vector->size());
  std::memcpy(elements.data(), vector->Data(), elements.size() * sizeof(T));
  return {elements.begin(), elements.end()};
}

// Bytes per element. Precondition: the tensor is not empty.
[[nodiscard]] inline std::size_t element_size(const TensorInfo& tensor) {
  return tensor.bytes / static_cast<std::size_t>(tensor.numel);
}

// `name` is a string literal that says which operand is meant, e.g. "Conv2D input".
[[nodiscard]] Status check_dtype(std::string_view name, const TensorInfo& tensor,
                                 std::initializer_list<program::DType> allowed);
[[nodiscard]] Status check_rank(std::string_view name, const TensorInfo& tensor, std::size_t rank);
// The operator cannot work in place.
[[nodiscard]] Status check_not_in_place(std::string_view name, const TensorInfo& input,
                                        const TensorInfo& output);
// The operands broadcast to the output, which is no larger than they ask for, and none that is read
// more than once or in another order is the output's memory.
[[nodiscard]] Status check_broadcast(std::string_view name,
                                     std::span<const TensorInfo* const> operands,
                                     const TensorInfo& output);
// Scale finite and positive, its reciprocal finite, the zero point representable in the tensor's
// 8-bit type.
[[nodiscard]] Status check_quantization(std::string_view name, const TensorInfo& tensor);
[[nodiscard]] Status check_finite(std::string_view name, float value);
[[nodiscard]] Status check_finite(std::string_view name, std::span<const float> values);
// minimum <= maximum, infinities allowed, NaN not.
[[nodiscard]] Status check_range(std::string_view name, float minimum, float maximum);

// A copy of a Float32 constant of shape [count], all finite.
[[nodiscard]] Result<std::vector<float>> float_constant(std::string_view name, Binder& binder,
                                                        std::uint32_t id, std::int64_t count);

// The same, for what shares what it packs of it with the steps that read the same constant: these
// count as one use together.
[[nodiscard]] Result<std::vector<float>> shared_float_constant(std::string_view name,
                                                               Binder& binder, std::uint32_t id,
                                                               std::int64_t count);

// The perm field of a table, checked; the identity when it is absent.
[[nodiscard]] Result<std::vector<std::uint32_t>> permutation(
    std::string_view name, const flatbuffers::Vector<std::uint32_t>* perm, const TensorInfo& input,
    const TensorInfo& output);

// True when a walk of `shape` by `strides` from element `offset` stays in a tensor of `numel`
// elements. Precondition: sizes are at least 1, and as many as strides.
[[nodiscard]] bool stays_inside(const std::vector<std::int64_t>& shape,
                                const std::vector<std::int64_t>& strides, std::int64_t offset,
                                std::int64_t numel);

// One spatial dimension of a sliding window.
struct WindowAxis {
  std::int64_t in = 1, out = 1, kernel = 1, stride = 1, pad = 0, dilation = 1;

  // Size of the window with its gaps.
  [[nodiscard]] std::int64_t extent() const { return dilation * (kernel - 1) + 1; }
};

// Attributes in [1, 2^20] (padding in [0, 2^20]) and the last window begins no further than `pad`
// positions after the input.
[[nodiscard]] Status check_window(std::string_view name, const WindowAxis& axis);

// a * b, or UINT64_MAX when that overflows.
[[nodiscard]] std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b);

}  // namespace enn
