// Arrays in files: NumPy's .npy and .npz, IDX (the MNIST family's format, also compressed by gzip)
// and raw numbers. Trusts no byte of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file_io.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// What one file may ask for.
struct DataLimits {
  std::uint64_t max_bytes = std::uint64_t{4} << 30U;   // of one array that has to be unpacked
  std::uint64_t max_pixels = std::uint64_t{1} << 27U;  // of one image
};

// A dense, row-major array: part of a file that `owner` keeps, or of bytes that it owns.
class Array {
 public:
  Array(TensorType type, std::span<const std::byte> bytes, std::shared_ptr<const void> owner)
      : type_(std::move(type)), bytes_(bytes), owner_(std::move(owner)) {}
  // Owns the bytes.
  explicit Array(Tensor tensor);

  [[nodiscard]] const TensorType& type() const { return type_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  // Number of elements along the first axis; 1 for a scalar.
  [[nodiscard]] std::uint64_t count() const;
  // Element `index` of the first axis. Precondition: index < count().
  [[nodiscard]] TensorView at(std::uint64_t index) const;
  // The same bytes as another type of as many.
  [[nodiscard]] Array viewed_as(TensorType type) const;

  // The file whose bytes these are, where they are a file's.
  void set_file(std::shared_ptr<const MappedFile> file) { file_ = std::move(file); }
  // Gives back the memory of a file's elements up to `index`, which may be read again.
  void release_until(std::uint64_t index) const;

 private:
  TensorType type_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const MappedFile> file_;
};

struct NamedArray {
  std::string name;
  Array array;
};

// `owner` keeps `bytes` alive for as long as the arrays live that point into them.
// Versions 1 to 3; bool, integers, float16, float32 and float64 of either byte order; both orders
// of dimensions.
[[nodiscard]] Result<Array> parse_npy(std::span<const std::byte> bytes,
                                      std::shared_ptr<const void> owner,
                                      const DataLimits& limits = {});
// The arrays of numpy.savez and numpy.savez_compressed in the order of their names, which are
// printable.
[[nodiscard]] Result<std::vector<NamedArray>> parse_npz(std::span<const std::byte> bytes,
                                                        std::shared_ptr<const void> owner,
                                                        const DataLimits& limits = {});
// Integers and floats of the IDX format; unsigned bytes as UInt8.
[[nodiscard]] Result<Array> parse_idx(std::span<const std::byte> bytes,
                                      std::shared_ptr<const void> owner,
                                      const DataLimits& limits = {});
// As many elements of `type` along a new first axis as the bytes hold; there is no rest.
[[nodiscard]] Result<Array> parse_raw(std::span<const std::byte> bytes, const TensorType& type,
                                      std::shared_ptr<const void> owner);

// Whether the name is that of an array file: .npy, .npz, IDX ("…-idx3-ubyte", also with ".gz") or
// raw numbers (.bin, .raw).
enum class ArrayFormat : std::uint8_t { None, Npy, Npz, Idx, Raw };
[[nodiscard]] ArrayFormat array_format(const std::filesystem::path& path);

// The arrays of a file, mapped where that is possible. The name is empty unless the file is an
// .npz. `raw` is the type of one element of the first axis, for raw files. Messages name the file.
[[nodiscard]] Result<std::vector<NamedArray>> read_arrays(const std::filesystem::path& path,
                                                          const TensorType& raw = {},
                                                          const DataLimits& limits = {});

[[nodiscard]] std::vector<std::byte> to_npy(const TensorView& tensor);
// The file is replaced as a whole or not at all.
[[nodiscard]] Status write_npy(const std::filesystem::path& path, const TensorView& tensor);

// The elements as another type: integers to floats and back (truncated, saturated), floats rounded.
[[nodiscard]] Tensor convert(const TensorView& tensor, DType dtype);
[[nodiscard]] std::vector<double> to_doubles(const TensorView& tensor);

}  // namespace enn
