#include "archive/program_writer.hpp"

#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

#include "archive/payloads.hpp"
#include "archive/program_json.hpp"
#include "archive/zip.hpp"

namespace enn {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::int64_t kStrided = 7;  // of torch.layout

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Json> parse_entry(const ZipArchive& zip, const std::string& name) {
  ENN_ASSIGN(const Bytes bytes, zip.read(name));
  Json document = Json::parse(text_of(bytes), nullptr, false);
  if (document.is_discarded()) {
    return error(Code::InvalidArgument, "the archive's entry '", printable_text(name),
                 "' is not valid JSON");
  }
  return document;
}

// A contiguous tensor's metadata.
Json tensor_meta(const TensorType& type) {
  Json sizes = Json::array();
  Json strides = Json::array();
  std::int64_t stride = numel(type.shape);
  for (const std::int64_t size : type.shape) {
    stride = size > 0 ? stride / size : stride;
    sizes.push_back({{"as_int", size}});
    strides.push_back({{"as_int", std::max<std::int64_t>(stride, 1)}});
  }
  return {{"dtype", scalar_type_number(type.dtype)},
          {"sizes", std::move(sizes)},
          {"requires_grad", false},
          {"device", {{"type", "cpu"}, {"index", nullptr}}},
          {"strides", std::move(strides)},
          {"storage_offset", {{"as_int", 0}}},
          {"layout", kStrided}};
}

// JSON has no infinities; torch.export writes them as text.
Json float_number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

// What to read instead of a name; the k-th time that it is read the k-th, or the last.
using Renames = std::map<std::string, std::deque<std::string>>;

class ProgramWriter {
 public:
  explicit ProgramWriter(const ExportedProgram::State& state)
      : state_(state),
        base_(state.original != nullptr ? state.original->graph : state.graph),
        graph_(state.graph) {}

  Result<std::vector<std::byte>> write() {
    ENN_ASSIGN(const ZipArchive zip, ZipArchive::open(state_.archive->bytes()));
    ENN_ASSIGN(const ModelEntries entries, ModelEntries::find(zip));
    if (state_.document != nullptr) {
      document_ = Json::parse(*state_.document);
    } else {
      ENN_ASSIGN(document_, parse_entry(zip, entries.model()));
    }
    const std::string weights = entries.weights() + entries.weights_config();
    const std::string constants = entries.constants() + entries.constants_config();
    Json no_config{{"config", Json::object()}};
    weights_ = no_config;
    constants_ = no_config;
    if (zip.has(weights)) {
      ENN_ASSIGN(weights_, parse_entry(zip, weights));
    }
    if (zip.has(constants)) {
      ENN_ASSIGN(constants_, parse_entry(zip, constants));
    }
    ENN_TRY(change());
    name_payloads(zip, entries.weights());

    ZipWriter out;
    const std::string model_text = dump(document_);
    const std::string weights_text = dump(weights_);
    const std::string constants_text = dump(constants_);
    const std::map<std::string, const std::string*> replaced{
        {entries.model(), &model_text}, {weights, &weights_text}, {constants, &constants_text}};
    for (const auto& [path, data] : payloads_) out.add(entries.weights() + path, *data);
    for (const std::string& name : zip.names_by_place()) {
      if (const auto found = replaced.find(name); found != replaced.end()) {
        out.add(name, std::as_bytes(std::span(*found->second)));
      } else if (!is_unused_payload(name, entries)) {
        ENN_ASSIGN(const Bytes contents, zip.read(name));
        out.add(name, contents);
      }
    }
    for (const auto& [name, text] : replaced) {
      if (!zip.has(name)) out.add(name, std::as_bytes(std::span(*text)));
    }
    return std::move(out).finish();
  }

 private:
  Json& graph_json() { return document_.at("graph_module").at("graph"); }

  // Rewrites the document.
  Status change() {
    for (const auto& [name, id] : state_.values) names_.emplace(id, name);
    for (const auto& [call, made] : state_.made) {
      for (const MadeCall& item : made) {
        // The last one has the name of what it replaces.
        names_.emplace(item.value, item.name);
        taken_.insert(item.name);
        if (item.call.target.empty()) made_constants_.insert(item.value);
      }
    }
    Json& graph = graph_json();
    metas_ = std::move(graph.at("tensor_values"));
    for (const auto& [name, meta] : metas_.items()) taken_.insert(name);
    old_nodes_ = std::move(graph.at("nodes"));
    if (old_nodes_.size() != state_.calls.size()) return changed();
    for (Json& node : old_nodes_) {
      for (Json& item : node.at("inputs")) {
        for_each_tensor(item.at("arg"), [&](std::string& name) { read_before_.insert(name); });
      }
    }
    nodes_ = Json::array();
    ENN_TRY(write_nodes());
    ENN_TRY(write_outputs());
    ENN_TRY(write_inputs());
    Json metas = Json::object();
    for (auto& [name, meta] : metas_.items()) {
      if (live_.contains(name)) metas[name] = std::move(meta);
    }
    graph["tensor_values"] = std::move(metas);
    graph["nodes"] = std::move(nodes_);
    return {};
  }

  static Status changed() {
    return error(Code::InvalidArgument, "the archive changed after it was read");
  }

  // ---- Calls

  Status write_nodes() {
    std::unordered_map<NodeId, std::pair<std::size_t, const MadeCall*>> owners;
    for (std::size_t i = 0; i < state_.calls.size(); ++i) {
      const auto made = state_.made.find(i);
      if (made == state_.made.end()) {
        const CallNodes& nodes = state_.calls[i];
        if (nodes.last > nodes.first) owners[nodes.last - 1] = {i, nullptr};
        continue;
      }
      for (const MadeCall& item : made->second) {
        if (item.nodes.last > item.nodes.first) owners[item.nodes.last - 1] = {i, &item};
      }
    }
    std::size_t next = 0;  // archive calls before it are written or erased
    for (const NodeId id : graph_.order()) {
      if (id >= base_.node_count()) {
        ENN_TRY(write_added(graph_.node(id)));
        continue;
      }
      const auto owner = owners.find(id);
      if (owner == owners.end()) continue;
      const auto [call, made] = owner->second;
      for (; next < call; ++next) write_without_result(next);
      if (made != nullptr) {
        ENN_TRY(write_made(*made, old_nodes_[call]));
      } else {
        ENN_TRY(write_call(call));
        next = call + 1;
      }
    }
    for (; next < state_.calls.size(); ++next) write_without_result(next);
    return {};
  }

  // A call for which the graph has no node, such as an assertion or a size.
  void write_without_result(std::size_t call) {
    const CallNodes& nodes = state_.calls[call];
    if (nodes.first == nodes.last && !state_.made.contains(call))
      append(std::move(old_nodes_[call]), {});
  }

  Status write_call(std::size_t call) {
    const CallNodes& nodes = state_.calls[call];
    Json node = std::move(old_nodes_[call]);
    Renames renames;
    ENN_TRY(find_renames(nodes, renames, node));
    for (const ValueId value : graph_.node(nodes.last - 1).outputs) {
      neighbours_[value] = nodes_.size();
      live_.insert(names_[value]);
    }
    append(std::move(node), std::move(renames));
    return {};
  }

  // How operands of the nodes differ from the base graph's. A bias that was none is added to
  // `node`.
  Status find_renames(const CallNodes& nodes, Renames& renames, Json& node) {
    for (NodeId id = nodes.first; id < nodes.last; ++id) {
      const std::vector<ValueId>& before = base_.node(id).inputs;
      const std::vector<ValueId>& after = graph_.node(id).inputs;
      for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
        const ValueId from = i < before.size() ? before[i] : kNone;
        const ValueId to = i < after.size() ? after[i] : kNone;
        if (from == kNone && to == kNone) continue;
        if (from == to && !names_.contains(from)) continue;  // made by the import
        const auto known = from == kNone ? names_.end() : names_.find(from);
        if (to == kNone || (from != kNone && known == names_.end())) {
          return error(Code::Unsupported, "no archive can say how node '", graph_.node(id).name,
                       "' was changed");
        }
        const std::string old = from == kNone ? "" : known->second;  // name_of may change it
        ENN_ASSIGN(std::string name, name_of(to));
        if (from == kNone) {
          ENN_TRY(add_bias(node, graph_.node(id), name));
        } else {
          renames[old].push_back(std::move(name));
        }
      }
    }
    return {};
  }

  static Status add_bias(Json& node, const Node& call, const std::string& name) {
    constexpr std::string_view kBias = "bias";
    if (call.op != Op::Convolution && call.op != Op::Linear) {
      return error(Code::Unsupported, "no archive can say that node '", call.name,
                   "' has got an operand");
    }
    for (Json& item : node.at("inputs")) {
      if (item.at("name") != kBias) continue;
      item["arg"] = tensor_argument(name);
      return {};
    }
    node.at("inputs").push_back(input(kBias, tensor_argument(name), kKeyword));
    return {};
  }

  // Renames the operands of `node` and appends it.
  void append(Json node, Renames renames) {
    for (Json& item : node.at("inputs")) {
      for_each_tensor(item.at("arg"), [&](std::string& name) {
        if (const auto found = renames.find(name); found != renames.end()) {
          std::deque<std::string>& names = found->second;
          name = names.front();
          if (names.size() > 1) names.pop_front();
        }
        live_.insert(name);
      });
    }
    nodes_.push_back(std::move(node));
  }

  // A call made by a transformation in place of `replaced`.
  Status write_made(const MadeCall& made, const Json& replaced) {
    Json inputs = Json::array();
    for (const auto& [name, argument] : made.call.arguments) {
      Json value;
      if (const auto* tensor = std::get_if<TensorArgument>(&argument)) {
        value = tensor_argument(names_[tensor->id]);
      } else if (const auto* list = std::get_if<std::vector<TensorArgument>>(&argument)) {
        Json tensors = Json::array();
        for (const TensorArgument& item : *list) tensors.push_back({{"name", names_[item.id]}});
        value = {{"as_tensors", std::move(tensors)}};
      } else if (const auto* number = std::get_if<double>(&argument)) {
        value = {{"as_float", float_number(*number)}};
      } else if (const auto* integer = std::get_if<std::int64_t>(&argument)) {
        value = {{"as_int", *integer}};
      } else if (const auto* flag = std::get_if<bool>(&argument)) {
        value = {{"as_bool", *flag}};
      } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&argument)) {
        value = {{"as_ints", *integers}};
      } else {
        return error(Code::Internal, "no archive can say argument '", name, "' of '",
                     made.call.name, "'");
      }
      inputs.push_back(input(name, std::move(value)));
    }
    const std::string& name = names_[made.value];
    Json node = call_like(&replaced, made.call.target, std::move(inputs), name);
    if (!metas_.contains(name)) metas_[name] = tensor_meta(made.call.results.front());
    Renames renames;
    ENN_TRY(find_renames(made.nodes, renames, node));
    neighbours_[made.value] = nodes_.size();
    live_.insert(name);
    append(std::move(node), std::move(renames));
    return {};
  }

  // ---- Quantize and dequantize

  Status write_added(const Node& node) {
    const bool quantize = node.op == Op::Quantize;
    if (!quantize && node.op != Op::Dequantize) {
      return error(Code::Unsupported, "no archive can say what the added node '", node.name,
                   "' is");
    }
    const bool per_channel = node.inputs.size() == 3;
    const ValueId operand = node.inputs[0];
    ENN_ASSIGN(const std::string source, name_of(operand));
    Json inputs = Json::array({input("input", tensor_argument(source))});
    if (per_channel) {
      for (const auto& [name, id] :
           {std::pair("scales", node.inputs[1]), std::pair("zero_points", node.inputs[2])}) {
        ENN_ASSIGN(const std::string constant, name_of(id, name));
        inputs.push_back(input(name, tensor_argument(constant)));
        live_.insert(constant);
      }
      inputs.push_back(input("axis", {{"as_int", node.attrs.integer("axis")}}));
    } else {
      inputs.push_back(input("scale", {{"as_float", node.attrs.number("scale")}}));
      inputs.push_back(input("zero_point", {{"as_int", node.attrs.integer("zero_point")}}));
    }
    inputs.push_back(input("quant_min", {{"as_int", node.attrs.integer("quant_min")}}));
    inputs.push_back(input("quant_max", {{"as_int", node.attrs.integer("quant_max")}}));
    const ValueId result = node.outputs[0];
    const DType integers = graph_.value(quantize ? result : operand).type.dtype;
    inputs.push_back(input("dtype", {{"as_scalar_type", scalar_type_number(integers)}}));

    const std::string op =
        str(quantize ? "quantize" : "dequantize", per_channel ? "_per_channel" : "_per_tensor");
    const std::string name = unique_name(op);
    names_[result] = name;
    Json meta = metas_.at(source);
    meta["dtype"] = scalar_type_number(graph_.value(result).type.dtype);
    meta["requires_grad"] = false;
    meta["storage_offset"] = {{"as_int", 0}};
    metas_[name] = std::move(meta);
    live_.insert({source, name});
    Json call = call_like(neighbour(operand, result), str("quantized_decomposed.", op, ".default"),
                          std::move(inputs), name);
    call["metadata"]["torch_fn"] =
        str(op, ".default_", ++counts_[op], ";OpOverload.", op, ".default");
    neighbours_[result] = nodes_.size();
    nodes_.push_back(std::move(call));
    return {};
  }

  // The written call that gives `operand`, else the archive's first one that will read `result`.
  const Json* neighbour(ValueId operand, ValueId result) const {
    if (const auto found = neighbours_.find(operand); found != neighbours_.end()) {
      return &nodes_[found->second];
    }
    ValueId read = result;
    for (int steps = 0; steps < 4; ++steps) {  // quantize, dequantize, call
      const std::vector<NodeId> users = graph_.users(read);
      if (users.empty()) return nullptr;
      if (users.front() >= base_.node_count()) {
        read = graph_.node(users.front()).outputs[0];
        continue;
      }
      for (std::size_t i = 0; i < state_.calls.size(); ++i) {
        const CallNodes& nodes = state_.calls[i];
        if (users.front() < nodes.first || users.front() >= nodes.last) continue;
        return old_nodes_[i].is_object() ? &old_nodes_[i] : nullptr;
      }
      return nullptr;
    }
    return nullptr;
  }

  // ---- Names and constants

  std::string unique_name(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !taken_.insert(name).second; ++i) name = str(wanted, '_', i);
    return name;
  }

  // The name of a value where it is read; a constant that the archive does not have is added as a
  // buffer. `role` is its place in a call of a quantize or dequantize.
  Result<std::string> name_of(ValueId id, std::string_view role = "") {
    const Value& value = graph_.value(id);
    const bool same = id < base_.value_count() && base_.value(id).data == value.data;
    const auto known = names_.find(id);
    if (known != names_.end() && (!value.is_constant() || is_written_constant(id, same))) {
      return known->second;
    }
    if (!value.is_constant()) {
      return error(Code::Unsupported, "no archive can name the value '", value.name, "'");
    }
    std::string_view kind = "_constant_";
    if (role == "scales") kind = "_scale_";
    if (role == "zero_points") kind = "_zero_point_";
    if (role.empty() && value.type.dtype != DType::Float32) kind = "_frozen_param";
    std::string buffer;
    std::string name;
    do {
      buffer = str(kind, counts_[std::string(kind)]++);
      name = "b_" + buffer;
    } while (weights_.at("config").contains(buffer) || taken_.contains(name));
    taken_.insert(name);
    metas_[name] = tensor_meta(value.type);
    weights_["config"][buffer] = {{"path_name", nullptr},
                                  {"is_param", false},
                                  {"use_pickle", false},
                                  {"tensor_meta", metas_[name]}};
    added_.push_back({name, buffer, value.data});
    written_.insert(id);
    names_[id] = name;
    return name;
  }

  [[nodiscard]] bool is_written_constant(ValueId id, bool same) const {
    if (written_.contains(id)) return true;
    return same && !made_constants_.contains(id) && state_.values.contains(names_.at(id));
  }

  void name_payloads(const ZipArchive& zip, const std::string& folder) {
    std::size_t number = 0;
    for (const Added& constant : added_) {
      std::string path;
      do {
        path = str("weight_", number++);
      } while (zip.has(folder + path));
      weights_["config"][constant.buffer]["path_name"] = path;
      payloads_.emplace_back(std::move(path), constant.data);
    }
  }

  [[nodiscard]] bool is_unused_payload(const std::string& entry,
                                       const ModelEntries& entries) const {
    for (const auto& [folder, config] :
         {std::pair(entries.weights(), &weights_), std::pair(entries.constants(), &constants_)}) {
      if (!entry.starts_with(folder)) continue;
      const std::string path = entry.substr(folder.size());
      for (const auto& [name, item] : config->at("config").items()) {
        if (item.at("path_name") == path) return false;
      }
      return true;
    }
    return false;
  }

  // ---- The signature

  Status write_outputs() {
    Json& outputs = graph_json().at("outputs");
    Json& specs = document_.at("graph_module").at("signature").at("output_specs");
    if (outputs.size() != specs.size()) return changed();
    std::size_t next = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].contains("as_tensor")) continue;
      if (next == graph_.outputs().size()) return changed();
      ENN_ASSIGN(const std::string name, name_of(graph_.outputs()[next++]));
      outputs[i] = tensor_argument(name);
      for (auto& [kind, spec] : specs[i].items()) {
        Json& argument = spec.at("arg");
        argument = argument.contains("as_tensor") ? tensor_argument(name) : Json{{"name", name}};
      }
      live_.insert(name);
    }
    return {};
  }

  Status write_inputs() {
    Json& inputs = graph_json().at("inputs");
    Json& specs = document_.at("graph_module").at("signature").at("input_specs");
    if (inputs.size() != specs.size()) return changed();
    Json kept_inputs = Json::array();
    Json kept_specs = Json::array();
    std::size_t place = 0;  // of new buffers: after the last parameter or buffer
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string kind = specs[i].begin().key();
      const std::string key = kind + "_name";
      const bool constant = kind == "parameter" || kind == "buffer" || kind == "tensor_constant";
      if (constant) {
        const std::string name = inputs[i].at("as_tensor").at("name").get<std::string>();
        if (read_before_.contains(name) && !live_.contains(name)) {
          const std::string source = specs[i].at(kind).at(key).get<std::string>();
          for (Json* config : {&weights_, &constants_}) config->at("config").erase(source);
          continue;
        }
      }
      for_each_tensor(inputs[i], [&](std::string& name) { live_.insert(name); });
      kept_inputs.push_back(std::move(inputs[i]));
      kept_specs.push_back(std::move(specs[i]));
      if (kind == "parameter" || kind == "buffer") place = kept_inputs.size();
    }
    for (const Added& item : added_) {
      const auto at = static_cast<std::ptrdiff_t>(place++);
      kept_inputs.insert(kept_inputs.begin() + at, tensor_argument(item.name));
      kept_specs.insert(kept_specs.begin() + at, Json{{"buffer",
                                                       {{"arg", {{"name", item.name}}},
                                                        {"buffer_name", item.buffer},
                                                        {"persistent", true}}}});
      live_.insert(item.name);
    }
    inputs = std::move(kept_inputs);
    specs = std::move(kept_specs);
    return {};
  }

  struct Added {
    std::string name;    // in the graph
    std::string buffer;  // in the state dict
    ConstantData data;
  };

  const ExportedProgram::State& state_;
  const Graph& base_;
  const Graph& graph_;
  Json document_;
  Json weights_;
  Json constants_;
  Json metas_;      // of all tensors
  Json old_nodes_;  // null where a node was written
  Json nodes_;
  std::unordered_map<ValueId, std::string> names_;
  std::unordered_set<std::string> taken_;
  std::unordered_set<std::string> read_before_;
  std::unordered_set<std::string> live_;
  std::unordered_set<ValueId> made_constants_;           // in place of calls
  std::unordered_set<ValueId> written_;                  // constants that were added
  std::unordered_map<ValueId, std::size_t> neighbours_;  // the written node that gives a value
  std::map<std::string, std::size_t> counts_;
  std::vector<Added> added_;
  std::vector<std::pair<std::string, ConstantData>> payloads_;
};

}  // namespace

Result<std::vector<std::byte>> write_program(const ExportedProgram::State& state) {
  try {
    return ProgramWriter(state).write();
  } catch (const Json::exception&) {
    // The reader looked only at what the graph needs.
    return error(Code::InvalidArgument, "the archive's JSON is not an exported program");
  }
}

}  // namespace enn
