// libpng. Its errors leave it by longjmp, so what lives across it is plain memory.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "archive/zip.hpp"
#include "data/decoders.hpp"
#include "data/inflate.hpp"

namespace enn {
namespace {

constexpr png_alloc_size_t kLargestChunk = png_alloc_size_t{8} << 20U;
constexpr png_uint_32 kMostChunks = 128;

class PngDecoder {
 public:
  explicit PngDecoder(std::span<const std::byte> bytes) : rest_(bytes) { message_[0] = '\0'; }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  // False with status() when the library gives up.
  bool read_header(std::uint64_t max_pixels) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, leave, ignore);
    if (png_ == nullptr) return false;
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    info_ = png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    const auto side = static_cast<png_uint_32>(std::min<std::uint64_t>(max_pixels, 0x7FFFFFFFU));
    png_set_user_limits(png_, side, side);
    png_set_chunk_malloc_max(png_, kLargestChunk);
    png_set_chunk_cache_max(png_, kMostChunks);
    png_set_read_fn(png_, this, give);
    png_read_info(png_, info_);
    return true;
  }

  // As read_header; sets the transformations and tells the number of channels.
  bool prepare(std::uint32_t& channels) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const png_byte colour = png_get_color_type(png_, info_);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (colour == PNG_COLOR_TYPE_GRAY && bit_depth() < 8) png_set_expand_gray_1_2_4_to_8(png_);
    if (bit_depth() == 16) png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    channels = png_get_channels(png_, info_);
    return true;
  }

  bool read_pixels(std::uint8_t* pixels, std::size_t row_bytes) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const png_uint_32 rows = height();
    for (int pass = 0; pass < passes_; ++pass) {
      for (png_uint_32 row = 0; row < rows; ++row) {
        png_read_row(png_, pixels + row * row_bytes, nullptr);
      }
    }
    return true;
  }

  [[nodiscard]] png_uint_32 width() const { return png_get_image_width(png_, info_); }
  [[nodiscard]] png_uint_32 height() const { return png_get_image_height(png_, info_); }
  [[nodiscard]] png_byte bit_depth() const { return png_get_bit_depth(png_, info_); }
  [[nodiscard]] std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  [[nodiscard]] Status status() const {
    return error(Code::InvalidArgument, "it is no PNG image that can be read: ",
                 message_[0] == '\0' ? "out of memory" : printable_text(message_));
  }

 private:
  [[noreturn]] static void leave(png_structp png, png_const_charp message) {
    auto* const self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof(self->message_), "%s", message);
    png_longjmp(png, 1);
  }
  static void ignore(png_structp /*png*/, png_const_charp /*message*/) {}
  static void give(png_structp png, png_bytep out, std::size_t count) {
    auto* const self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->rest_.size()) png_error(png, "it ends too early");
    std::memcpy(out, self->rest_.data(), count);
    self->rest_ = self->rest_.subspan(count);
  }

  std::span<const std::byte> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  char message_[128];
};

}  // namespace

Result<Image> decode_png(std::span<const std::byte> bytes, const DataLimits& limits) {
  PngDecoder decoder(bytes);
  if (!decoder.read_header(limits.max_pixels)) return decoder.status();
  const std::uint64_t count = std::uint64_t{decoder.width()} * decoder.height();
  if (count > limits.max_pixels) {
    return error(Code::ResourceExhausted, "it has ", decoder.width(), " x ", decoder.height(),
                 " pixels, more than ", limits.max_pixels, " in all");
  }
  if (decoder.row_bytes() * std::uint64_t{decoder.height()} / kLargestInflation > bytes.size()) {
    return error(Code::InvalidArgument, "it claims ", decoder.width(), " x ", decoder.height(),
                 " pixels, more than ", bytes.size(), " bytes of PNG can hold");
  }
  Image image{decoder.width(), decoder.height(), 0, {}};
  if (!decoder.prepare(image.channels)) return decoder.status();
  const std::size_t row = std::size_t{image.width} * image.channels;
  if ((image.channels != 1 && image.channels != 3) || decoder.row_bytes() != row) {
    return error(Code::Unsupported, "its pixels have ", image.channels, " channels");
  }
  image.pixels.resize(row * image.height);
  if (!decoder.read_pixels(image.pixels.data(), row)) return decoder.status();
  return image;
}

}  // namespace enn
