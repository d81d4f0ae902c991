#include "archive/tensor_meta.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace enn {
namespace {

using json::Element;

// What torch's serializer numbers; the names are those of torch.<name>.
struct Numbered {
  std::int64_t number;
  std::string_view name;
};
constexpr std::array<std::pair<std::int64_t, DType>, 21> kScalarTypes{{
    {1, DType::UInt8},           {2, DType::Int8},
    {3, DType::Int16},           {4, DType::Int32},
    {5, DType::Int64},           {6, DType::Float16},
    {7, DType::Float32},         {8, DType::Float64},
    {9, DType::Complex32},       {10, DType::Complex64},
    {11, DType::Complex128},     {12, DType::Bool},
    {13, DType::BFloat16},       {28, DType::UInt16},
    {29, DType::Float8E4M3FN},   {30, DType::Float8E5M2},
    {31, DType::Float8E4M3FNUZ}, {32, DType::Float8E5M2FNUZ},
    {33, DType::Float8E8M0FNU},  {34, DType::UInt32},
    {35, DType::UInt64},
}};
constexpr std::array kMemoryFormats{Numbered{1, "contiguous_format"}, Numbered{2, "channels_last"},
                                    Numbered{3, "channels_last_3d"},
                                    Numbered{4, "preserve_format"}};
constexpr std::array kLayouts{Numbered{1, "sparse_coo"}, Numbered{2, "sparse_csr"},
                              Numbered{3, "sparse_csc"}, Numbered{4, "sparse_bsr"},
                              Numbered{5, "sparse_bsc"}, Numbered{6, "_mkldnn"},
                              Numbered{7, "strided"}};
constexpr std::size_t kHighestRank = 64;  // of any tensor of torch

Status unknown_number(std::string_view what, std::int64_t number) {
  return error(Code::Unsupported, "the archive has a ", what, " of number ", number,
               ", which this engine does not know");
}

Result<std::string_view> name_of(std::span<const Numbered> names, const Element& element,
                                 std::string_view what) {
  ENN_ASSIGN(const std::int64_t number, json::integer(element, what));
  for (const Numbered& row : names) {
    if (row.number == number) return row.name;
  }
  return unknown_number(what, number);
}

Result<std::int64_t> read_size(const Element& element, std::string_view tensor,
                               const Symbols& symbols) {
  auto size = symbols.size(element);
  if (size.ok()) return size;
  return error(size.status().code(), "'", printable_text(tensor), "': ", size.status().message());
}

Result<std::vector<std::int64_t>> read_sizes(const Element& meta, std::string_view key,
                                             std::string_view tensor, const Symbols& symbols) {
  ENN_ASSIGN(const Element list, json::member(meta, key));
  ENN_ASSIGN(const auto items, json::array(list, key));
  std::vector<std::int64_t> out;
  for (const Element item : items) {
    ENN_ASSIGN(const std::int64_t size, read_size(item, tensor, symbols));
    if (size < 0 || out.size() == kHighestRank) {
      return error(Code::InvalidArgument, "'", printable_text(tensor), "' has impossible ", key);
    }
    out.push_back(size);
  }
  return out;
}

}  // namespace

Result<DType> scalar_type(const Element& element) {
  constexpr std::string_view kWhat = "dtype";
  ENN_ASSIGN(const std::int64_t number, json::integer(element, kWhat));
  for (const auto& [known, dtype] : kScalarTypes) {
    if (known == number) return DType{dtype};
  }
  return unknown_number(kWhat, number);
}

Result<std::string_view> memory_format_name(const Element& number) {
  return name_of(kMemoryFormats, number, "memory format");
}

Result<std::string_view> layout_name(const Element& number) {
  return name_of(kLayouts, number, "layout");
}

std::int64_t scalar_type_number(DType dtype) {
  return std::ranges::find(kScalarTypes, dtype, &decltype(kScalarTypes)::value_type::second)->first;
}

Result<TensorMeta> read_tensor_meta(const Element& meta, std::string_view tensor,
                                    const Symbols& symbols) {
  ENN_ASSIGN(const Element dtype_number, json::member(meta, "dtype"));
  TensorMeta out;
  ENN_ASSIGN(out.type.dtype, scalar_type(dtype_number));
  ENN_ASSIGN(out.type.shape, read_sizes(meta, "sizes", tensor, symbols));
  ENN_ASSIGN(out.strides, read_sizes(meta, "strides", tensor, symbols));
  ENN_ASSIGN(const Element offset, json::member(meta, "storage_offset"));
  ENN_ASSIGN(out.offset, read_size(offset, tensor, symbols));
  if (out.strides.size() != out.type.shape.size() || !checked_numel(out.type.shape) ||
      out.offset < 0) {
    return error(Code::InvalidArgument, "'", printable_text(tensor), "' has impossible sizes");
  }
  return out;
}

Result<ConstantData> gather_elements(std::span<const std::byte> storage, const TensorMeta& meta,
                                     std::string_view tensor) {
  const std::size_t width = size_of(meta.type.dtype);
  const Shape& shape = meta.type.shape;
  const auto count = static_cast<std::size_t>(numel(shape));
  auto out = std::make_shared<std::vector<std::byte>>(count * width);
  if (count == 0) return ConstantData(std::move(out));

  std::int64_t last = meta.offset;
  std::int64_t dense = 1;
  bool contiguous = true;
  const auto limit = static_cast<std::int64_t>(storage.size() / width);
  const Status outside = error(Code::InvalidArgument, "the archive's constant '",
                               printable_text(tensor), "' reaches beyond its bytes");
  for (std::size_t d = shape.size(); d-- > 0;) {
    const std::int64_t steps = shape[d] - 1;
    if (steps > 0 && meta.strides[d] > (std::numeric_limits<std::int64_t>::max() - last) / steps) {
      return outside;
    }
    last += steps * meta.strides[d];
    contiguous = contiguous && (steps == 0 || meta.strides[d] == dense);
    dense *= shape[d];
  }
  if (last >= limit) return outside;
  const auto first = static_cast<std::size_t>(meta.offset) * width;
  if (contiguous) {
    std::memcpy(out->data(), storage.data() + first, out->size());
    return ConstantData(std::move(out));
  }
  std::vector<std::int64_t> index(shape.size());
  std::size_t from = first;
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(out->data() + i * width, storage.data() + from, width);
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::size_t stride = static_cast<std::size_t>(meta.strides[d]) * width;
      from += stride;
      if (++index[d] < shape[d]) break;
      from -= stride * static_cast<std::size_t>(shape[d]);
      index[d] = 0;
    }
  }
  return ConstantData(std::move(out));
}

Result<std::string> read_identifier(const Element& element) {
  ENN_ASSIGN(const std::string_view name, json::text(element, "name"));
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), allowed)) {
    return json::wrong(name, "name of a value");
  }
  return std::string(name);
}

Result<std::string> read_member_name(const Element& element) {
  ENN_ASSIGN(const Element name, json::member(element, "name"));
  return read_identifier(name);
}

}  // namespace enn
