#include "archive/payloads.hpp"

namespace enn {

using json::Element;

Result<std::unique_ptr<Document>> read_document(const ZipArchive& zip, const std::string& name) {
  ENN_ASSIGN(const std::span<const std::byte> bytes, zip.read(name));
  return parse_document({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
}

Result<std::unique_ptr<Document>> parse_document(std::string_view text, const std::string& name) {
  auto document = std::make_unique<Document>();
  const simdjson::padded_string padded(text.data(), text.size());
  if (const auto failure = document->parser.parse(padded).get(document->root);
      failure != simdjson::SUCCESS) {
    return error(Code::InvalidArgument, "the archive's entry '", printable_text(name),
                 "' is not valid JSON: ", simdjson::error_message(failure));
  }
  return document;
}

Result<ModelEntries> ModelEntries::find(const ZipArchive& zip) {
  constexpr std::string_view kFormat = "archive_format";
  constexpr std::string_view kModels = "models/";
  constexpr std::string_view kJson = ".json";
  const auto formats = zip.names("", kFormat);
  if (formats.size() != 1) {
    return error(Code::InvalidArgument,
                 "the file is no archive of torch.export.save (torch 2.9 or later)");
  }
  ModelEntries out;
  out.root_ = formats[0].substr(0, formats[0].size() - kFormat.size());
  const auto models = zip.names(str(out.root_, kModels), kJson);
  if (models.size() != 1) {
    return error(Code::Unsupported, "the archive holds ", models.size(),
                 " models; exactly one is read");
  }
  const std::size_t before = out.root_.size() + kModels.size();
  out.name_ = models[0].substr(before, models[0].size() - before - kJson.size());
  if (const std::string order = out.root_ + "byteorder"; zip.has(order)) {
    ENN_ASSIGN(const std::span<const std::byte> bytes, zip.read(order));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text != "little") {
      return error(Code::Unsupported, "the archive's numbers are not little-endian");
    }
  }
  return out;
}

Result<Payloads> Payloads::open(const ZipArchive& zip, const Symbols& symbols, std::string folder,
                                const std::string& config) {
  Payloads out;
  out.zip_ = &zip;
  out.symbols_ = &symbols;
  out.folder_ = std::move(folder);
  if (!zip.has(out.folder_ + config)) return out;
  ENN_ASSIGN(out.document_, read_document(zip, out.folder_ + config));
  ENN_ASSIGN(const Element items, json::member(out.document_->root, "config"));
  ENN_ASSIGN(const auto members, json::object(items, "config"));
  for (const auto& [key, value] : members) {
    if (!out.items_.emplace(key, value).second) {
      return error(Code::InvalidArgument, "the archive has '", printable_text(key),
                   "' twice among its constants");
    }
  }
  return out;
}

Result<std::pair<TensorType, ConstantData>> Payloads::read(std::string_view name,
                                                           std::uint64_t& budget) {
  const Element item = items_.at(name);
  ENN_ASSIGN(const Element pickled, json::member(item, "use_pickle"));
  ENN_ASSIGN(const bool use_pickle, json::boolean(pickled, "use_pickle"));
  if (use_pickle) {
    return error(Code::Unsupported, "the archive's constant '", printable_text(name),
                 "' is pickled; only plain tensors are read");
  }
  ENN_ASSIGN(const Element meta_json, json::member(item, "tensor_meta"));
  ENN_ASSIGN(const TensorMeta meta, read_tensor_meta(meta_json, name, *symbols_));
  ENN_ASSIGN(const Element path_json, json::member(item, "path_name"));
  ENN_ASSIGN(const std::string_view path, json::text(path_json, "path_name"));
  const auto key = std::make_tuple(std::string(path), static_cast<int>(meta.type.dtype),
                                   meta.type.shape, meta.strides, meta.offset);
  if (const auto known = shared_.find(key); known != shared_.end()) {
    return std::pair(meta.type, known->second);
  }
  const auto size = static_cast<std::uint64_t>(numel(meta.type.shape)) * size_of(meta.type.dtype);
  if (size > budget) {
    return error(Code::ResourceExhausted, "the archive's constant '", printable_text(name),
                 "' is larger than an archive of this size may hold");
  }
  budget -= size;
  ENN_ASSIGN(const std::span<const std::byte> storage, storage_of(std::string(path)));
  ENN_ASSIGN(ConstantData data, gather_elements(storage, meta, name));
  shared_.emplace(key, data);
  return std::pair(meta.type, std::move(data));
}

Result<std::span<const std::byte>> Payloads::storage_of(const std::string& path) {
  if (const auto known = storages_.find(path); known != storages_.end()) return known->second;
  ENN_ASSIGN(const std::span<const std::byte> bytes, zip_->read(folder_ + path));
  storages_.emplace(path, bytes);
  return bytes;
}

}  // namespace enn
