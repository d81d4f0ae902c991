#include "data/image.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "data/decoders.hpp"

namespace enn {
namespace {

// Pillow's fixed point for 8-bit pixels: 22 bits behind the point.
constexpr int kPrecision = 22;

// The weights of the source pixels [first, first + weights.size()) in one result.
struct Taps {
  std::size_t first = 0;
  std::vector<std::int32_t> weights;
};

// A triangle of width 2 * max(scale, 1) around the result's centre, scaled to sum 1.
std::vector<Taps> bilinear_taps(std::uint32_t from, std::uint32_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);
  std::vector<Taps> out(to);
  std::vector<double> weights;
  for (std::uint32_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = static_cast<std::int64_t>(std::floor(std::max(centre - stretch + 0.5, 0.0)));
    const auto last = std::min(static_cast<std::int64_t>(std::floor(centre + stretch + 0.5)),
                               static_cast<std::int64_t>(from));
    weights.clear();
    double sum = 0.0;
    for (std::int64_t k = first; k < last; ++k) {
      const double distance = std::fabs((static_cast<double>(k) - centre + 0.5) * (1.0 / stretch));
      weights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
      sum += weights.back();
    }
    out[i].first = static_cast<std::size_t>(first);
    for (const double weight : weights) {
      const double share = (sum != 0.0 ? weight * (1.0 / sum) : 0.0) * (1 << kPrecision);
      out[i].weights.push_back(static_cast<std::int32_t>(std::floor(share + 0.5)));
    }
  }
  return out;
}

// Resizes the middle of [outer][from][inner].
std::vector<std::uint8_t> resize_axis(const std::vector<std::uint8_t>& pixels, std::size_t outer,
                                      std::size_t from, std::size_t inner,
                                      const std::vector<Taps>& taps) {
  std::vector<std::uint8_t> out(outer * taps.size() * inner);
  for (std::size_t o = 0; o < outer; ++o) {
    for (std::size_t t = 0; t < taps.size(); ++t) {
      const std::uint8_t* const source = &pixels[(o * from + taps[t].first) * inner];
      std::uint8_t* const target = &out[(o * taps.size() + t) * inner];
      for (std::size_t i = 0; i < inner; ++i) {
        std::int32_t sum = 1 << (kPrecision - 1);
        for (std::size_t k = 0; k < taps[t].weights.size(); ++k) {
          sum += taps[t].weights[k] * source[k * inner + i];
        }
        target[i] = static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
      }
    }
  }
  return out;
}

Image resize_nearest(const Image& image, std::uint32_t width, std::uint32_t height) {
  Image out{width, height, image.channels, {}};
  out.pixels.resize(std::size_t{width} * height * image.channels);
  const auto place = [](std::uint32_t i, std::uint32_t from, std::uint32_t to) {
    const double at = (static_cast<double>(i) + 0.5) * (static_cast<double>(from) / to);
    return std::min(static_cast<std::size_t>(at), std::size_t{from} - 1);
  };
  std::uint8_t* target = out.pixels.data();
  for (std::uint32_t y = 0; y < height; ++y) {
    const std::size_t row = place(y, image.height, height) * image.width;
    for (std::uint32_t x = 0; x < width; ++x) {
      std::memcpy(target, &image.pixels[(row + place(x, image.width, width)) * image.channels],
                  image.channels);
      target += image.channels;
    }
  }
  return out;
}

// As torchvision's center_crop places it. Precondition: the image is at least as large.
Image center_crop(const Image& image, std::uint32_t width, std::uint32_t height) {
  const auto before = [](std::uint32_t whole, std::uint32_t part) {
    return static_cast<std::size_t>(std::nearbyint(static_cast<double>(whole - part) / 2.0));
  };
  const std::size_t left = before(image.width, width);
  const std::size_t top = before(image.height, height);
  Image out{width, height, image.channels, {}};
  const std::size_t row = std::size_t{width} * image.channels;
  out.pixels.resize(row * height);
  for (std::size_t y = 0; y < height; ++y) {
    std::memcpy(&out.pixels[y * row],
                &image.pixels[((top + y) * image.width + left) * image.channels], row);
  }
  return out;
}

// Grey from colours as Pillow's convert("L"), colours from grey by repetition.
Image with_channels(const Image& image, std::uint32_t channels) {
  Image out{image.width, image.height, channels, {}};
  const std::size_t count = std::size_t{image.width} * image.height;
  out.pixels.resize(count * channels);
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      const std::uint8_t* const rgb = &image.pixels[3 * i];
      out.pixels[i] = static_cast<std::uint8_t>(
          (rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U) >> 16U);
    } else {
      std::fill_n(&out.pixels[3 * i], 3, image.pixels[i]);
    }
  }
  return out;
}

Result<Image> resized(const Image& image, const Preprocessing& steps) {
  if (steps.resize.empty()) return image;
  std::uint64_t height = steps.resize.front();
  std::uint64_t width = steps.resize.back();
  if (steps.resize.size() == 1) {
    const std::uint64_t size = steps.resize.front();
    const bool tall = image.height > image.width;
    (tall ? height : width) =
        size * std::max(image.width, image.height) / std::min(image.width, image.height);
    (tall ? width : height) = size;
  }
  if (width == 0 || height == 0 || width * height > steps.limits.max_pixels) {
    return error(Code::InvalidArgument, "resizing ", image.width, " x ", image.height, " to ",
                 width, " x ", height, " pixels is not possible");
  }
  if (width == image.width && height == image.height) return image;
  return resize(image, static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height),
                steps.interpolation);
}

Result<Image> cropped(Image image, const Preprocessing& steps) {
  if (steps.crop.empty()) return image;
  const std::uint32_t height = steps.crop.front();
  const std::uint32_t width = steps.crop.back();
  if (width > image.width || height > image.height) {
    return error(Code::InvalidArgument, "its ", image.width, " x ", image.height,
                 " pixels are fewer than the crop of ", width, " x ", height, "; resize it first");
  }
  return center_crop(image, width, height);
}

float constant_of(const std::vector<float>& values, std::size_t channel, float otherwise) {
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values.front() : values[channel];
}

}  // namespace

Result<Image> decode_image(std::span<const std::byte> bytes, const DataLimits& limits) {
  constexpr std::array kJpeg = {std::byte{0xFF}, std::byte{0xD8}, std::byte{0xFF}};
  constexpr std::array kPng = {std::byte{0x89}, std::byte{'P'}, std::byte{'N'}, std::byte{'G'}};
  const auto begins = [&](std::span<const std::byte> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (begins(kJpeg)) return decode_jpeg(bytes, limits);
  if (begins(kPng)) return decode_png(bytes, limits);
  return error(Code::InvalidArgument, "it is neither a JPEG nor a PNG image");
}

bool is_image_name(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

Image resize(const Image& image, std::uint32_t width, std::uint32_t height,
             Interpolation interpolation) {
  if (interpolation == Interpolation::Nearest) return resize_nearest(image, width, height);
  Image out{width, height, image.channels, {}};
  out.pixels = image.pixels;
  if (width != image.width) {
    out.pixels = resize_axis(out.pixels, image.height, image.width, image.channels,
                             bilinear_taps(image.width, width));
  }
  if (height != image.height) {
    out.pixels = resize_axis(out.pixels, 1, image.height, std::size_t{width} * image.channels,
                             bilinear_taps(image.height, height));
  }
  return out;
}

Result<Tensor> preprocess(const Image& image, const TensorType& type, const Preprocessing& steps) {
  const Shape& shape = type.shape;
  if (shape.size() != 2 && shape.size() != 3) {
    return error(Code::InvalidArgument, "the model's input of ", to_string(type),
                 " per sample is no image");
  }
  const bool plain = shape.size() == 2;
  const std::int64_t channels = plain ? 1 : steps.channels_last ? shape[2] : shape[0];
  const std::int64_t height = plain || steps.channels_last ? shape[0] : shape[1];
  const std::int64_t width = plain || steps.channels_last ? shape[1] : shape[2];
  if (channels != 1 && channels != 3) {
    return error(Code::InvalidArgument, "the model's input of ", to_string(type),
                 " per sample has ", channels, " channels; images have 1 or 3");
  }
  if (type.dtype != DType::Float32 && type.dtype != DType::UInt8) {
    return error(Code::InvalidArgument, "the model's input of ", to_string(type),
                 " per sample takes no pixels; float32 and uint8 do");
  }
  for (const auto* values : {&steps.mean, &steps.std}) {
    if (values->size() > 1 && values->size() != static_cast<std::size_t>(channels)) {
      return error(Code::InvalidArgument, "mean or std has ", values->size(), " numbers for ",
                   channels, " channels");
    }
  }
  ENN_ASSIGN(Image resized_image, resized(image, steps));
  ENN_ASSIGN(Image result, cropped(std::move(resized_image), steps));
  if (result.width != width || result.height != height) {
    return error(Code::InvalidArgument, "the image is ", result.width, " x ", result.height,
                 " pixels, but the model takes ", width, " x ", height,
                 "; use --resize and --crop");
  }
  if (result.channels != channels) {
    result = with_channels(result, static_cast<std::uint32_t>(channels));
  }
  Tensor out{type, std::vector<std::byte>(result.pixels.size() * size_of(type.dtype))};
  const std::size_t plane = std::size_t{result.width} * result.height;
  for (std::size_t c = 0; c < result.channels; ++c) {
    const float mean = constant_of(steps.mean, c, 0.0F);
    const float deviation = constant_of(steps.std, c, 1.0F);
    for (std::size_t i = 0; i < plane; ++i) {
      const std::size_t from = i * result.channels + c;
      const std::size_t to = steps.channels_last ? from : c * plane + i;
      if (type.dtype == DType::UInt8) {
        out.bytes[to] = static_cast<std::byte>(result.pixels[from]);
        continue;
      }
      auto value = static_cast<float>(result.pixels[from]);
      if (steps.scale_to_one) value /= 255.0F;
      value = (value - mean) / deviation;
      std::memcpy(&out.bytes[to * sizeof(float)], &value, sizeof(float));
    }
  }
  return out;
}

}  // namespace enn
