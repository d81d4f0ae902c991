#include "ops/execute_checks.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/broadcast.hpp"

namespace enn {
namespace {

constexpr std::int64_t kMaxWindowAttribute = 1 << 20;

}  // namespace

Status check_dtype(std::string_view name, const TensorInfo& tensor,
                   std::initializer_list<program::DType> allowed) {
  for (const program::DType dtype : allowed) {
    if (tensor.dtype != dtype) continue;
    const bool in_payload =
        tensor.storage == program::Storage_Arena || tensor.storage == program::Storage_Constant;
    const std::size_t size =
        tensor.numel == 0 ? 1 : tensor.bytes / static_cast<std::size_t>(tensor.numel);
    if (in_payload && tensor.offset % size != 0) {
      return error(Code::InvalidProgram, name, " (tensor ", tensor.id,
                   ") is not aligned to its element size");
    }
    return {};
  }
  return error(Code::InvalidProgram, name, " (tensor ", tensor.id, ") has dtype ",
               program::EnumNameDType(tensor.dtype), ", which this operator does not take");
}

Status check_rank(std::string_view name, const TensorInfo& tensor, std::size_t rank) {
  if (tensor.shape.size() == rank) return {};
  return error(Code::InvalidProgram, name, " (tensor ", tensor.id, ") has shape ",
               list_str(tensor.shape), ", expected rank ", rank);
}

Status check_not_in_place(std::string_view name, const TensorInfo& input,
                          const TensorInfo& output) {
  if (input.storage != output.storage || input.offset != output.offset) return {};
  return error(Code::InvalidProgram, name, " cannot write its result over its input (tensor ",
               input.id, ")");
}

Status check_broadcast(std::string_view name, std::span<const TensorInfo* const> operands,
                       const TensorInfo& output) {
  std::vector<std::int64_t> joined(output.shape.size(), 1);
  for (const TensorInfo* operand : operands) {
    if (!broadcasts_to(operand->shape, output.shape)) {
      return error(Code::InvalidProgram, name, " operand ", list_str(operand->shape),
                   " does not broadcast to ", list_str(output.shape));
    }
    const std::size_t skip = joined.size() - operand->shape.size();
    for (std::size_t d = 0; d < operand->shape.size(); ++d) {
      joined[skip + d] = std::max(joined[skip + d], operand->shape[d]);
    }
    if (operand->shape != output.shape || operand->bytes != output.bytes) {
      ENN_TRY(check_not_in_place(name, *operand, output));
    }
  }
  if (joined == output.shape) return {};
  return error(Code::InvalidProgram, name, " operands broadcast to ", list_str(joined), ", not to ",
               list_str(output.shape));
}

Status check_quantization(std::string_view name, const TensorInfo& tensor) {
  const bool is_signed = tensor.dtype == program::DType_Int8;
  const std::int32_t low = is_signed ? -128 : 0;
  if (!(tensor.scale > 0) || !std::isfinite(tensor.scale) || !std::isfinite(1.0F / tensor.scale)) {
    return error(Code::InvalidProgram, name, " (tensor ", tensor.id,
                 ") has a scale that is not a positive finite number");
  }
  if (tensor.zero_point < low || tensor.zero_point > low + 255) {
    return error(Code::InvalidProgram, name, " (tensor ", tensor.id, ") has zero point ",
                 tensor.zero_point, ", outside its type");
  }
  return {};
}

Status check_finite(std::string_view name, float value) {
  if (std::isfinite(value)) return {};
  return error(Code::InvalidProgram, name, " is not finite");
}

Status check_finite(std::string_view name, std::span<const float> values) {
  const auto* const bad =
      std::ranges::find_if_not(values.data(), values.data() + values.size(),
                               [](float value) { return std::isfinite(value); });
  if (bad == values.data() + values.size()) return {};
  return error(Code::InvalidProgram, name, " is not finite");
}

Status check_range(std::string_view name, float minimum, float maximum) {
  if (minimum <= maximum) return {};
  return error(Code::InvalidProgram, name, " has a minimum above its maximum, or NaN");
}

namespace {

Result<const TensorInfo*> float_list(std::string_view name, Binder& binder, std::uint32_t id,
                                     std::int64_t count) {
  ENN_ASSIGN(const TensorInfo* tensor, binder.tensor(id));
  if (tensor->dtype != program::DType_Float32 || tensor->shape.size() != 1 ||
      tensor->numel != count) {
    return error(Code::InvalidProgram, name, " (tensor ", id, ") is not float32[", count, "]");
  }
  return tensor;
}

Result<std::vector<float>> finite_floats(std::string_view name, std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  ENN_TRY(check_finite(name, values));
  return values;
}

}  // namespace

Result<std::vector<float>> float_constant(std::string_view name, Binder& binder, std::uint32_t id,
                                          std::int64_t count) {
  ENN_ASSIGN(const TensorInfo* tensor, float_list(name, binder, id, count));
  ENN_ASSIGN(const std::span<const std::byte> bytes, binder.constant(*tensor));
  return finite_floats(name, bytes);
}

Result<std::vector<float>> shared_float_constant(std::string_view name, Binder& binder,
                                                 std::uint32_t id, std::int64_t count) {
  ENN_ASSIGN(const TensorInfo* tensor, float_list(name, binder, id, count));
  ENN_ASSIGN(const auto packed, binder.packed_constant(*tensor, "floats"));
  return finite_floats(name, packed.bytes);
}

Result<std::vector<std::uint32_t>> permutation(std::string_view name,
                                               const flatbuffers::Vector<std::uint32_t>* perm,
                                               const TensorInfo& input, const TensorInfo& output) {
  const std::size_t rank = input.shape.size();
  std::vector<std::uint32_t> order(rank);
  std::iota(order.begin(), order.end(), 0U);
  if (perm != nullptr) {
    if (perm->size() != rank) {
      return error(Code::InvalidProgram, name, " has a perm of ", perm->size(), " entries for ",
                   rank, " dimensions");
    }
    std::vector<std::uint32_t> given(perm->begin(), perm->end());
    if (!std::is_permutation(given.begin(), given.end(), order.begin(), order.end())) {
      return error(Code::InvalidProgram, name, " has perm ", list_str(given),
                   ", not a permutation of ", rank, " dimensions");
    }
    order = std::move(given);
  }
  bool fits = output.shape.size() == rank;
  for (std::size_t d = 0; fits && d < rank; ++d) fits = output.shape[d] == input.shape[order[d]];
  if (!fits) {
    return error(Code::InvalidProgram, name, " maps shape ", list_str(input.shape), " by perm ",
                 list_str(order), " to ", list_str(output.shape));
  }
  return order;
}

bool stays_inside(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                  std::int64_t offset, std::int64_t numel) {
  std::int64_t first = offset;
  std::int64_t last = offset;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    std::int64_t reach = 0;
    std::int64_t& end = strides[d] < 0 ? first : last;
    if (__builtin_mul_overflow(shape[d] - 1, strides[d], &reach) ||
        __builtin_add_overflow(end, reach, &end)) {
      return false;
    }
  }
  return first >= 0 && last < numel;
}

Status check_window(std::string_view name, const WindowAxis& axis) {
  for (const std::int64_t value : {axis.kernel, axis.stride, axis.dilation}) {
    if (value < 1 || value > kMaxWindowAttribute) {
      return error(Code::InvalidProgram, name, " has a kernel size, stride or dilation of ", value,
                   ", outside [1, 2^20]");
    }
  }
  if (axis.pad < 0 || axis.pad > kMaxWindowAttribute) {
    return error(Code::InvalidProgram, name, " has a padding of ", axis.pad, ", outside [0, 2^20]");
  }
  if ((axis.out - 1) * axis.stride - axis.pad > axis.in + axis.pad) {
    return error(Code::InvalidProgram, name, " has windows outside its input: size ", axis.in,
                 " gives ", axis.out, " results with kernel ", axis.kernel, ", stride ",
                 axis.stride, " and padding ", axis.pad);
  }
  return {};
}

std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

}  // namespace enn
