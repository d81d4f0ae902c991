#include "executorch/tensor_checks.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace enn {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::EValue;

std::optional<DType> dtype_of(ScalarType type) {
  switch (type) {
    case ScalarType::Float:
      return DType::Float32;
    case ScalarType::Half:
      return DType::Float16;
    case ScalarType::Double:
      return DType::Float64;
    case ScalarType::Byte:
      return DType::UInt8;
    case ScalarType::Char:
      return DType::Int8;
    case ScalarType::Short:
      return DType::Int16;
    case ScalarType::Int:
      return DType::Int32;
    case ScalarType::Long:
      return DType::Int64;
    case ScalarType::Bool:
      return DType::Bool;
    default:
      return std::nullopt;
  }
}

// The dimension that is the i-th in memory.
std::size_t dim_at(const DimOrder& order, std::size_t i) { return order.empty() ? i : order[i]; }

bool same_shape(const Tensor& tensor, const Shape& shape, const DimOrder& order) {
  if (static_cast<std::size_t>(tensor.dim()) != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (tensor.sizes()[dim_at(order, i)] != shape[i]) return false;
  }
  return true;
}

// Its dimensions in this order, without gaps. The stride of a dimension of size 1 means nothing.
bool is_dense(const Tensor& tensor, const DimOrder& order) {
  const auto strides = tensor.strides();
  if (strides.data() == nullptr) {
    const auto own = tensor.dim_order();
    if (own.data() == nullptr) return order.empty();
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (own[i] != dim_at(order, i)) return false;
    }
    return true;
  }
  std::int64_t expected = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    const std::size_t dim = dim_at(order, i);
    const std::int64_t size = tensor.sizes()[dim];
    if (size != 1 && strides[dim] != expected) return false;
    expected *= size;
  }
  return true;
}

std::string describe(const Tensor& tensor) {
  const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
  return str(dtype ? to_string(*dtype) : std::string_view("another dtype"),
             list_str(tensor.sizes()));
}

std::size_t byte_size(const TensorType& type) {
  return static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
}

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a);
  const auto b_begin = reinterpret_cast<std::uintptr_t>(b);
  return a_begin < b_begin + b_bytes && b_begin < a_begin + a_bytes;
}

}  // namespace

TensorType in_own_order(TensorType type, const DimOrder& order) {
  const Shape shape = type.shape;
  for (std::size_t i = 0; i < shape.size(); ++i) type.shape[dim_at(order, i)] = shape[i];
  return type;
}

Result<std::span<std::byte>> check_tensor(std::string_view role, std::size_t index,
                                          const EValue* value, const TensorType& expected,
                                          const DimOrder& order) {
  if (value == nullptr || !value->isTensor()) {
    return error(Code::InvalidArgument, role, " ", index, " is not a tensor; the program expects ",
                 to_string(in_own_order(expected, order)));
  }
  const Tensor& tensor = value->toTensor();
  if (dtype_of(tensor.scalar_type()) != expected.dtype ||
      !same_shape(tensor, expected.shape, order)) {
    return error(Code::InvalidArgument, role, " ", index, " is ", describe(tensor),
                 "; the program expects ", to_string(in_own_order(expected, order)));
  }
  if (!is_dense(tensor, order)) {
    if (order.empty()) {
      return error(
          Code::InvalidArgument, role, " ", index, " of shape ", list_str(tensor.sizes()),
          " is not contiguous (strides ", list_str(tensor.strides()),
          "); the program was exported for contiguous tensors: pass it through .contiguous()");
    }
    return error(Code::InvalidArgument, role, " ", index, " of shape ", list_str(tensor.sizes()),
                 " has strides ", list_str(tensor.strides()),
                 "; the program was exported for one with the dimensions ",
                 list_str(std::vector<int>(order.begin(), order.end())), " in memory");
  }
  const std::size_t bytes = byte_size(expected);
  if (tensor.nbytes() != bytes) {
    return error(Code::InvalidArgument, role, " ", index, " has ", tensor.nbytes(),
                 " bytes; the program expects ", bytes);
  }
  void* const data = tensor.mutable_data_ptr();
  if (data == nullptr) {
    return error(Code::InvalidArgument, role, " ", index, " has no memory");
  }
  return std::span(static_cast<std::byte*>(data), bytes);
}

Status check_no_overlap(std::span<const std::byte* const> inputs,
                        std::span<const TensorType> input_types,
                        std::span<std::byte* const> outputs,
                        std::span<const TensorType> output_types) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::size_t bytes = byte_size(output_types[i]);
    for (std::size_t j = 0; j < inputs.size(); ++j) {
      if (overlap(outputs[i], bytes, inputs[j], byte_size(input_types[j]))) {
        return error(Code::InvalidArgument, "the memory of output ", i, " overlaps that of input ",
                     j);
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (overlap(outputs[i], bytes, outputs[j], byte_size(output_types[j]))) {
        return error(Code::InvalidArgument, "the memory of output ", i, " overlaps that of output ",
                     j);
      }
    }
  }
  return {};
}

}  // namespace enn
