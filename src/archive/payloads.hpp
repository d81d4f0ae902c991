// The tensors of an archive's configurations: weights and constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "archive/tensor_meta.hpp"
#include "archive/zip.hpp"

namespace enn {

struct Document {
  simdjson::dom::parser parser;  // owns what `root` refers to
  json::Element root;
};

[[nodiscard]] Result<std::unique_ptr<Document>> read_document(const ZipArchive& zip,
                                                              const std::string& name);
// `name` is that of the entry that the text stands for.
[[nodiscard]] Result<std::unique_ptr<Document>> parse_document(std::string_view text,
                                                               const std::string& name);

// The names of the entries of an archive's one model.
class ModelEntries {
 public:
  [[nodiscard]] static Result<ModelEntries> find(const ZipArchive& zip);

  [[nodiscard]] std::string model() const { return root_ + "models/" + name_ + ".json"; }
  [[nodiscard]] std::string weights() const { return root_ + "data/weights/"; }
  [[nodiscard]] std::string weights_config() const { return name_ + "_weights_config.json"; }
  [[nodiscard]] std::string constants() const { return root_ + "data/constants/"; }
  [[nodiscard]] std::string constants_config() const { return name_ + "_constants_config.json"; }

 private:
  std::string root_;  // empty or with '/' at its end
  std::string name_;
};

// Of one configuration, "data/weights/<model>_weights_config.json" or that of constants.
class Payloads {
 public:
  // An absent configuration holds nothing. `zip` and `symbols` must outlive it.
  static Result<Payloads> open(const ZipArchive& zip, const Symbols& symbols, std::string folder,
                               const std::string& config);

  [[nodiscard]] bool has(std::string_view name) const { return items_.contains(name); }

  // Precondition: has(name). `budget`, in bytes, is lowered by what is new in memory.
  [[nodiscard]] Result<std::pair<TensorType, ConstantData>> read(std::string_view name,
                                                                 std::uint64_t& budget);

 private:
  // The checksum of a storage is compared once, however many tensors lie in it.
  [[nodiscard]] Result<std::span<const std::byte>> storage_of(const std::string& path);

  const ZipArchive* zip_ = nullptr;
  const Symbols* symbols_ = nullptr;
  std::string folder_;
  std::unique_ptr<Document> document_;
  std::unordered_map<std::string_view, json::Element> items_;
  std::unordered_map<std::string, std::span<const std::byte>> storages_;
  std::map<std::tuple<std::string, int, Shape, std::vector<std::int64_t>, std::int64_t>,
           ConstantData>
      shared_;
};

}  // namespace enn
