#include "runtime/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

namespace enn {
namespace {

constexpr std::size_t kLargestRank = 8;
constexpr std::int64_t kLargestDim = std::int64_t{1} << 31;
constexpr std::int64_t kLargestNumel = std::int64_t{1} << 40;
// What the arena may have behind its last tensor.
constexpr std::uint64_t kArenaSlack = 4096;

std::optional<DType> dtype_of(program::DType dtype) {
  switch (dtype) {
    case program::DType_Float32:
      return DType::Float32;
    case program::DType_UInt8:
      return DType::UInt8;
    case program::DType_Int8:
      return DType::Int8;
    case program::DType_Int32:
      return DType::Int32;
    case program::DType_Int64:
      return DType::Int64;
    case program::DType_Bool:
      return DType::Bool;
    case program::DType_Float16:
      return DType::Float16;
  }
  return std::nullopt;
}

template <typename T>
std::size_t length(const flatbuffers::Vector<T>* vector) {
  return vector == nullptr ? 0 : vector->size();
}

template <typename T>
std::span<const T> elements(const flatbuffers::Vector<T>* vector) {
  if (vector == nullptr) return {};
  return {vector->data(), vector->size()};
}

// The zero points that a dtype can hold; other dtypes have none.
bool is_zero_point(DType dtype, std::int32_t zero_point) {
  if (dtype == DType::UInt8) return zero_point >= 0 && zero_point <= 255;
  if (dtype == DType::Int8) return zero_point >= -128 && zero_point <= 127;
  return zero_point == 0;
}

Status check_place(const TensorInfo& tensor, std::size_t element, const program::Program& program) {
  const auto outside = [&](std::string_view area, std::uint64_t size) {
    return error(Code::InvalidProgram, "tensor ", tensor.id, " (", tensor.bytes, " bytes at ",
                 tensor.offset, ") lies outside the ", area, " of ", size, " bytes");
  };
  const auto fits = [&](std::uint64_t size) {
    return tensor.bytes <= size && tensor.offset <= size - tensor.bytes;
  };
  const auto check_index = [&](std::string_view what, std::size_t count) -> Status {
    if (tensor.offset < count) return {};
    return error(Code::InvalidProgram, "tensor ", tensor.id, " is ", what, " ", tensor.offset,
                 " of a program with ", count);
  };
  switch (tensor.storage) {
    case program::Storage_Arena:
      if (!fits(program.arena_bytes())) return outside("arena", program.arena_bytes());
      if (tensor.offset % element != 0) {
        return error(Code::InvalidProgram, "tensor ", tensor.id, " lies at ", tensor.offset,
                     " in the arena, which is no multiple of its element's ", element, " bytes");
      }
      return {};
    case program::Storage_Constant:
      if (!fits(length(program.constants()))) {
        return outside("constants", length(program.constants()));
      }
      return {};
    case program::Storage_Input:
      return check_index("input", length(program.inputs()));
    case program::Storage_Output:
      return check_index("output", length(program.outputs()));
  }
  return error(Code::InvalidProgram, "tensor ", tensor.id, " has the unknown storage ",
               static_cast<int>(tensor.storage));
}

Result<TensorInfo> check_tensor(std::uint32_t id, const program::Tensor* table,
                                const program::Program& program) {
  TensorInfo info;
  info.id = id;
  info.dtype = table->dtype();
  info.storage = table->storage();
  info.offset = table->offset();
  info.scale = table->scale();
  info.zero_point = table->zero_point();

  const std::optional<DType> dtype = dtype_of(info.dtype);
  if (!dtype) {
    return error(Code::InvalidProgram, "tensor ", id, " has the unknown dtype ",
                 static_cast<int>(info.dtype));
  }
  const auto dims = elements(table->shape());
  if (dims.size() > kLargestRank) {
    return error(Code::InvalidProgram, "tensor ", id, " has ", dims.size(), " dimensions; at most ",
                 kLargestRank, " are allowed");
  }
  info.shape.assign(dims.begin(), dims.end());
  for (const std::int64_t dim : info.shape) {
    if (dim < 1 || dim > kLargestDim) {
      return error(Code::InvalidProgram, "tensor ", id, " has a dimension of ", dim);
    }
  }
  const std::optional<std::int64_t> count = checked_numel(info.shape, kLargestNumel);
  if (!count) {
    return error(Code::InvalidProgram, "tensor ", id, " of shape ", list_str(info.shape),
                 " is too large");
  }
  info.numel = *count;
  const std::size_t element = size_of(*dtype);
  info.bytes = static_cast<std::size_t>(info.numel) * element;
  if (!std::isfinite(info.scale) || info.scale <= 0.0F) {
    return error(Code::InvalidProgram, "tensor ", id, " has the scale ", info.scale,
                 ", which is not positive and finite");
  }
  if (!is_zero_point(*dtype, info.zero_point)) {
    return error(Code::InvalidProgram, "tensor ", id, " of ", to_string(*dtype),
                 " has the zero point ", info.zero_point);
  }
  ENN_TRY(check_place(info, element, program));
  return info;
}

// `ids` are the tensors of `storage` in order; any other tensor there is a view of the same bytes.
Result<std::vector<TensorType>> check_interface(std::string_view what, program::Storage storage,
                                                std::span<const std::uint32_t> ids,
                                                const std::vector<TensorInfo>& tensors) {
  std::vector<TensorType> types;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= tensors.size()) {
      return error(Code::InvalidProgram, what, " ", i, " is tensor ", ids[i], " of ",
                   tensors.size());
    }
    const TensorInfo& tensor = tensors[ids[i]];
    if (tensor.storage != storage || tensor.offset != i) {
      return error(Code::InvalidProgram, what, " ", i, " is tensor ", ids[i],
                   ", which lies elsewhere (", storage_name(tensor.storage), " ", tensor.offset,
                   ")");
    }
    types.push_back({*dtype_of(tensor.dtype), tensor.shape});
  }
  for (const TensorInfo& tensor : tensors) {
    if (tensor.storage != storage) continue;
    const TensorInfo& listed = tensors[ids[tensor.offset]];
    if (tensor.bytes != listed.bytes) {
      return error(Code::InvalidProgram, "tensor ", tensor.id, " has ", tensor.bytes,
                   " bytes, but ", what, " ", tensor.offset, ", which it views, has ",
                   listed.bytes);
    }
  }
  return types;
}

Result<std::vector<DimOrder>> check_orders(std::string_view what,
                                           std::span<const std::uint32_t> ids,
                                           const program::Program& program) {
  std::vector<DimOrder> orders;
  for (const std::uint32_t id : ids) {
    const program::Tensor& tensor = *program.tensors()->Get(id);
    const auto order = elements(tensor.dim_order());
    orders.emplace_back(order.begin(), order.end());
    if (order.empty()) continue;
    DimOrder sorted = orders.back();
    std::ranges::sort(sorted);
    bool is_order = order.size() == length(tensor.shape());
    for (std::size_t d = 0; is_order && d < sorted.size(); ++d) is_order = sorted[d] == d;
    if (is_order) continue;
    return error(Code::InvalidProgram, what, " ", orders.size() - 1, " has a dim_order of ",
                 order.size(), " entries that is not an order of ", length(tensor.shape()),
                 " dimensions");
  }
  return orders;
}

// A small file must not make its reader allocate much: the arena ends where its tensors end.
Status check_arena(std::uint64_t arena_bytes, const std::vector<TensorInfo>& tensors) {
  std::uint64_t end = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.storage == program::Storage_Arena) {
      end = std::max(end, tensor.offset + tensor.bytes);
    }
  }
  if (arena_bytes <= end + kArenaSlack) return {};
  return error(Code::InvalidProgram, "the arena has ", arena_bytes,
               " bytes, but its tensors end at ", end);
}

}  // namespace

std::string storage_name(program::Storage storage) { return program::EnumNameStorage(storage); }

Result<CheckedTensors> check_tensors(const program::Program& program) {
  CheckedTensors out;
  out.tensors.reserve(length(program.tensors()));
  for (std::size_t i = 0; i < length(program.tensors()); ++i) {
    const auto id = static_cast<std::uint32_t>(i);
    ENN_ASSIGN(TensorInfo info, check_tensor(id, program.tensors()->Get(id), program));
    out.tensors.push_back(std::move(info));
  }
  ENN_TRY(check_arena(program.arena_bytes(), out.tensors));
  ENN_ASSIGN(out.inputs, check_interface("input", program::Storage_Input,
                                         elements(program.inputs()), out.tensors));
  ENN_ASSIGN(out.outputs, check_interface("output", program::Storage_Output,
                                          elements(program.outputs()), out.tensors));
  ENN_ASSIGN(out.input_orders, check_orders("input", elements(program.inputs()), program));
  ENN_ASSIGN(out.output_orders, check_orders("output", elements(program.outputs()), program));
  if (out.outputs.empty()) return error(Code::InvalidProgram, "the program has no output");
  return out;
}

}  // namespace enn
