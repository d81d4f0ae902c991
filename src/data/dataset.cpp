#include "data/dataset.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "archive/zip.hpp"
#include "base/file_io.hpp"

namespace enn {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestList = std::size_t{1} << 28U;
constexpr std::string_view kLabelNames[] = {"labels", "label", "targets", "target", "y"};

bool is_label_name(std::string_view name) {
  return std::find(std::begin(kLabelNames), std::end(kLabelNames), name) != std::end(kLabelNames);
}

Status in_file(const fs::path& path, const Status& status) {
  return error(status.code(), path.string(), ": ", status.message());
}

struct Listing {
  std::vector<fs::path> folders;
  std::vector<fs::path> files;
  std::size_t links_outside = 0;
};

// What lies in a folder, sorted by name. Links that lead out of `root` are left out.
Result<Listing> list_folder(const fs::path& folder, const fs::path& root) {
  Listing out;
  std::error_code failure;
  const fs::path real_root = fs::canonical(root, failure);
  if (failure) {
    return error(Code::InvalidArgument, "cannot open ", root, ": ", failure.message());
  }
  fs::directory_iterator entry(folder, failure);
  for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with('.')) continue;
    std::error_code ignored;
    if (entry->is_symlink(ignored)) {
      const fs::path real = fs::canonical(path, ignored);
      const auto [end, rest] =
          std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
      if (ignored || end != real_root.end()) {
        ++out.links_outside;
        continue;
      }
    }
    if (entry->is_directory(ignored)) out.folders.push_back(path);
    if (entry->is_regular_file(ignored)) out.files.push_back(path);
  }
  if (failure) {
    return error(Code::InvalidArgument, "cannot read ", folder, ": ", failure.message());
  }
  std::sort(out.folders.begin(), out.folders.end());
  std::sort(out.files.begin(), out.files.end());
  return out;
}

std::vector<fs::path> images_of(const std::vector<fs::path>& files) {
  std::vector<fs::path> out;
  std::copy_if(files.begin(), files.end(), std::back_inserter(out), is_image_name);
  return out;
}

TensorType without_first(const TensorType& type) {
  TensorType out = type;
  out.shape.erase(out.shape.begin());
  return out;
}

TensorType with_first(const TensorType& type, std::int64_t first) {
  TensorType out = type;
  out.shape.insert(out.shape.begin(), first);
  return out;
}

// An element of a UInt8 array as an image, when its shape is that of one.
std::optional<Image> as_image(const TensorView& element, const TensorType& expected,
                              bool channels_last) {
  const Shape& shape = element.type.shape;
  const auto channel_count = [](std::int64_t size) { return size == 1 || size == 3; };
  const auto size = [&](std::size_t axis) { return static_cast<std::uint32_t>(shape[axis]); };
  if (element.type.dtype != DType::UInt8 || element.bytes.empty() || expected.shape.size() < 2 ||
      expected.shape.size() > 3) {
    return std::nullopt;
  }
  const bool planar = shape.size() == 3 && channel_count(shape[0]) &&
                      ((shape == expected.shape && !channels_last) || !channel_count(shape[2]));
  const auto* const pixels = reinterpret_cast<const std::uint8_t*>(element.bytes.data());
  Image image;
  if (shape.size() == 2 || planar) {
    const std::size_t axis = shape.size() - 2;
    image = {size(axis + 1), size(axis), planar ? size(0) : 1, {}};
    const std::size_t plane = std::size_t{image.width} * image.height;
    image.pixels.resize(plane * image.channels);
    for (std::size_t c = 0; c < image.channels; ++c) {
      for (std::size_t i = 0; i < plane; ++i) {
        image.pixels[i * image.channels + c] = pixels[c * plane + i];
      }
    }
    return image;
  }
  if (shape.size() != 3 || !channel_count(shape[2])) return std::nullopt;
  image = {size(1), size(0), size(2), {}};
  image.pixels.assign(pixels, pixels + element.bytes.size());
  return image;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::int64_t>>> parse_label_list(std::string_view text) {
  std::vector<std::pair<std::string, std::int64_t>> out;
  std::size_t line_number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    const auto trim = [](std::string_view part) {
      constexpr std::string_view kSpace = " \t\r,";
      const std::size_t first = part.find_first_not_of(kSpace);
      if (first == std::string_view::npos) return std::string_view();
      return part.substr(first, part.find_last_not_of(kSpace) - first + 1);
    };
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t split = line.find_last_of(" \t,");
    const std::string_view digits =
        split == std::string_view::npos ? std::string_view() : line.substr(split + 1);
    const std::string_view name = trim(line.substr(0, split == std::string_view::npos ? 0 : split));
    std::int64_t label = -1;
    const auto [stop, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), label);
    if (name.empty() || failure != std::errc() || stop != digits.data() + digits.size() ||
        label < 0) {
      return error(Code::InvalidArgument, "line ", line_number, " is not \"name label\": '",
                   printable_text(line), "'");
    }
    out.emplace_back(name, label);
  }
  return out;
}

Result<Dataset> Dataset::open(const fs::path& path, std::span<const NamedType> inputs,
                              const DataOptions& options) {
  Dataset data;
  data.inputs_.assign(inputs.begin(), inputs.end());
  data.options_ = options;
  const bool batched = !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](auto& in) {
    return !in.type.shape.empty() && in.type.shape.front() > 0 && !inputs[0].type.shape.empty() &&
           in.type.shape.front() == inputs[0].type.shape.front();
  });
  if (batched) data.batch_ = static_cast<std::uint64_t>(inputs[0].type.shape.front());
  for (const NamedType& input : inputs) {
    data.types_.push_back(batched ? without_first(input.type) : input.type);
  }
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (!fs::exists(status)) {
    return error(Code::InvalidArgument, path.string(), " does not exist");
  }
  if (fs::is_directory(status)) {
    ENN_TRY(data.open_folder(path));
  } else if (array_format(path) != ArrayFormat::None) {
    ENN_TRY(data.open_arrays({path}));
  } else {
    data.images_ = {path};
    data.samples_ = 1;
  }
  if (!options.labels.empty()) ENN_TRY(data.open_labels());
  if (options.max_samples > 0) data.samples_ = std::min(data.samples_, options.max_samples);
  if (data.samples_ == 0) return error(Code::InvalidArgument, path.string(), " holds no sample");
  return data;
}

Status Dataset::open_folder(const fs::path& folder) {
  ENN_ASSIGN(const Listing listing, list_folder(folder, folder));
  images_ = images_of(listing.files);
  samples_ = images_.size();
  if (!images_.empty()) return {};
  std::vector<fs::path> arrays;
  std::copy_if(listing.files.begin(), listing.files.end(), std::back_inserter(arrays),
               [](const fs::path& file) { return array_format(file) != ArrayFormat::None; });
  if (!arrays.empty()) return open_arrays(arrays);
  if (!listing.folders.empty()) return open_classes(folder, listing.folders);
  return error(Code::InvalidArgument, folder.string(),
               " holds no image (.jpg, .jpeg, .png), no array (.npy, .npz, -ubyte, .bin, .raw) and "
               "no folder of images",
               listing.links_outside > 0 ? "; links that leave it are not followed" : "");
}

Status Dataset::open_classes(const fs::path& folder, const std::vector<fs::path>& classes) {
  for (std::size_t c = 0; c < classes.size(); ++c) {
    ENN_ASSIGN(const Listing listing, list_folder(classes[c], folder));
    for (const fs::path& image : images_of(listing.files)) {
      images_.push_back(image);
      image_labels_.push_back(static_cast<std::int64_t>(c));
    }
  }
  samples_ = images_.size();
  has_labels_ = true;
  if (samples_ > 0) return {};
  return error(Code::InvalidArgument, folder.string(), " holds ", classes.size(),
               " folders, but no image in any of them");
}

Status Dataset::open_arrays(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    ENN_ASSIGN(OpenBlock block, open_block(file));
    block.index = blocks_.size();
    const std::uint64_t count = block.inputs.front().count();
    for (std::size_t i = 0; i < block.inputs.size(); ++i) {
      if (block.inputs[i].count() == count) continue;
      return error(Code::InvalidArgument, file.string(), ": input '", inputs_[i].name, "' has ",
                   block.inputs[i].count(), " samples, '", inputs_[0].name, "' ", count);
    }
    if (block.labels && block.labels->count() != count) {
      return error(Code::InvalidArgument, file.string(), ": it has ", block.labels->count(),
                   " labels for ", count, " samples");
    }
    if (blocks_.empty()) has_labels_ = block.labels.has_value();
    has_labels_ = has_labels_ && block.labels.has_value();
    if (count > 0) {
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        const auto first = element(block.inputs[i], 0, i);
        if (!first.ok()) return in_file(file, first.status());
      }
    }
    blocks_.push_back({file, samples_, count});
    samples_ += count;
    block_ = std::move(block);
  }
  return {};
}

Status Dataset::open_labels() {
  const fs::path& path = options_.labels;
  if (array_format(path) != ArrayFormat::None) {
    ENN_ASSIGN(std::vector<NamedArray> arrays,
               read_arrays(path, {DType::UInt8, {}}, options_.preprocessing.limits));
    const auto named = std::find_if(arrays.begin(), arrays.end(),
                                    [](const NamedArray& a) { return is_label_name(a.name); });
    label_array_ = named != arrays.end() ? named->array : arrays.front().array;
    if (label_array_->count() < samples_) {
      return error(Code::InvalidArgument, path.string(), ": it has ", label_array_->count(),
                   " labels for ", samples_, " samples");
    }
    has_labels_ = true;
    for (std::uint64_t i = 0; i < images_.size(); ++i) rows_of_images_.push_back(i);
    return {};
  }
  if (images_.empty()) {
    return error(Code::InvalidArgument, path.string(),
                 ": labels of arrays are an array file (.npy, .npz, -ubyte, .bin, .raw)");
  }
  ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > kLongestList) {
    return error(Code::ResourceExhausted, path.string(), ": the list is longer than ", kLongestList,
                 " bytes");
  }
  auto list =
      parse_label_list({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  if (!list.ok()) return in_file(path, list.status());
  const std::map<std::string, std::int64_t> labels(list.value().begin(), list.value().end());
  image_labels_.clear();
  for (const fs::path& image : images_) {
    const auto found = labels.find(image.filename().string());
    if (found == labels.end()) {
      return error(Code::InvalidArgument, path.string(), ": it has no label for '",
                   printable_text(image.filename().string()), "'");
    }
    image_labels_.push_back(found->second);
  }
  has_labels_ = true;
  return {};
}

Result<Dataset::OpenBlock> Dataset::open_block(const fs::path& path) const {
  if (inputs_.empty()) return error(Code::InvalidArgument, "the model takes no input");
  ENN_ASSIGN(std::vector<NamedArray> arrays,
             read_arrays(path, types_.front(), options_.preprocessing.limits));
  OpenBlock out;
  for (const NamedType& input : inputs_) {
    // A program (.pte) has no names for its inputs: theirs are taken for every model.
    const std::string number = str("input_", out.inputs.size());
    auto found = std::find_if(arrays.begin(), arrays.end(),
                              [&](const NamedArray& a) { return a.name == input.name; });
    if (found == arrays.end()) {
      found = std::find_if(arrays.begin(), arrays.end(),
                           [&](const NamedArray& a) { return a.name == number; });
    }
    if (found == arrays.end() && inputs_.size() == 1) {
      found = std::find_if(arrays.begin(), arrays.end(),
                           [](const NamedArray& a) { return !is_label_name(a.name); });
    }
    if (found == arrays.end()) {
      std::vector<std::string> names;
      for (const NamedType& wanted : inputs_) names.push_back(wanted.name);
      return error(Code::InvalidArgument, path.string(), ": no array is named '", input.name,
                   "'; the model's inputs are ", list_str(names),
                   ", given as an .npz with these names");
    }
    // A sample with the batch dimension that the model has, or one single call's input.
    const TensorType& type = types_[out.inputs.size()];
    Array array = found->array;
    const Shape& shape = array.type().shape;
    const Shape one = with_first(type, 1).shape;
    if (shape == type.shape && input.type.shape == shape && batch_ == 1) {
      array = array.viewed_as(with_first(array.type(), 1));
    } else if (batch_ == 1 && shape.size() == one.size() + 1 &&
               std::equal(one.begin(), one.end(), shape.begin() + 1)) {
      TensorType merged = array.type();
      merged.shape.erase(merged.shape.begin() + 1);
      array = array.viewed_as(std::move(merged));
    } else if (type == input.type && !shape.empty() && shape.size() == type.shape.size() &&
               std::equal(shape.begin() + 1, shape.end(), type.shape.begin() + 1)) {
      // The inputs' first sizes differ: each call takes as many rows as the input has.
      const std::int64_t rows = type.shape.front();
      if (rows == 0 || shape.front() % rows != 0) {
        return error(Code::InvalidArgument, path.string(), ": the array of input '", input.name,
                     "' has ", shape.front(), " rows, which is not a multiple of the ", rows,
                     " that one call of the model takes");
      }
      array = array.viewed_as({array.type().dtype, with_first(type, shape.front() / rows).shape});
    }
    out.inputs.push_back(std::move(array));
  }
  for (const NamedArray& array : arrays) {
    if (is_label_name(array.name)) out.labels = array.array;
  }
  return out;
}

std::size_t Dataset::block_of(std::uint64_t index) const {
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), index,
      [](std::uint64_t wanted, const Block& block) { return wanted < block.first; });
  return static_cast<std::size_t>(after - blocks_.begin()) - 1;
}

Status Dataset::load_block(std::uint64_t index) {
  const std::size_t wanted = block_of(index);
  if (block_ && block_->index == wanted) return {};
  ENN_ASSIGN(OpenBlock block, open_block(blocks_[wanted].path));
  if (block.inputs.front().count() != blocks_[wanted].count) {
    return error(Code::InvalidArgument, blocks_[wanted].path.string(), " has changed meanwhile");
  }
  block.index = wanted;
  block_ = std::move(block);
  return {};
}

Result<Tensor> Dataset::element(const Array& array, std::uint64_t index, std::size_t input) const {
  const TensorView found = array.at(index);
  const TensorType& type = types_[input];
  const Preprocessing& steps = options_.preprocessing;
  if (type.dtype == DType::Float32 || type.shape != found.type.shape) {
    if (const auto image = as_image(found, type, steps.channels_last)) {
      return preprocess(*image, type, steps);
    }
  }
  if (found.type.shape != type.shape) {
    return error(Code::InvalidArgument, "its samples are ", to_string(found.type), ", input '",
                 inputs_[input].name, "' takes ", to_string(type));
  }
  if (found.type.dtype == type.dtype) {
    return Tensor{type, std::vector<std::byte>(found.bytes.begin(), found.bytes.end())};
  }
  if (!is_known(type.dtype) || (!is_float(type.dtype) && is_float(found.type.dtype))) {
    return error(Code::InvalidArgument, "its samples are ", to_string(found.type.dtype),
                 ", input '", inputs_[input].name, "' takes ", to_string(type.dtype));
  }
  return convert(found, type.dtype);
}

Result<std::vector<Tensor>> Dataset::sample(std::uint64_t index) {
  std::vector<Tensor> out;
  if (!images_.empty()) {
    const fs::path& path = images_[static_cast<std::size_t>(index)];
    const auto read = [&]() -> Result<Tensor> {
      if (types_.size() != 1) {
        return error(Code::InvalidArgument, "the model takes ", types_.size(),
                     " inputs, an image is one");
      }
      ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
      ENN_ASSIGN(const Image image, decode_image(file.bytes(), options_.preprocessing.limits));
      return preprocess(image, types_.front(), options_.preprocessing);
    };
    Result<Tensor> tensor = read();
    if (!tensor.ok()) return in_file(path, tensor.status());
    out.push_back(std::move(tensor).value());
    return out;
  }
  ENN_TRY(load_block(index));
  const Block& block = blocks_[block_->index];
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    auto tensor = element(block_->inputs[i], index - block.first, i);
    if (!tensor.ok()) return in_file(block.path, tensor.status());
    block_->inputs[i].release_until(index - block.first);
    out.push_back(std::move(tensor).value());
  }
  return out;
}

bool Dataset::can_be_decoded(std::uint64_t index) const {
  const auto file = MappedFile::open(images_[static_cast<std::size_t>(index)]);
  return file.ok() && decode_image(file.value().bytes(), options_.preprocessing.limits).ok();
}

Result<std::optional<std::vector<Tensor>>> Dataset::readable_sample(std::uint64_t index) {
  using Found = std::optional<std::vector<Tensor>>;
  while (index < samples_) {
    Result<std::vector<Tensor>> read = sample(index);
    if (read.ok()) return Found(std::move(read).value());
    if (!options_.skip_unreadable || images_.empty() || can_be_decoded(index)) return read.status();
    skipped_.push_back(read.status().message());
    const auto at = static_cast<std::ptrdiff_t>(index);
    images_.erase(images_.begin() + at);
    if (!image_labels_.empty()) image_labels_.erase(image_labels_.begin() + at);
    if (!rows_of_images_.empty()) rows_of_images_.erase(rows_of_images_.begin() + at);
    // With a limit the next image takes the place.
    samples_ = options_.max_samples > 0
                   ? std::min<std::uint64_t>(images_.size(), options_.max_samples)
                   : images_.size();
  }
  if (samples_ > 0) return Found();
  return error(Code::InvalidArgument, "none of ", skipped_.size(),
               " images can be read; the first: ", skipped_.front());
}

Result<Batch> Dataset::batch(std::uint64_t index) {
  Batch out;
  out.first = index * batch_;
  if (batch_ == 1) {
    ENN_ASSIGN(auto found, readable_sample(out.first));
    if (!found) return out;
    out.count = 1;
    out.inputs = std::move(*found);
    for (std::size_t i = 0; i < out.inputs.size(); ++i) out.inputs[i].type = inputs_[i].type;
    return out;
  }
  for (const NamedType& input : inputs_) out.inputs.push_back({input.type, {}});
  for (std::uint64_t row = 0; row < batch_; ++row) {
    if (out.count == row && out.first + row < samples_) {
      ENN_ASSIGN(const auto found, readable_sample(out.first + row));
      if (found) {
        for (std::size_t i = 0; i < found->size(); ++i) {
          const std::vector<std::byte>& read = (*found)[i].bytes;
          std::vector<std::byte>& bytes = out.inputs[i].bytes;
          bytes.insert(bytes.end(), read.begin(), read.end());
        }
        ++out.count;
        continue;
      }
    }
    if (out.count == 0) return Batch{{}, out.first, 0};
    for (Tensor& tensor : out.inputs) {
      const std::size_t size = tensor.bytes.size() / static_cast<std::size_t>(row);
      const std::vector<std::byte> last(tensor.bytes.end() - static_cast<std::ptrdiff_t>(size),
                                        tensor.bytes.end());
      tensor.bytes.insert(tensor.bytes.end(), last.begin(), last.end());
    }
  }
  return out;
}

Result<Tensor> Dataset::label(std::uint64_t index) {
  const auto owned = [](const TensorView& view) {
    return Tensor{view.type, std::vector<std::byte>(view.bytes.begin(), view.bytes.end())};
  };
  if (label_array_) {
    const bool moved = !rows_of_images_.empty();
    return owned(
        label_array_->at(moved ? rows_of_images_[static_cast<std::size_t>(index)] : index));
  }
  if (!images_.empty()) {
    Tensor out{{DType::Int64, {}}, std::vector<std::byte>(sizeof(std::int64_t))};
    std::memcpy(out.bytes.data(), &image_labels_[static_cast<std::size_t>(index)],
                sizeof(std::int64_t));
    return out;
  }
  ENN_TRY(load_block(index));
  return owned(block_->labels->at(index - blocks_[block_->index].first));
}

std::string Dataset::sample_name(std::uint64_t index) const {
  if (!images_.empty()) return printable_text(images_[static_cast<std::size_t>(index)].string());
  const Block& block = blocks_[block_of(index)];
  const std::string file = printable_text(block.path.string());
  return block.count == 1 ? file : str(file, '[', index - block.first, ']');
}

}  // namespace enn
