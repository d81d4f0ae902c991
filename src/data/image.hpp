// Images: decoding, and the steps that torchvision's classification transforms take, with Pillow's
// results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/array.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// 8-bit pixels, row-major, channels side by side: grey (1) or red, green, blue (3).
struct Image {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;
  std::vector<std::uint8_t> pixels;
};

// JPEG or PNG, told apart by their first bytes. Alpha is dropped, palettes are resolved, 16 bits
// become 8. Orientation, gamma and colour profiles are not applied, as Pillow does not.
[[nodiscard]] Result<Image> decode_image(std::span<const std::byte> bytes,
                                         const DataLimits& limits = {});
// Whether the name ends as an image's: .jpg, .jpeg or .png, in any case.
[[nodiscard]] bool is_image_name(const std::filesystem::path& path);

enum class Interpolation : std::uint8_t { Bilinear, Nearest };

// As Pillow's Image.resize: bilinear with its antialiasing triangle filter, in its fixed point.
// Precondition: width, height >= 1.
[[nodiscard]] Image resize(const Image& image, std::uint32_t width, std::uint32_t height,
                           Interpolation interpolation);

struct Preprocessing {
  // Sizes as {height, width}; {n} for resize is the shorter side, the other in proportion. Empty:
  // no such step.
  std::vector<std::uint32_t> resize;
  std::vector<std::uint32_t> crop;  // from the centre
  Interpolation interpolation = Interpolation::Bilinear;
  // (pixel * scale - mean[c]) / std[c]; one number stands for all channels.
  bool scale_to_one = true;  // pixel / 255 first
  std::vector<float> mean;
  std::vector<float> std;
  bool channels_last = false;  // NHWC instead of NCHW
  DataLimits limits;
};

// The image as one element of the model's input: float32 after all steps, or UInt8 pixels when
// `type` says so. `type` is that of the input without its batch dimension: [C, H, W] or, with
// channels_last, [H, W, C], C being 1 or 3; of rank 2, [H, W].
[[nodiscard]] Result<Tensor> preprocess(const Image& image, const TensorType& type,
                                        const Preprocessing& steps);

}  // namespace enn
