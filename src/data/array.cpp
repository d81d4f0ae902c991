#include "data/array.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>

#include "base/file_io.hpp"
#include "base/float16.hpp"
#include "data/dense_array.hpp"
#include "data/inflate.hpp"

namespace enn {
namespace {

static_assert(std::endian::native == std::endian::little);

std::uint64_t byte_size(const TensorType& type) {
  return static_cast<std::uint64_t>(numel(type.shape)) * size_of(type.dtype);
}

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

struct Half {
  std::uint16_t bits;
};

// Calls visit(T{}) with the C++ type of `dtype`, which the engine knows; bool is std::uint8_t's
// twin, std::byte.
template <typename Visit>
void with_type(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::Float32:
      return visit(float{});
    case DType::Float16:
      return visit(Half{});
    case DType::Float64:
      return visit(double{});
    case DType::UInt8:
      return visit(std::uint8_t{});
    case DType::Int8:
      return visit(std::int8_t{});
    case DType::Int16:
      return visit(std::int16_t{});
    case DType::Int32:
      return visit(std::int32_t{});
    case DType::Int64:
      return visit(std::int64_t{});
    case DType::Bool:
      return visit(std::byte{});
    default:
      return;
  }
}

template <typename T>
double number_at(const std::byte* at) {
  const T value = load<T>(at);
  if constexpr (std::is_same_v<T, Half>) {
    return static_cast<double>(float_of_half(value.bits));
  } else if constexpr (std::is_same_v<T, std::byte>) {
    return value != std::byte{0} ? 1.0 : 0.0;
  } else {
    return static_cast<double>(value);
  }
}

template <typename To, typename From>
To converted(const std::byte* at) {
  if constexpr (std::is_same_v<To, Half>) {
    return {half_of_float(static_cast<float>(number_at<From>(at)))};
  } else if constexpr (std::is_same_v<To, std::byte>) {
    return number_at<From>(at) != 0.0 ? std::byte{1} : std::byte{0};
  } else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
    const From value = load<From>(at);
    if (std::cmp_less(value, std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (std::cmp_greater(value, std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else if constexpr (std::is_integral_v<To>) {
    const double value = number_at<From>(at);
    if (std::isnan(value)) return 0;
    constexpr auto kLow = static_cast<double>(std::numeric_limits<To>::min());
    if (value <= kLow) return std::numeric_limits<To>::min();
    if (value >= static_cast<double>(std::numeric_limits<To>::max())) {
      return std::numeric_limits<To>::max();
    }
    return static_cast<To>(value);
  } else if constexpr (std::is_same_v<From, float> || std::is_same_v<From, std::uint8_t>) {
    return static_cast<To>(load<From>(at));
  } else {
    return static_cast<To>(number_at<From>(at));
  }
}

// Walks a column-major (or byte-swapped) array once and writes it row-major.
std::vector<std::byte> rearranged(std::span<const std::byte> bytes, const TensorType& type,
                                  ElementOrder order) {
  const std::size_t width = size_of(type.dtype);
  const std::size_t rank = type.shape.size();
  std::vector<std::byte> out(bytes.size());
  std::vector<std::size_t> steps(rank, 0);
  std::size_t step = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::size_t axis = order.column_major ? d : rank - 1 - d;
    steps[axis] = step;
    step *= static_cast<std::size_t>(type.shape[axis]);
  }
  std::vector<std::int64_t> place(rank, 0);
  std::size_t from = 0;
  for (std::size_t to = 0; to < out.size(); to += width) {
    std::memcpy(&out[to], &bytes[from * width], width);
    if (order.swap_bytes) {
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(to),
                   out.begin() + static_cast<std::ptrdiff_t>(to + width));
    }
    for (std::size_t d = rank; d-- > 0;) {
      from += steps[d];
      if (++place[d] < type.shape[d]) break;
      from -= steps[d] * static_cast<std::size_t>(type.shape[d]);
      place[d] = 0;
    }
  }
  return out;
}

std::uint32_t big_endian32(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = (value << 8U) | static_cast<std::uint32_t>(bytes[at + i]);
  return value;
}

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() > 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
}

}  // namespace

Array::Array(Tensor tensor) : type_(std::move(tensor.type)) {
  auto owned = std::make_shared<const std::vector<std::byte>>(std::move(tensor.bytes));
  bytes_ = *owned;
  owner_ = std::move(owned);
}

std::uint64_t Array::count() const {
  return type_.shape.empty() ? 1 : static_cast<std::uint64_t>(type_.shape.front());
}

TensorView Array::at(std::uint64_t index) const {
  TensorType type{type_.dtype, {}};
  if (!type_.shape.empty()) type.shape.assign(type_.shape.begin() + 1, type_.shape.end());
  const auto size = static_cast<std::size_t>(byte_size(type));
  return {std::move(type), bytes_.subspan(static_cast<std::size_t>(index) * size, size)};
}

Array Array::viewed_as(TensorType type) const {
  Array viewed = *this;
  viewed.type_ = std::move(type);
  return viewed;
}

void Array::release_until(std::uint64_t index) const {
  if (file_ == nullptr || bytes_.empty()) return;
  const TensorView last = at(index);
  file_->release_first(
      static_cast<std::size_t>(last.bytes.data() + last.bytes.size() - file_->bytes().data()));
}

Result<Array> dense_array(TensorType type, std::span<const std::byte> rest, ElementOrder order,
                          std::shared_ptr<const void> owner, const DataLimits& limits) {
  const auto elements = checked_numel(type.shape);
  if (!elements) {
    return error(Code::InvalidArgument, "its shape ", list_str(type.shape), " is too large");
  }
  const std::uint64_t size = byte_size(type);
  if (size > rest.size()) {
    return error(Code::InvalidArgument, "it claims ", to_string(type), ", which is ", size,
                 " bytes, but has ", rest.size());
  }
  const auto bytes = rest.first(static_cast<std::size_t>(size));
  if (!order.swap_bytes && !(order.column_major && type.shape.size() > 1)) {
    return Array(std::move(type), bytes, std::move(owner));
  }
  if (size > limits.max_bytes) {
    return error(Code::ResourceExhausted, "it has ", size, " bytes to rearrange, more than ",
                 limits.max_bytes);
  }
  std::vector<std::byte> own = rearranged(bytes, type, order);
  return Array(Tensor{std::move(type), std::move(own)});
}

Result<Array> parse_idx(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                        const DataLimits& limits) {
  if (is_gzip(bytes)) {
    ENN_ASSIGN(std::vector<std::byte> plain, inflate_gzip(bytes, limits.max_bytes));
    auto owned = std::make_shared<const std::vector<std::byte>>(std::move(plain));
    if (is_gzip(*owned)) {
      return error(Code::InvalidArgument, "it is compressed twice");
    }
    const std::span<const std::byte> inner = *owned;
    return parse_idx(inner, std::move(owned), limits);
  }
  if (bytes.size() < 4 || bytes[0] != std::byte{0} || bytes[1] != std::byte{0}) {
    return error(Code::InvalidArgument, "it does not begin as an IDX file does");
  }
  TensorType type;
  switch (std::to_integer<unsigned>(bytes[2])) {
    case 0x08:
      type.dtype = DType::UInt8;
      break;
    case 0x09:
      type.dtype = DType::Int8;
      break;
    case 0x0B:
      type.dtype = DType::Int16;
      break;
    case 0x0C:
      type.dtype = DType::Int32;
      break;
    case 0x0D:
      type.dtype = DType::Float32;
      break;
    case 0x0E:
      type.dtype = DType::Float64;
      break;
    default:
      return error(Code::InvalidArgument, "its IDX element type ",
                   std::to_integer<unsigned>(bytes[2]), " is unknown");
  }
  const auto rank = std::to_integer<std::size_t>(bytes[3]);
  const std::size_t header = 4 + 4 * rank;
  if (bytes.size() < header) return error(Code::InvalidArgument, "its IDX header ends too early");
  for (std::size_t d = 0; d < rank; ++d) type.shape.push_back(big_endian32(bytes, 4 + 4 * d));
  const auto elements = checked_numel(type.shape);
  if (!elements ||
      static_cast<std::uint64_t>(*elements) * size_of(type.dtype) != bytes.size() - header) {
    return error(Code::InvalidArgument, "its IDX header says ", list_str(type.shape), ", but ",
                 bytes.size() - header, " bytes follow");
  }
  const bool swap = size_of(type.dtype) > 1;
  return dense_array(std::move(type), bytes.subspan(header), {.swap_bytes = swap}, std::move(owner),
                     limits);
}

Result<Array> parse_raw(std::span<const std::byte> bytes, const TensorType& type,
                        std::shared_ptr<const void> owner) {
  const std::uint64_t size = byte_size(type);
  if (size == 0 || bytes.empty() || bytes.size() % size != 0) {
    return error(Code::InvalidArgument, "it has ", bytes.size(), " bytes, not a multiple of the ",
                 size, " of ", to_string(type));
  }
  TensorType whole = type;
  whole.shape.insert(whole.shape.begin(), static_cast<std::int64_t>(bytes.size() / size));
  return Array(std::move(whole), bytes, std::move(owner));
}

ArrayFormat array_format(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with("-ubyte") || name.ends_with(".idx")) return ArrayFormat::Idx;
  if (name.ends_with(".npy")) return ArrayFormat::Npy;
  if (name.ends_with(".npz")) return ArrayFormat::Npz;
  if (name.ends_with(".bin") || name.ends_with(".raw")) return ArrayFormat::Raw;
  return ArrayFormat::None;
}

Result<std::vector<NamedArray>> read_arrays(const std::filesystem::path& path,
                                            const TensorType& raw, const DataLimits& limits) {
  ENN_ASSIGN(MappedFile opened, MappedFile::open(path));
  const auto file = std::make_shared<const MappedFile>(std::move(opened));
  const auto bytes = file->bytes();
  const auto read = [&]() -> Result<std::vector<NamedArray>> {
    const auto alone = [](Result<Array> array) -> Result<std::vector<NamedArray>> {
      if (!array.ok()) return array.status();
      std::vector<NamedArray> out;
      out.push_back({"", std::move(array).value()});
      return out;
    };
    switch (array_format(path)) {
      case ArrayFormat::Npz:
        return parse_npz(bytes, file, limits);
      case ArrayFormat::Npy:
        return alone(parse_npy(bytes, file, limits));
      case ArrayFormat::Idx:
        return alone(parse_idx(bytes, file, limits));
      case ArrayFormat::Raw:
        return alone(parse_raw(bytes, raw, file));
      case ArrayFormat::None:
        break;
    }
    return error(Code::InvalidArgument,
                 "its name is not that of an array: .npy, .npz, -ubyte, "
                 "-ubyte.gz, .bin or .raw");
  };
  auto arrays = read();
  if (!arrays.ok()) {
    return error(arrays.status().code(), path.string(), ": ", arrays.status().message());
  }
  const std::less_equal<const std::byte*> before;
  for (NamedArray& item : arrays.value()) {
    const auto part = item.array.bytes();
    if (before(bytes.data(), part.data()) &&
        before(part.data() + part.size(), bytes.data() + bytes.size())) {
      item.array.set_file(file);
    }
  }
  return arrays;
}

Tensor convert(const TensorView& tensor, DType dtype) {
  Tensor out{{dtype, tensor.type.shape}, {}};
  out.bytes.resize(static_cast<std::size_t>(byte_size(out.type)));
  const auto count = static_cast<std::size_t>(numel(tensor.type.shape));
  with_type(dtype, [&](auto to) {
    using To = decltype(to);
    with_type(tensor.type.dtype, [&](auto from) {
      using From = decltype(from);
      for (std::size_t i = 0; i < count; ++i) {
        const To value = converted<To, From>(tensor.bytes.data() + i * sizeof(From));
        std::memcpy(out.bytes.data() + i * sizeof(To), &value, sizeof(To));
      }
    });
  });
  return out;
}

std::vector<double> to_doubles(const TensorView& tensor) {
  std::vector<double> out(static_cast<std::size_t>(numel(tensor.type.shape)));
  with_type(tensor.type.dtype, [&](auto from) {
    using From = decltype(from);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = number_at<From>(tensor.bytes.data() + i * sizeof(From));
    }
  });
  return out;
}

}  // namespace enn
