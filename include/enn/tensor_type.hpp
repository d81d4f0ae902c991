// Element types and shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace enn {

// The element types, as torch has them. The engine knows those up to Bool. The others only stand in
// graphs, at nodes that quantizer and partitioner leave to others; no program holds one.
enum class DType : std::uint8_t {
  Float32,
  Float16,
  Float64,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Bool,
  BFloat16,
  Complex32,
  Complex64,
  Complex128,
  UInt16,
  UInt32,
  UInt64,
  Float8E4M3FN,
  Float8E5M2,
  Float8E4M3FNUZ,
  Float8E5M2FNUZ,
  Float8E8M0FNU
};

// Bytes per element.
[[nodiscard]] std::size_t size_of(DType dtype);
// "float32", "int8", … as torch names it.
[[nodiscard]] std::string_view to_string(DType dtype);
[[nodiscard]] std::optional<DType> dtype_from_string(std::string_view name);
// Whether the engine knows it.
[[nodiscard]] bool is_known(DType dtype);
// Whether it is one of the engine's floats: float32, float16, float64.
[[nodiscard]] bool is_float(DType dtype);

// Sizes, from the outermost dimension to the innermost; none for a scalar.
using Shape = std::vector<std::int64_t>;
// A size that only a run knows (torch.export's dynamic_shapes). Quantizer and partitioner leave
// what has one to others; no program holds one.
inline constexpr std::int64_t kDynamicSize = -1;
// The first dimension of such a size, or -1.
[[nodiscard]] int dynamic_dim(const Shape& shape);

// Number of elements; 1 for a scalar. Precondition: dimensions >= 0 and the product fits
// (checked_numel for shapes from outside).
[[nodiscard]] std::int64_t numel(const Shape& shape);
// Number of elements, or nullopt if a dimension is negative or the product exceeds `limit`.
[[nodiscard]] std::optional<std::int64_t> checked_numel(const Shape& shape,
                                                        std::int64_t limit = std::int64_t{1} << 40);

// What a tensor is, without its elements.
struct TensorType {
  // Element type and sizes.
  DType dtype = DType::Float32;
  Shape shape;

  // Same element type, same sizes.
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

// "float32[1, 3, 224, 224]".
[[nodiscard]] std::string to_string(const TensorType& type);

}  // namespace enn
