#include "enn/tensor_type.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "enn/result.hpp"

namespace enn {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array kDTypes{
    DTypeRow{DType::Float32, "float32", 4},
    DTypeRow{DType::Float16, "float16", 2},
    DTypeRow{DType::Float64, "float64", 8},
    DTypeRow{DType::UInt8, "uint8", 1},
    DTypeRow{DType::Int8, "int8", 1},
    DTypeRow{DType::Int16, "int16", 2},
    DTypeRow{DType::Int32, "int32", 4},
    DTypeRow{DType::Int64, "int64", 8},
    DTypeRow{DType::Bool, "bool", 1},
    DTypeRow{DType::BFloat16, "bfloat16", 2},
    DTypeRow{DType::Complex32, "complex32", 4},
    DTypeRow{DType::Complex64, "complex64", 8},
    DTypeRow{DType::Complex128, "complex128", 16},
    DTypeRow{DType::UInt16, "uint16", 2},
    DTypeRow{DType::UInt32, "uint32", 4},
    DTypeRow{DType::UInt64, "uint64", 8},
    DTypeRow{DType::Float8E4M3FN, "float8_e4m3fn", 1},
    DTypeRow{DType::Float8E5M2, "float8_e5m2", 1},
    DTypeRow{DType::Float8E4M3FNUZ, "float8_e4m3fnuz", 1},
    DTypeRow{DType::Float8E5M2FNUZ, "float8_e5m2fnuz", 1},
    DTypeRow{DType::Float8E8M0FNU, "float8_e8m0fnu", 1},
};

const DTypeRow& row(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_of(DType dtype) { return row(dtype).size; }

std::string_view to_string(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_from_string(std::string_view name) {
  for (const DTypeRow& candidate : kDTypes) {
    if (candidate.name == name) return candidate.dtype;
  }
  return std::nullopt;
}

bool is_known(DType dtype) { return dtype <= DType::Bool; }

bool is_float(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float16 || dtype == DType::Float64;
}

int dynamic_dim(const Shape& shape) {
  const auto found = std::ranges::find(shape, kDynamicSize);
  return found == shape.end() ? -1 : static_cast<int>(found - shape.begin());
}

std::int64_t numel(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  return count;
}

std::optional<std::int64_t> checked_numel(const Shape& shape, std::int64_t limit) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      empty = true;
      continue;
    }
    if (count > limit / dim) return std::nullopt;
    count *= dim;
  }
  return empty ? 0 : count;
}

std::string to_string(const TensorType& type) {
  return str(to_string(type.dtype), list_str(type.shape));
}

}  // namespace enn
