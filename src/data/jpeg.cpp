// libjpeg-turbo. Its errors leave it by longjmp, so what lives across it is plain memory.
// clang-format off: jpeglib.h needs what stands before it, jerror.h what stands behind it.
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "archive/zip.hpp"
#include "data/decoders.hpp"

namespace enn {
namespace {

// A Huffman code has at least one bit, so a byte holds at most eight 8 x 8 blocks.
constexpr std::uint64_t kMostPixelsPerByte = 512;
// Each pass over a progressive image costs as much as the whole image.
constexpr int kMostScans = 100;
constexpr long kMostMemory = 1L << 30;

struct Failure {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* const failure = reinterpret_cast<Failure*>(info->err);
  failure->manager.format_message(info, failure->message);
  std::longjmp(failure->back, 1);
}

// Warnings are ignored, except the one that says that the rest of the picture is made up.
void note(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) leave(info);
}

void say_nothing(j_common_ptr /*info*/) {}

void watch_scans(j_common_ptr info) {
  auto* const decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= kMostScans) return;
  auto* const failure = reinterpret_cast<Failure*>(info->err);
  std::snprintf(failure->message, sizeof(failure->message), "more than %d scans", kMostScans);
  std::longjmp(failure->back, 1);
}

class JpegDecoder {
 public:
  JpegDecoder() {
    info_.err = jpeg_std_error(&failure_.manager);
    failure_.manager.error_exit = leave;
    failure_.manager.emit_message = note;
    failure_.manager.output_message = say_nothing;
    failure_.message[0] = '\0';
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  // False with message() when the library gives up.
  bool read_header(std::span<const std::byte> bytes) {
    if (setjmp(failure_.back) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.mem->max_memory_to_use = kMostMemory;
    info_.progress = &progress_;
    progress_.progress_monitor = watch_scans;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    return jpeg_read_header(&info_, TRUE) == JPEG_HEADER_OK;
  }

  bool read_pixels(std::uint8_t* pixels, std::size_t row_bytes) {
    if (setjmp(failure_.back) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * row_bytes;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  [[nodiscard]] jpeg_decompress_struct& info() { return info_; }
  [[nodiscard]] Status status() const {
    return error(Code::InvalidArgument,
                 "it is no JPEG image that can be read: ", printable_text(failure_.message));
  }

 private:
  jpeg_decompress_struct info_{};
  jpeg_progress_mgr progress_{};
  Failure failure_{};
};

}  // namespace

Result<Image> decode_jpeg(std::span<const std::byte> bytes, const DataLimits& limits) {
  JpegDecoder decoder;
  if (!decoder.read_header(bytes)) return decoder.status();
  jpeg_decompress_struct& info = decoder.info();
  const std::uint64_t count = std::uint64_t{info.image_width} * info.image_height;
  if (count > limits.max_pixels) {
    return error(Code::ResourceExhausted, "it has ", info.image_width, " x ", info.image_height,
                 " pixels, more than ", limits.max_pixels, " in all");
  }
  if (count / kMostPixelsPerByte > bytes.size()) {
    return error(Code::InvalidArgument, "it claims ", info.image_width, " x ", info.image_height,
                 " pixels, more than ", bytes.size(), " bytes of JPEG can hold");
  }
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) {
    return error(Code::Unsupported, "it is a CMYK image; convert it to RGB");
  }
  const bool grey = info.jpeg_color_space == JCS_GRAYSCALE;
  info.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
  Image image{info.image_width, info.image_height, grey ? 1U : 3U, {}};
  const std::size_t row = std::size_t{image.width} * image.channels;
  image.pixels.resize(row * image.height);
  if (!decoder.read_pixels(image.pixels.data(), row)) return decoder.status();
  return image;
}

}  // namespace enn
