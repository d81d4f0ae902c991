// What an archive says of a tensor, and what torch's serializer numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "archive/json.hpp"
#include "archive/symbols.hpp"
#include "enn/tensor_type.hpp"
#include "ir/graph.hpp"

namespace enn {

// What the serializer's numbers stand for, such as Float32 for 7; names are without "torch.".
[[nodiscard]] Result<DType> scalar_type(const json::Element& number);
[[nodiscard]] Result<std::string_view> memory_format_name(const json::Element& number);
[[nodiscard]] Result<std::string_view> layout_name(const json::Element& number);
// The serializer's number of an element type.
[[nodiscard]] std::int64_t scalar_type_number(DType dtype);

struct TensorMeta {
  TensorType type;
  std::vector<std::int64_t> strides;  // in elements
  std::int64_t offset = 0;            // in elements
};

// `tensor` names it in messages.
[[nodiscard]] Result<TensorMeta> read_tensor_meta(const json::Element& meta,
                                                  std::string_view tensor, const Symbols& symbols);

// The elements of a strided view of `storage` in row-major order.
[[nodiscard]] Result<ConstantData> gather_elements(std::span<const std::byte> storage,
                                                   const TensorMeta& meta, std::string_view tensor);

// The names of an FX graph are Python identifiers; nothing else becomes the name of a value.
[[nodiscard]] Result<std::string> read_identifier(const json::Element& element);
// That of the member "name".
[[nodiscard]] Result<std::string> read_member_name(const json::Element& element);

}  // namespace enn
