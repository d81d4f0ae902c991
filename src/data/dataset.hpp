// Samples for a model, read one at a time: folders of images, folders with a sub-folder per class,
// array files and folders of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/array.hpp"
#include "data/image.hpp"
#include "enn/exported_program.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

struct DataOptions {
  Preprocessing preprocessing;
  // What is right, for each sample: an array file, or for images a text file of lines "name label".
  // Empty: the sub-folders' numbers in alphabetical order, or an .npz's array "labels".
  std::filesystem::path labels;
  std::uint64_t max_samples = 0;  // 0: all
  // An image that cannot be read is left out, and counted, instead of being an error.
  bool skip_unreadable = false;
};

// Lines "name label"; empty ones and those that begin with '#' count for nothing. A name may hold
// spaces, the label is a number >= 0.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::int64_t>>> parse_label_list(
    std::string_view text);

// The inputs of one call of the model.
struct Batch {
  std::vector<Tensor> inputs;
  std::uint64_t first = 0;  // sample
  std::uint64_t count = 0;  // samples; the rows behind them repeat the last
};

class Dataset {
 public:
  // `inputs` are the model's. Where all share their first dimension, that is the batch, and samples
  // have none; else one sample is one call, of which an array holds as many rows as the input has,
  // or one element of a dimension more.
  [[nodiscard]] static Result<Dataset> open(const std::filesystem::path& path,
                                            std::span<const NamedType> inputs,
                                            const DataOptions& options = {});

  [[nodiscard]] std::uint64_t samples() const { return samples_; }
  [[nodiscard]] std::uint64_t batches() const { return (samples_ + batch_ - 1) / batch_; }
  // Rows of one call.
  [[nodiscard]] std::uint64_t batch_size() const { return batch_; }
  [[nodiscard]] bool has_labels() const { return has_labels_; }

  // Samples are read when they are asked for; messages name the file. Precondition: index <
  // batches(). With skip_unreadable there may turn out to be fewer samples and batches than was
  // known before; a batch that had unreadable samples alone has a count of 0, and is the last.
  [[nodiscard]] Result<Batch> batch(std::uint64_t index);
  // Why each image was left out, so far.
  [[nodiscard]] const std::vector<std::string>& skipped() const { return skipped_; }
  // What is right for a sample. Preconditions: has_labels(), index < samples().
  [[nodiscard]] Result<Tensor> label(std::uint64_t index);
  // File of the sample, and its place in it where there are several.
  [[nodiscard]] std::string sample_name(std::uint64_t index) const;

 private:
  // An array file, which holds `count` samples from number `first` on.
  struct Block {
    std::filesystem::path path;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  struct OpenBlock {
    std::size_t index = 0;
    std::vector<Array> inputs;
    std::optional<Array> labels;
  };

  [[nodiscard]] Status open_folder(const std::filesystem::path& folder);
  [[nodiscard]] Status open_classes(const std::filesystem::path& folder,
                                    const std::vector<std::filesystem::path>& classes);
  [[nodiscard]] Status open_arrays(const std::vector<std::filesystem::path>& files);
  [[nodiscard]] Status open_labels();
  [[nodiscard]] Result<OpenBlock> open_block(const std::filesystem::path& path) const;
  [[nodiscard]] Result<std::vector<Tensor>> sample(std::uint64_t index);
  // False for an image that is broken, true for one that the model does not take.
  [[nodiscard]] bool can_be_decoded(std::uint64_t index) const;
  // The sample, after those that are left out; nullopt when none is left.
  [[nodiscard]] Result<std::optional<std::vector<Tensor>>> readable_sample(std::uint64_t index);
  [[nodiscard]] Result<Tensor> element(const Array& array, std::uint64_t index,
                                       std::size_t input) const;
  [[nodiscard]] std::size_t block_of(std::uint64_t index) const;
  [[nodiscard]] Status load_block(std::uint64_t index);

  std::vector<NamedType> inputs_;
  std::vector<TensorType> types_;  // of one sample
  DataOptions options_;
  std::uint64_t batch_ = 1;
  std::uint64_t samples_ = 0;
  bool has_labels_ = false;
  std::vector<std::filesystem::path> images_;
  std::vector<std::int64_t> image_labels_;
  std::vector<std::uint64_t> rows_of_images_;  // their places in label_array_
  std::vector<std::string> skipped_;
  std::vector<Block> blocks_;
  std::optional<OpenBlock> block_;    // the one that was read last
  std::optional<Array> label_array_;  // of a file of its own
};

}  // namespace enn
