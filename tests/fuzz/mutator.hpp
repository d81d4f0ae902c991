// Damages files on purpose: FlatBuffers, JSON and any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace enn::testing {

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // `body` is the FlatBuffer of a program, well formed. Returns it with one to four changes:
  // flipped bits, overwritten bytes, integers and floats replaced by extremes, copied pieces,
  // truncations, offsets that point elsewhere, and fields of tensors and operators set to values
  // that look plausible.
  [[nodiscard]] std::vector<std::byte> mutate(const std::vector<std::byte>& body);

  // Any bytes, at least one, with one to three changes.
  [[nodiscard]] std::vector<std::byte> mutate_bytes(const std::vector<std::byte>& file);

  // JSON text with one to three changes that mostly leave it JSON: numbers replaced by extremes,
  // texts and whole values by others of the document, pieces cut and repeated, deep nesting.
  [[nodiscard]] std::string mutate_json(const std::string& text);

  [[nodiscard]] std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  using Bytes = std::vector<std::byte>;

  [[nodiscard]] std::uint64_t interesting();
  void store(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width);

  void flip_bit(Bytes& bytes);
  void overwrite_byte(Bytes& bytes);
  void replace_integer(Bytes& bytes);
  void nudge_integer(Bytes& bytes);
  void splice(Bytes& bytes);
  void resize(Bytes& bytes);
  void redirect_offset(Bytes& bytes);
  void change_field(Bytes& bytes);

  std::mt19937_64 random_;
  std::vector<std::size_t> fields_;  // positions of the scalar fields of the original's tables
};

}  // namespace enn::testing
