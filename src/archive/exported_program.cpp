#include "archive/exported_program.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "archive/json.hpp"
#include "archive/zip.hpp"
#include "base/file_io.hpp"
#include "ops/import.hpp"

namespace enn {
namespace {

using json::Element;
using Bytes = std::span<const std::byte>;

// What torch's serializer numbers; the names are those of torch.<name>.
struct Numbered {
  std::int64_t number;
  std::string_view name;
};
constexpr std::array kScalarTypes{Numbered{1, "uint8"},
                                  Numbered{2, "int8"},
                                  Numbered{3, "int16"},
                                  Numbered{4, "int32"},
                                  Numbered{5, "int64"},
                                  Numbered{6, "float16"},
                                  Numbered{7, "float32"},
                                  Numbered{8, "float64"},
                                  Numbered{9, "complex32"},
                                  Numbered{10, "complex64"},
                                  Numbered{11, "complex128"},
                                  Numbered{12, "bool"},
                                  Numbered{13, "bfloat16"},
                                  Numbered{28, "uint16"},
                                  Numbered{29, "float8_e4m3fn"},
                                  Numbered{30, "float8_e5m2"},
                                  Numbered{31, "float8_e4m3fnuz"},
                                  Numbered{32, "float8_e5m2fnuz"},
                                  Numbered{33, "float8_e8m0fnu"},
                                  Numbered{34, "uint32"},
                                  Numbered{35, "uint64"}};
constexpr std::array kMemoryFormats{Numbered{1, "contiguous_format"}, Numbered{2, "channels_last"},
                                    Numbered{3, "channels_last_3d"},
                                    Numbered{4, "preserve_format"}};
constexpr std::array kLayouts{Numbered{1, "sparse_coo"}, Numbered{2, "sparse_csr"},
                              Numbered{3, "sparse_csc"}, Numbered{4, "sparse_bsr"},
                              Numbered{5, "sparse_bsc"}, Numbered{6, "_mkldnn"},
                              Numbered{7, "strided"}};
constexpr std::size_t kHighestRank = 64;  // of any tensor of torch
// Constants take at most as much memory as this many archives, and this much more.
constexpr std::uint64_t kConstantsPerArchive = 4;
constexpr std::uint64_t kConstantAllowance = std::uint64_t{64} << 20U;

Result<std::string_view> name_of(std::span<const Numbered> names, const Element& element,
                                 std::string_view what) {
  ENN_ASSIGN(const std::int64_t number, json::integer(element, what));
  for (const Numbered& row : names) {
    if (row.number == number) return row.name;
  }
  return error(Code::Unsupported, "the archive has a ", what, " of number ", number,
               ", which this engine does not know");
}

// The names of an FX graph are Python identifiers; nothing else becomes the name of a value.
Result<std::string> identifier(const Element& element) {
  ENN_ASSIGN(const std::string_view name, json::text(element, "name"));
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), allowed)) {
    return json::wrong(name, "name of a value");
  }
  return std::string(name);
}

Result<std::string> member_name(const Element& element) {
  ENN_ASSIGN(const Element name, json::member(element, "name"));
  return identifier(name);
}

struct TensorMeta {
  TensorType type;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
};

Result<std::int64_t> static_size(const Element& element, std::string_view tensor) {
  ENN_ASSIGN(const auto size, json::only_member(element, "size"));
  if (size.first != "as_int") {
    return error(Code::Unsupported, "'", printable_text(tensor),
                 "' has a dynamic shape; only static shapes are supported: export the model again "
                 "without dynamic_shapes");
  }
  return json::integer(size.second, "size");
}

Result<std::vector<std::int64_t>> static_sizes(const Element& meta, std::string_view key,
                                               std::string_view tensor) {
  ENN_ASSIGN(const Element list, json::member(meta, key));
  ENN_ASSIGN(const auto items, json::array(list, key));
  std::vector<std::int64_t> out;
  for (const Element item : items) {
    ENN_ASSIGN(const std::int64_t size, static_size(item, tensor));
    if (size < 0 || out.size() == kHighestRank) {
      return error(Code::InvalidArgument, "'", printable_text(tensor), "' has impossible ", key);
    }
    out.push_back(size);
  }
  return out;
}

Result<TensorMeta> tensor_meta(const Element& meta, std::string_view tensor) {
  ENN_ASSIGN(const Element dtype_number, json::member(meta, "dtype"));
  ENN_ASSIGN(const std::string_view dtype_name, name_of(kScalarTypes, dtype_number, "dtype"));
  const auto dtype = dtype_from_string(dtype_name);
  if (!dtype) {
    return error(Code::InvalidArgument, "'", printable_text(tensor), "' has the element type ",
                 dtype_name, ", which this engine does not know");
  }
  TensorMeta out;
  out.type.dtype = *dtype;
  ENN_ASSIGN(out.type.shape, static_sizes(meta, "sizes", tensor));
  ENN_ASSIGN(out.strides, static_sizes(meta, "strides", tensor));
  ENN_ASSIGN(const Element offset, json::member(meta, "storage_offset"));
  ENN_ASSIGN(out.offset, static_size(offset, tensor));
  if (out.strides.size() != out.type.shape.size() || !checked_numel(out.type.shape) ||
      out.offset < 0) {
    return error(Code::InvalidArgument, "'", printable_text(tensor), "' has impossible sizes");
  }
  return out;
}

// The elements of a strided view of `storage` in row-major order.
Result<ConstantData> gather(Bytes storage, const TensorMeta& meta, std::string_view name) {
  const std::size_t width = size_of(meta.type.dtype);
  const Shape& shape = meta.type.shape;
  const auto count = static_cast<std::size_t>(numel(shape));
  auto out = std::make_shared<std::vector<std::byte>>(count * width);
  if (count == 0) return ConstantData(std::move(out));

  std::int64_t last = meta.offset;
  std::int64_t dense = 1;
  bool contiguous = true;
  const auto limit = static_cast<std::int64_t>(storage.size() / width);
  const Status outside = error(Code::InvalidArgument, "the archive's constant '",
                               printable_text(name), "' reaches beyond its bytes");
  for (std::size_t d = shape.size(); d-- > 0;) {
    const std::int64_t steps = shape[d] - 1;
    if (steps > 0 && meta.strides[d] > (std::numeric_limits<std::int64_t>::max() - last) / steps) {
      return outside;
    }
    last += steps * meta.strides[d];
    contiguous = contiguous && (steps == 0 || meta.strides[d] == dense);
    dense *= shape[d];
  }
  if (last >= limit) return outside;
  const auto first = static_cast<std::size_t>(meta.offset) * width;
  if (contiguous) {
    std::memcpy(out->data(), storage.data() + first, out->size());
    return ConstantData(std::move(out));
  }
  std::vector<std::int64_t> index(shape.size());
  std::size_t from = first;
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(out->data() + i * width, storage.data() + from, width);
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::size_t stride = static_cast<std::size_t>(meta.strides[d]) * width;
      from += stride;
      if (++index[d] < shape[d]) break;
      from -= stride * static_cast<std::size_t>(shape[d]);
      index[d] = 0;
    }
  }
  return ConstantData(std::move(out));
}

struct Document {
  simdjson::dom::parser parser;  // owns what `root` refers to
  Element root;
};

Result<std::unique_ptr<Document>> parse_json(const ZipArchive& zip, const std::string& name) {
  ENN_ASSIGN(const Bytes bytes, zip.read(name));
  auto document = std::make_unique<Document>();
  const simdjson::padded_string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto failure = document->parser.parse(text).get(document->root);
      failure != simdjson::SUCCESS) {
    return error(Code::InvalidArgument, "the archive's entry '", printable_text(name),
                 "' is not valid JSON: ", simdjson::error_message(failure));
  }
  return document;
}

// The tensors of one configuration, "data/weights/model_weights_config.json" or that of constants.
class Payloads {
 public:
  static Result<Payloads> open(const ZipArchive& zip, std::string folder,
                               const std::string& config) {
    Payloads out;
    out.zip_ = &zip;
    out.folder_ = std::move(folder);
    if (!zip.has(out.folder_ + config)) return out;
    ENN_ASSIGN(out.document_, parse_json(zip, out.folder_ + config));
    ENN_ASSIGN(const Element items, json::member(out.document_->root, "config"));
    ENN_ASSIGN(const auto members, json::object(items, "config"));
    for (const auto& [key, value] : members) out.items_.emplace(key, value);
    return out;
  }

  [[nodiscard]] bool has(std::string_view name) const { return items_.contains(name); }

  Result<std::pair<TensorType, ConstantData>> read(std::string_view name, std::uint64_t& budget) {
    const Element item = items_.at(name);
    ENN_ASSIGN(const Element pickled, json::member(item, "use_pickle"));
    ENN_ASSIGN(const bool use_pickle, json::boolean(pickled, "use_pickle"));
    if (use_pickle) {
      return error(Code::Unsupported, "the archive's constant '", printable_text(name),
                   "' is pickled; only plain tensors are read");
    }
    ENN_ASSIGN(const Element meta_json, json::member(item, "tensor_meta"));
    ENN_ASSIGN(const TensorMeta meta, tensor_meta(meta_json, name));
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
    ENN_ASSIGN(const Bytes storage, storage_of(std::string(path)));
    ENN_ASSIGN(ConstantData data, gather(storage, meta, name));
    shared_.emplace(key, data);
    return std::pair(meta.type, std::move(data));
  }

 private:
  // The checksum of a storage is compared once, however many tensors lie in it.
  Result<Bytes> storage_of(const std::string& path) {
    if (const auto known = storages_.find(path); known != storages_.end()) return known->second;
    ENN_ASSIGN(const Bytes bytes, zip_->read(folder_ + path));
    storages_.emplace(path, bytes);
    return bytes;
  }

  const ZipArchive* zip_ = nullptr;
  std::string folder_;
  std::unique_ptr<Document> document_;
  std::unordered_map<std::string_view, Element> items_;
  std::unordered_map<std::string, Bytes> storages_;
  std::map<std::tuple<std::string, int, Shape, std::vector<std::int64_t>, std::int64_t>,
           ConstantData>
      shared_;
};

// The file:line of the innermost frame that is not torch's own; of the innermost one if all are.
std::string source_line(std::string_view trace) {
  constexpr std::string_view kFile = "File \"";
  constexpr std::string_view kLine = "\", line ";
  std::string last;
  std::string own;
  for (std::size_t at = trace.find(kFile); at != std::string_view::npos;
       at = trace.find(kFile, at)) {
    at += kFile.size();
    const std::size_t end = trace.find('"', at);
    if (end == std::string_view::npos) break;
    if (!trace.substr(end).starts_with(kLine)) continue;
    const std::string_view file = trace.substr(at, end - at);
    std::size_t digit = end + kLine.size();
    const std::size_t digits = digit;
    while (digit < trace.size() && trace[digit] >= '0' && trace[digit] <= '9') ++digit;
    if (digit == digits || file.empty()) continue;
    last = str(file, ":", trace.substr(digits, digit - digits));
    const bool torch = file.find("-packages/torch/") != std::string_view::npos;
    if (!torch && !file.starts_with('<')) own = last;
    at = digit;
  }
  return own.empty() ? last : own;
}

class ProgramReader {
 public:
  ProgramReader(const ZipArchive& zip, std::uint64_t budget) : zip_(zip), budget_(budget) {}

  Result<Graph> read() {
    ENN_TRY(find_model());
    ENN_ASSIGN(const auto model, parse_json(zip_, root_ + "models/" + model_ + ".json"));
    ENN_TRY(check_version(model->root));
    ENN_ASSIGN(Payloads weights,
               Payloads::open(zip_, root_ + "data/weights/", model_ + "_weights_config.json"));
    ENN_ASSIGN(Payloads constants,
               Payloads::open(zip_, root_ + "data/constants/", model_ + "_constants_config.json"));
    ENN_ASSIGN(const Element module, json::member(model->root, "graph_module"));
    ENN_ASSIGN(const Element graph, json::member(module, "graph"));
    ENN_ASSIGN(const Element signature, json::member(module, "signature"));
    ENN_TRY(read_metas(graph));
    ENN_TRY(add_leaves(graph, signature, weights, constants));
    ENN_TRY(add_calls(graph));
    ENN_TRY(set_outputs(graph));
    ENN_TRY(verify(graph_));
    return std::move(graph_);
  }

 private:
  Status find_model() {
    const auto formats = zip_.names("", "archive_format");
    if (formats.size() != 1) {
      return error(Code::InvalidArgument,
                   "the file is no archive of torch.export.save (torch 2.9 or later)");
    }
    root_ = formats[0].substr(0, formats[0].size() - std::strlen("archive_format"));
    const auto models = zip_.names(root_ + "models/", ".json");
    if (models.size() != 1) {
      return error(Code::Unsupported, "the archive holds ", models.size(),
                   " models; exactly one is read");
    }
    const std::size_t before = root_.size() + std::strlen("models/");
    model_ = models[0].substr(before, models[0].size() - before - std::strlen(".json"));
    if (!zip_.has(root_ + "byteorder")) return {};
    ENN_ASSIGN(const Bytes order, zip_.read(root_ + "byteorder"));
    const std::string_view text(reinterpret_cast<const char*>(order.data()), order.size());
    if (text != "little") {
      return error(Code::Unsupported, "the archive's numbers are not little-endian");
    }
    return {};
  }

  static Status check_version(const Element& model) {
    ENN_ASSIGN(const Element version, json::member(model, "schema_version"));
    ENN_ASSIGN(const Element major_json, json::member(version, "major"));
    ENN_ASSIGN(const std::int64_t major, json::integer(major_json, "major"));
    if (major != 8) {
      return error(Code::Unsupported, "the archive has version ", major,
                   " of torch.export's schema; version 8 (torch 2.9 to 2.13) is read");
    }
    return {};
  }

  Status read_metas(const Element& graph) {
    ENN_ASSIGN(const Element values, json::member(graph, "tensor_values"));
    ENN_ASSIGN(const auto members, json::object(values, "tensor_values"));
    for (const auto& [name, meta] : members) metas_.emplace(name, meta);
    return {};
  }

  Result<TensorType> type_of(const std::string& name) const {
    const auto found = metas_.find(name);
    if (found == metas_.end()) {
      return error(Code::InvalidArgument, "the archive says nothing of the type of '", name, "'");
    }
    ENN_ASSIGN(TensorMeta meta, tensor_meta(found->second, name));
    return std::move(meta.type);
  }

  Status define(const std::string& name, ValueId value) {
    if (!values_.emplace(name, value).second) {
      return error(Code::InvalidArgument, "the archive defines '", name, "' twice");
    }
    return {};
  }

  Status add_leaves(const Element& graph, const Element& signature, Payloads& weights,
                    Payloads& constants) {
    std::unordered_set<std::string_view> mutated;
    ENN_ASSIGN(const Element outputs_json, json::member(signature, "output_specs"));
    ENN_ASSIGN(const auto outputs, json::array(outputs_json, "output_specs"));
    for (const Element output : outputs) {
      ENN_ASSIGN(const auto spec, json::only_member(output, "output_specs"));
      if (spec.first != "buffer_mutation") continue;
      ENN_ASSIGN(const Element buffer, json::member(spec.second, "buffer_name"));
      ENN_ASSIGN(const std::string_view name, json::text(buffer, "buffer_name"));
      mutated.insert(name);
    }
    // Names of the graph's inputs that are constants: where each lies in the archive.
    std::unordered_map<std::string, std::string_view> sources;
    ENN_ASSIGN(const Element inputs_json, json::member(signature, "input_specs"));
    ENN_ASSIGN(const auto inputs, json::array(inputs_json, "input_specs"));
    for (const Element input : inputs) {
      ENN_ASSIGN(const auto spec, json::only_member(input, "input_specs"));
      std::string_view key;
      if (spec.first == "parameter") key = "parameter_name";
      if (spec.first == "buffer") key = "buffer_name";
      if (spec.first == "tensor_constant") key = "tensor_constant_name";
      if (key.empty()) continue;
      ENN_ASSIGN(const Element target, json::member(spec.second, key));
      ENN_ASSIGN(const std::string_view name, json::text(target, key));
      if (spec.first == "buffer" && mutated.contains(name)) continue;
      ENN_ASSIGN(const Element argument, json::member(spec.second, "arg"));
      ENN_ASSIGN(std::string value, member_name(argument));
      sources.emplace(std::move(value), name);
    }
    ENN_ASSIGN(const Element leaves_json, json::member(graph, "inputs"));
    ENN_ASSIGN(const auto leaves, json::array(leaves_json, "inputs"));
    for (const Element leaf : leaves) {
      ENN_ASSIGN(const auto argument, json::only_member(leaf, "inputs"));
      if (argument.first != "as_tensor") continue;
      ENN_ASSIGN(const std::string name, member_name(argument.second));
      const auto source = sources.find(name);
      if (source == sources.end()) {
        ENN_ASSIGN(TensorType type, type_of(name));
        ENN_TRY(define(name, graph_.add_input(name, std::move(type))));
        continue;
      }
      Payloads& owner = weights.has(source->second) ? weights : constants;
      if (!owner.has(source->second)) {
        return error(Code::InvalidArgument, "the archive has no bytes for '",
                     printable_text(source->second), "'");
      }
      ENN_ASSIGN(auto constant, owner.read(source->second, budget_));
      ENN_TRY(define(
          name, graph_.add_constant(name, std::move(constant.first), std::move(constant.second))));
    }
    return {};
  }

  Status add_calls(const Element& graph) {
    for (const OverloadInfo& overload : overloads()) known_.insert(overload.target);
    ENN_ASSIGN(const Element nodes_json, json::member(graph, "nodes"));
    ENN_ASSIGN(const auto nodes, json::array(nodes_json, "nodes"));
    for (const Element node : nodes) ENN_TRY(add_call(node));
    return {};
  }

  Status add_call(const Element& node) {
    ENN_ASSIGN(const Element target_json, json::member(node, "target"));
    ENN_ASSIGN(std::string_view target, json::text(target_json, "target"));
    for (const std::string_view prefix : {"torch.ops.higher_order.", "torch.ops."}) {
      if (!target.starts_with(prefix)) continue;
      target.remove_prefix(prefix.size());
      break;
    }
    if (printable_text(target) != target) return json::wrong(target, "operator");

    std::vector<std::string> results;
    ENN_ASSIGN(const Element outputs_json, json::member(node, "outputs"));
    ENN_ASSIGN(const auto outputs, json::array(outputs_json, "outputs"));
    for (const Element output : outputs) ENN_TRY(collect_results(output, results));
    if (results.empty()) return {};

    Call call{std::string(target), results[0], {}, {}, {}};
    if (Element name; node.at_key("name").get(name) == simdjson::SUCCESS && name.is_string()) {
      ENN_ASSIGN(call.name, identifier(name));
    }
    for (const std::string& result : results) {
      ENN_ASSIGN(TensorType type, type_of(result));
      call.results.push_back(std::move(type));
    }
    ENN_TRY(read_arguments(node, call));
    std::string_view trace;
    if (node.at_key("metadata").at_key("stack_trace").get(trace) == simdjson::SUCCESS) {
      call.source = printable_text(source_line(trace));
    }
    ENN_ASSIGN(const NodeId id, import_call(graph_, call));
    const std::vector<ValueId> values = graph_.node(id).outputs;
    if (values.size() != results.size()) {
      return error(Code::InvalidArgument, "node '", call.name, "' (", call.target, ") has ",
                   results.size(), " results where its operator has ", values.size());
    }
    for (std::size_t i = 0; i < results.size(); ++i) ENN_TRY(define(results[i], values[i]));
    return {};
  }

  static Status collect_results(const Element& output, std::vector<std::string>& results) {
    ENN_ASSIGN(const auto argument, json::only_member(output, "outputs"));
    if (argument.first == "as_tensor") {
      ENN_ASSIGN(std::string name, member_name(argument.second));
      results.push_back(std::move(name));
    } else if (argument.first == "as_tensors") {
      ENN_ASSIGN(const auto items, json::array(argument.second, "outputs"));
      for (const Element item : items) {
        ENN_ASSIGN(std::string name, member_name(item));
        results.push_back(std::move(name));
      }
    }
    return {};
  }

  Status read_arguments(const Element& node, Call& call) const {
    ENN_ASSIGN(const Element inputs_json, json::member(node, "inputs"));
    ENN_ASSIGN(const auto inputs, json::array(inputs_json, "inputs"));
    const bool known = known_.contains(call.target);
    std::set<ValueId> operands;
    for (const Element input : inputs) {
      ENN_ASSIGN(const Element value, json::member(input, "arg"));
      if (!known) {
        ENN_TRY(add_operands(value, operands, call));
        continue;
      }
      ENN_ASSIGN(const Element name_json, json::member(input, "name"));
      ENN_ASSIGN(std::string name, identifier(name_json));
      auto argument = read_argument(value);
      if (!argument.ok()) {
        return error(argument.status().code(), "argument '", name, "' of node '", call.name, "' (",
                     call.target, "): ", argument.status().message());
      }
      call.arguments.emplace_back(std::move(name), std::move(argument).value());
    }
    return {};
  }

  // An operator that the core does not know has its tensors for operands, each once: they keep the
  // graph connected.
  Status add_operands(const Element& value, std::set<ValueId>& operands, Call& call) const {
    ENN_ASSIGN(const auto argument, json::only_member(value, "arg"));
    const std::string_view kind = argument.first;
    if (kind != "as_tensor" && kind != "as_tensors" && kind != "as_optional_tensors" &&
        kind != "as_optional_tensor") {
      return {};
    }
    ENN_ASSIGN(const Argument read, read_argument(value));
    std::vector<TensorArgument> tensors;
    if (const auto* one = std::get_if<TensorArgument>(&read)) tensors.push_back(*one);
    if (const auto* list = std::get_if<std::vector<TensorArgument>>(&read)) tensors = *list;
    for (const TensorArgument& tensor : tensors) {
      if (tensor.id == kNone || !operands.insert(tensor.id).second) continue;
      call.arguments.emplace_back(str(call.arguments.size()), tensor);
    }
    return {};
  }

  Result<TensorArgument> tensor(const Element& element) const {
    ENN_ASSIGN(const std::string name, member_name(element));
    const auto found = values_.find(name);
    if (found == values_.end()) {
      return error(Code::InvalidArgument, "the tensor '", name,
                   "' is not defined before it is used");
    }
    return TensorArgument{found->second};
  }

  Result<TensorArgument> optional_tensor(const Element& element) const {
    ENN_ASSIGN(const auto item, json::only_member(element, "optional tensor"));
    if (item.first == "as_none") return TensorArgument{};
    return tensor(item.second);
  }

  // A list whose items `item` reads; torch.export writes an empty list as a list of any type.
  template <typename T, typename F>
  static Result<Argument> list_of(const Element& element, const F& item) {
    ENN_ASSIGN(const auto items, json::array(element, "list"));
    std::vector<T> out;
    for (const Element element_of_list : items) {
      ENN_ASSIGN(T value, item(element_of_list));
      out.push_back(std::move(value));
    }
    if (out.empty()) return Argument(std::vector<std::int64_t>());
    return Argument(std::move(out));
  }

  static Result<double> number(const Element& element) {
    if (std::string_view text; element.get(text) == simdjson::SUCCESS) {
      if (text == "Infinity") return std::numeric_limits<double>::infinity();
      if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
      if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    }
    return json::as<double>(element, "as_float", "number");
  }

  static Result<std::int64_t> integer(const Element& element) {
    return json::integer(element, "as_int");
  }

  static Result<std::int64_t> symbolic_integer(const Element& element) {
    ENN_ASSIGN(const auto item, json::only_member(element, "as_sym_int"));
    if (item.first == "as_int") return integer(item.second);
    return error(Code::Unsupported,
                 "it depends on the shape or value of a tensor; only static shapes are supported");
  }

  static Result<std::string> device(const Element& element) {
    ENN_ASSIGN(const Element type_json, json::member(element, "type"));
    ENN_ASSIGN(const std::string_view type, json::text(type_json, "device"));
    std::int64_t index = 0;
    if (element.at_key("index").get(index) != simdjson::SUCCESS) return std::string(type);
    return str(type, ":", index);
  }

  template <typename T>
  static Result<Argument> whole(Result<T> result) {
    if (!result.ok()) return result.status();
    return Argument(std::move(result).value());
  }

  static Result<Argument> whole(Result<std::string_view> result) {
    if (!result.ok()) return result.status();
    return Argument(std::string(result.value()));
  }

  Result<Argument> read_argument(const Element& element) const {
    ENN_ASSIGN(const auto item, json::only_member(element, "arg"));
    const auto& [kind, value] = item;
    const auto one_tensor = [this](const Element& e) { return tensor(e); };
    const auto maybe_tensor = [this](const Element& e) { return optional_tensor(e); };
    const auto truth = [](const Element& e) -> Result<std::int64_t> {
      ENN_ASSIGN(const bool set, json::boolean(e, "as_bools"));
      return std::int64_t{set ? 1 : 0};
    };
    if (kind == "as_none") return Argument(std::monostate{});
    if (kind == "as_tensor") return whole(tensor(value));
    if (kind == "as_tensors") return list_of<TensorArgument>(value, one_tensor);
    if (kind == "as_optional_tensors") return list_of<TensorArgument>(value, maybe_tensor);
    if (kind == "as_optional_tensor") {
      ENN_ASSIGN(const TensorArgument optional, optional_tensor(value));
      return optional.id == kNone ? Argument(std::monostate{}) : Argument(optional);
    }
    if (kind == "as_int") return whole(integer(value));
    if (kind == "as_ints") return list_of<std::int64_t>(value, integer);
    if (kind == "as_float") return whole(number(value));
    if (kind == "as_floats") return list_of<double>(value, number);
    if (kind == "as_bool") return whole(json::boolean(value, "as_bool"));
    if (kind == "as_bools") return list_of<std::int64_t>(value, truth);
    if (kind == "as_string") return whole(json::text(value, "as_string"));
    if (kind == "as_sym_int") return whole(symbolic_integer(value));
    if (kind == "as_sym_ints") return list_of<std::int64_t>(value, symbolic_integer);
    if (kind == "as_scalar_type") return whole(name_of(kScalarTypes, value, "dtype"));
    if (kind == "as_memory_format") return whole(name_of(kMemoryFormats, value, "memory format"));
    if (kind == "as_layout") return whole(name_of(kLayouts, value, "layout"));
    if (kind == "as_device") return whole(device(value));
    return error(Code::Unsupported, "no operator takes a value of the kind '", printable_text(kind),
                 "'");
  }

  Status set_outputs(const Element& graph) {
    ENN_ASSIGN(const Element outputs_json, json::member(graph, "outputs"));
    ENN_ASSIGN(const auto outputs, json::array(outputs_json, "outputs"));
    std::vector<ValueId> ids;
    for (const Element output : outputs) {
      ENN_ASSIGN(const auto argument, json::only_member(output, "outputs"));
      if (argument.first != "as_tensor") continue;
      ENN_ASSIGN(const TensorArgument value, tensor(argument.second));
      ids.push_back(value.id);
    }
    graph_.set_outputs(std::move(ids));
    return {};
  }

  const ZipArchive& zip_;
  std::uint64_t budget_;
  std::string root_;
  std::string model_;
  std::unordered_map<std::string_view, Element> metas_;
  std::unordered_map<std::string, ValueId> values_;
  std::unordered_set<std::string_view> known_;
  Graph graph_;
};

// Import functions name what the archive names; only a clean sentence leaves.
std::string clean(std::string message) {
  std::replace_if(message.begin(), message.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return message;
}

}  // namespace

Result<Graph> read_exported_program(std::span<const std::byte> archive) {
  ENN_ASSIGN(const ZipArchive zip, ZipArchive::open(archive));
  auto graph =
      ProgramReader(zip, kConstantsPerArchive * archive.size() + kConstantAllowance).read();
  if (!graph.ok()) return Status(graph.status().code(), clean(graph.status().message()));
  return graph;
}

Result<Graph> read_exported_program(const std::filesystem::path& path) {
  ENN_ASSIGN(const MappedFile file, MappedFile::open(path));
  auto graph = read_exported_program(file.bytes());
  if (!graph.ok()) {
    return error(graph.status().code(), path, ": ", graph.status().message());
  }
  return graph;
}

}  // namespace enn
