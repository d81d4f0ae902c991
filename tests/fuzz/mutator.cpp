#include "mutator.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "program_generated.h"

namespace enn::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

constexpr std::uint64_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

constexpr std::array kInteresting = {
    std::uint64_t{0},
    std::uint64_t{1},
    std::uint64_t{2},
    std::uint64_t{3},
    std::uint64_t{4},
    std::uint64_t{5},
    std::uint64_t{7},
    std::uint64_t{8},
    std::uint64_t{16},
    std::uint64_t{63},
    std::uint64_t{64},
    std::uint64_t{127},
    std::uint64_t{128},
    std::uint64_t{255},
    std::uint64_t{256},
    std::uint64_t{4096},
    std::uint64_t{0xFFFF},
    std::uint64_t{1} << 20U,
    std::uint64_t{1} << 23U,
    std::uint64_t{1} << 30U,
    std::uint64_t{0x7FFFFFFF},
    std::uint64_t{0x80000000},
    std::uint64_t{0xFFFFFF80},
    std::uint64_t{0xFFFFFFFF},
    std::uint64_t{1} << 32U,
    std::uint64_t{1} << 40U,
    std::uint64_t{1} << 63U,
    ~std::uint64_t{0},
    ~std::uint64_t{0} - 63,
    bits(1.0F),
    bits(-1.0F),
    bits(0.5F),
    bits(-0.0F),
    bits(1e-40F),
    bits(1e-30F),
    bits(3e38F),
    bits(kInfinity),
    bits(-kInfinity),
    bits(std::numeric_limits<float>::quiet_NaN()),
};

// Positions of all fields that `table` has, relative to `start`.
void append_fields(const std::byte* start, const flatbuffers::Table* table,
                   std::vector<std::size_t>& fields) {
  if (table == nullptr) return;
  const std::uint8_t* const vtable = table->GetVTable();
  const auto bytes = flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable);
  const auto* const base = reinterpret_cast<const std::byte*>(table);
  for (flatbuffers::voffset_t at = 4; at < bytes;
       at = static_cast<flatbuffers::voffset_t>(at + 2)) {
    const auto offset = flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable + at);
    if (offset != 0) fields.push_back(static_cast<std::size_t>(base - start) + offset);
  }
}

template <typename T>
const flatbuffers::Table* as_table(const T* table) {
  return reinterpret_cast<const flatbuffers::Table*>(table);
}

// Fields of the program, its tensors with their shapes, its steps and their operators.
std::vector<std::size_t> fields_of(const std::vector<std::byte>& body) {
  std::vector<std::size_t> fields;
  const program::Program* const root = program::GetProgram(body.data());
  append_fields(body.data(), as_table(root), fields);
  for (const program::Tensor* tensor : *root->tensors()) {
    append_fields(body.data(), as_table(tensor), fields);
    if (tensor->shape() == nullptr) continue;
    for (flatbuffers::uoffset_t d = 0; d < tensor->shape()->size(); ++d) {
      const auto* const element = reinterpret_cast<const std::byte*>(tensor->shape()->data() + d);
      fields.push_back(static_cast<std::size_t>(element - body.data()));
    }
  }
  for (const program::Step* step : *root->steps()) {
    append_fields(body.data(), as_table(step), fields);
    append_fields(body.data(), static_cast<const flatbuffers::Table*>(step->op()), fields);
  }
  return fields;
}

}  // namespace

std::uint64_t Mutator::interesting() {
  if (below(4) == 0) return below(40);
  return kInteresting[below(kInteresting.size())];
}

void Mutator::store(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  if (at >= bytes.size()) return;
  std::memcpy(bytes.data() + at, &value, std::min(width, bytes.size() - at));
}

void Mutator::flip_bit(Bytes& bytes) {
  bytes[below(bytes.size())] ^= std::byte{static_cast<unsigned char>(1U << below(8))};
}

void Mutator::overwrite_byte(Bytes& bytes) {
  bytes[below(bytes.size())] = static_cast<std::byte>(random_());
}

void Mutator::replace_integer(Bytes& bytes) {
  const std::size_t width = std::size_t{1} << below(4);
  store(bytes, below(bytes.size()) / width * width, interesting(), width);
}

void Mutator::nudge_integer(Bytes& bytes) {
  const std::size_t at = fields_[below(fields_.size())];
  if (at + 4 > bytes.size()) return;
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  store(bytes, at, value + static_cast<std::uint32_t>(below(9)) - 4, 4);
}

void Mutator::splice(Bytes& bytes) {
  const std::size_t size = 1 + below(std::min<std::size_t>(bytes.size(), 64));
  const std::size_t from = below(bytes.size() - size + 1);
  const std::size_t to = below(bytes.size() - size + 1);
  std::memmove(bytes.data() + to, bytes.data() + from, size);
}

void Mutator::resize(Bytes& bytes) {
  if (below(2) == 0) {
    bytes.resize(1 + below(bytes.size()));
  } else {
    bytes.resize(bytes.size() + below(64), static_cast<std::byte>(random_()));
  }
}

// FlatBuffer offsets are relative and small: point one of the aligned words a little elsewhere.
void Mutator::redirect_offset(Bytes& bytes) {
  if (bytes.size() < 4) return;
  const std::size_t at = below(bytes.size() / 4) * 4;
  const std::size_t target = below(bytes.size());
  store(bytes, at, static_cast<std::uint64_t>(target) - at, 4);
}

void Mutator::change_field(Bytes& bytes) {
  const std::size_t at = fields_[below(fields_.size())];
  switch (below(4)) {
    case 0:
      store(bytes, at, interesting(), 1);
      break;
    case 1: {
      std::uint64_t other = 0;
      const std::size_t from = fields_[below(fields_.size())];
      if (from + 4 <= bytes.size()) std::memcpy(&other, bytes.data() + from, 4);
      store(bytes, at, other, 4);
      break;
    }
    case 2:
      store(bytes, at, interesting(), 8);
      break;
    default:
      store(bytes, at, interesting(), 4);
  }
}

std::vector<std::byte> Mutator::mutate(const std::vector<std::byte>& body) {
  fields_ = fields_of(body);
  Bytes bytes = body;
  const std::size_t changes = 1 + below(8) / 5 + below(8) / 6 + below(8) / 7;
  for (std::size_t i = 0; i < changes; ++i) {
    switch (below(16)) {
      case 0:
      case 1:
        flip_bit(bytes);
        break;
      case 2:
        overwrite_byte(bytes);
        break;
      case 3:
        replace_integer(bytes);
        break;
      case 4:
      case 5:
      case 6:
        nudge_integer(bytes);
        break;
      case 7:
        splice(bytes);
        break;
      case 8:
        resize(bytes);
        break;
      case 9:
        redirect_offset(bytes);
        break;
      default:
        change_field(bytes);
    }
  }
  return bytes;
}

std::vector<std::byte> Mutator::mutate_bytes(const std::vector<std::byte>& file) {
  Bytes bytes = file;
  for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
    switch (below(8)) {
      case 0:
        resize(bytes);
        break;
      case 1:
        splice(bytes);
        break;
      case 2:
      case 3:
        flip_bit(bytes);
        break;
      case 4:
        overwrite_byte(bytes);
        break;
      default:
        replace_integer(bytes);
    }
  }
  return bytes;
}

namespace {

// Pieces of JSON that each stand for one value or punctuation.
std::vector<std::string> tokens_of(const std::string& text) {
  std::vector<std::string> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (text[at] == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2U : 1U;
      end = std::min(end + 1, text.size());
    } else if (std::string_view("{}[],: \n").find(text[at]) == std::string_view::npos) {
      while (end < text.size() &&
             std::string_view("{}[],: \n\"").find(text[end]) == std::string_view::npos) {
        ++end;
      }
    }
    tokens.push_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

bool is_value(const std::string& token) {
  return std::string_view("{}[],: \n").find(token[0]) == std::string_view::npos;
}

// The end of the value that begins with the token `at`.
std::size_t end_of_value(const std::vector<std::string>& tokens, std::size_t at) {
  int depth = 0;
  for (; at < tokens.size(); ++at) {
    if (tokens[at] == "{" || tokens[at] == "[") ++depth;
    if (tokens[at] == "}" || tokens[at] == "]") --depth;
    if (depth <= 0) return at + 1;
  }
  return at;
}

}  // namespace

std::string Mutator::mutate_json(const std::string& text) {
  std::vector<std::string> tokens = tokens_of(text);
  for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
    if (tokens.empty()) break;
    std::size_t at = below(tokens.size());
    for (std::size_t i = 0; i < tokens.size() && !is_value(tokens[at]); ++i) {
      at = (at + 1) % tokens.size();
    }
    const auto place = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t from = below(tokens.size());
    const std::vector<std::string> piece(
        tokens.begin() + static_cast<std::ptrdiff_t>(from),
        tokens.begin() + static_cast<std::ptrdiff_t>(end_of_value(tokens, from)));
    switch (below(10)) {
      case 0:
      case 1:
        *place = std::to_string(static_cast<std::int64_t>(interesting()));
        break;
      case 2:
      case 3:
      case 4:
        if (is_value(tokens[from])) *place = tokens[from];
        break;
      case 5:
        tokens.erase(place);
        tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
        break;
      case 6:
        tokens.insert(place, piece.begin(), piece.end());
        break;
      case 7:
        tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(from),
                     tokens.begin() +
                         static_cast<std::ptrdiff_t>(std::min(from + piece.size(), tokens.size())));
        break;
      case 8: {
        constexpr std::array kWords{"null", "true", "-1", "1e308", "\"\"", "[]", "{}", "\"../x\""};
        *place = kWords[below(kWords.size())];
        break;
      }
      default:
        if (below(8) == 0) {
          *place = std::string(1 + below(5000), '[');
        } else if (place->size() > 2) {
          (*place)[1 + below(place->size() - 2)] = static_cast<char>(' ' + below(95));
        }
    }
  }
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

}  // namespace enn::testing
