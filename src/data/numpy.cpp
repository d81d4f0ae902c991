// .npy (numpy/lib/format.py describes it) and .npz, a zip of them.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "archive/zip.hpp"
#include "base/file_io.hpp"
#include "data/array.hpp"
#include "data/dense_array.hpp"
#include "data/inflate.hpp"

namespace enn {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kLongestHeader = std::size_t{1} << 16U;
constexpr std::size_t kHighestRank = 32;
constexpr std::uint16_t kDeflate = 8;

// Reads the one Python dictionary of a header.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip_space();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string_view> quoted() {
    skip_space();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return std::nullopt;
    const std::size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return inside;
  }
  std::optional<bool> boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    return std::nullopt;
  }
  std::optional<Shape> tuple() {
    if (!take('(')) return std::nullopt;
    Shape shape;
    while (!take(')')) {
      skip_space();
      std::int64_t size = 0;
      const auto [end, failure] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (failure != std::errc() || size < 0 || shape.size() == kHighestRank) return std::nullopt;
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      shape.push_back(size);
      if (!take(',')) {
        if (!take(')')) return std::nullopt;
        break;
      }
    }
    return shape;
  }

 private:
  void skip_space() {
    const std::size_t at = text_.find_first_not_of(" \n");
    text_.remove_prefix(at == std::string_view::npos ? text_.size() : at);
  }

  std::string_view text_;
};

std::optional<DType> dtype_of(std::string_view code) {
  constexpr std::pair<std::string_view, DType> kCodes[] = {
      {"f4", DType::Float32}, {"f2", DType::Float16}, {"f8", DType::Float64},
      {"u1", DType::UInt8},   {"i1", DType::Int8},    {"i2", DType::Int16},
      {"i4", DType::Int32},   {"i8", DType::Int64},   {"b1", DType::Bool}};
  for (const auto& [text, dtype] : kCodes) {
    if (code == text) return dtype;
  }
  return std::nullopt;
}

std::string_view code_of(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return "<f4";
    case DType::Float16:
      return "<f2";
    case DType::Float64:
      return "<f8";
    case DType::UInt8:
      return "|u1";
    case DType::Int8:
      return "|i1";
    case DType::Int16:
      return "<i2";
    case DType::Int32:
      return "<i4";
    case DType::Int64:
      return "<i8";
    case DType::Bool:
      return "|b1";
    default:
      return "|u1";
  }
}

struct Header {
  TensorType type;
  ElementOrder order;
};

Result<Header> parse_header(std::string_view text) {
  const Status malformed = error(Code::InvalidArgument, "its .npy header is malformed");
  HeaderParser parser(text);
  std::optional<std::string_view> code;
  std::optional<bool> column_major;
  std::optional<Shape> shape;
  if (!parser.take('{')) return malformed;
  while (!parser.take('}')) {
    const auto key = parser.quoted();
    if (!key || !parser.take(':')) return malformed;
    if (*key == "descr") {
      code = parser.quoted();
      if (!code) {
        return error(Code::Unsupported, "its elements are records; only plain numbers are read");
      }
    } else if (*key == "fortran_order") {
      column_major = parser.boolean();
      if (!column_major) return malformed;
    } else if (*key == "shape") {
      shape = parser.tuple();
      if (!shape) return malformed;
    } else {
      return malformed;
    }
    if (!parser.take(',')) {
      if (!parser.take('}')) return malformed;
      break;
    }
  }
  if (!code || code->empty() || !column_major || !shape) return malformed;
  const auto dtype = dtype_of(code->substr(1));
  if (!dtype || std::string_view("<>|=").find(code->front()) == std::string_view::npos) {
    return error(Code::Unsupported, "its element type '", printable_text(*code),
                 "' is not read; use bool, an integer or a float");
  }
  const bool swap = code->front() == '>' && size_of(*dtype) > 1;
  return Header{{*dtype, std::move(*shape)}, {*column_major, swap}};
}

}  // namespace

Result<Array> parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                        const DataLimits& limits) {
  if (bytes.size() < 12 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return error(Code::InvalidArgument, "it does not begin as a .npy file does");
  }
  const auto byte_at = [&](std::size_t at) { return std::to_integer<std::size_t>(bytes[at]); };
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 3) {
    return error(Code::Unsupported, "its .npy version ", version, " is not read");
  }
  std::size_t start = 10;
  std::size_t size = byte_at(8) | (byte_at(9) << 8U);
  if (version > 1) {
    start = 12;
    size |= (byte_at(10) << 16U) | (byte_at(11) << 24U);
  }
  if (size > kLongestHeader || size > bytes.size() - start) {
    return error(Code::InvalidArgument, "its .npy header of ", size, " bytes is too long");
  }
  ENN_ASSIGN(Header header,
             parse_header({reinterpret_cast<const char*>(bytes.data()) + start, size}));
  return dense_array(std::move(header.type), bytes.subspan(start + size), header.order,
                     std::move(owner), limits);
}

Result<std::vector<NamedArray>> parse_npz(std::span<const std::byte> bytes,
                                          std::shared_ptr<const void> owner,
                                          const DataLimits& limits) {
  ENN_ASSIGN(const ZipArchive archive, ZipArchive::open(bytes));
  std::vector<NamedArray> out;
  std::uint64_t left = limits.max_bytes;
  for (const std::string& name : archive.names("", ".npy")) {
    const std::string shown = printable_text(name.substr(0, name.size() - 4));
    const auto read = [&]() -> Result<Array> {
      ENN_ASSIGN(const ZipArchive::Stored entry, archive.find(name));
      if (entry.method == 0) {
        ENN_ASSIGN(const std::span<const std::byte> stored, archive.read(name));
        return parse_npy(stored, owner, limits);
      }
      if (entry.method != kDeflate) {
        return error(Code::Unsupported, "it is compressed by method ", entry.method,
                     "; stored and deflated entries are read");
      }
      if (entry.size > left) {
        return error(Code::ResourceExhausted, "it claims ", entry.size, " bytes, more than ", left);
      }
      ENN_ASSIGN(std::vector<std::byte> plain, inflate_raw(entry.bytes, entry.size));
      left -= entry.size;
      if (zip_crc32(plain) != entry.crc) {
        return error(Code::InvalidArgument, "it does not have its checksum");
      }
      auto owned = std::make_shared<const std::vector<std::byte>>(std::move(plain));
      const std::span<const std::byte> inside = *owned;
      return parse_npy(inside, std::move(owned), limits);
    };
    auto array = read();
    if (!array.ok()) {
      return error(array.status().code(), "the array '", shown, "': ", array.status().message());
    }
    out.push_back({shown, std::move(array).value()});
  }
  if (out.empty()) return error(Code::InvalidArgument, "it holds no array");
  return out;
}

std::vector<std::byte> to_npy(const TensorView& tensor) {
  std::string header =
      str("{'descr': '", code_of(tensor.type.dtype), "', 'fortran_order': False, 'shape': (");
  for (const std::int64_t size : tensor.type.shape) header += str(size, ", ");
  header += "), }";
  // NumPy wants the data to begin at a multiple of 64.
  constexpr std::size_t kBefore = 10;
  constexpr std::size_t kAlignment = 64;
  while ((kBefore + header.size() + 1) % kAlignment != 0) header += ' ';
  header += '\n';
  std::vector<std::byte> out;
  out.reserve(kBefore + header.size() + tensor.bytes.size());
  const auto append = [&out](std::string_view text) {
    for (const char c : text) out.push_back(static_cast<std::byte>(c));
  };
  append(kMagic);
  append(std::string_view("\x01\x00", 2));
  out.push_back(static_cast<std::byte>(header.size() & 0xFFU));
  out.push_back(static_cast<std::byte>(header.size() >> 8U));
  append(header);
  out.insert(out.end(), tensor.bytes.begin(), tensor.bytes.end());
  return out;
}

Status write_npy(const std::filesystem::path& path, const TensorView& tensor) {
  return write_file_atomically(path, to_npy(tensor));
}

}  // namespace enn
