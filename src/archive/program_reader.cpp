#include "archive/program_reader.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "archive/functionalize.hpp"
#include "archive/module_stack.hpp"
#include "archive/payloads.hpp"
#include "archive/source_line.hpp"
#include "archive/zip.hpp"
#include "ops/decompositions/decompositions.hpp"
#include "ops/in_place.hpp"

namespace enn {
namespace {

using json::Element;

// Constants take at most as much memory as this many archives, and this much more.
constexpr std::uint64_t kConstantsPerArchive = 4;
constexpr std::uint64_t kConstantAllowance = std::uint64_t{64} << 20U;

class ProgramReader {
 public:
  // With `known`, constants are taken from it and composites are decomposed.
  ProgramReader(const ZipArchive& zip, ExportedProgram::State& state,
                const ExportedProgram::State* known)
      : zip_(zip),
        state_(state),
        known_(known),
        budget_(kConstantsPerArchive * state.archive->bytes().size() + kConstantAllowance) {}

  Status read() {
    ENN_ASSIGN(const ModelEntries entries, ModelEntries::find(zip_));
    ENN_ASSIGN(const std::unique_ptr<Document> model, read_model(entries.model()));
    ENN_ASSIGN(symbols_, Symbols::read(model->root, state_.options));
    ENN_ASSIGN(Payloads weights,
               Payloads::open(zip_, symbols_, entries.weights(), entries.weights_config()));
    ENN_ASSIGN(Payloads constants,
               Payloads::open(zip_, symbols_, entries.constants(), entries.constants_config()));
    ENN_ASSIGN(const Element module, json::member(model->root, "graph_module"));
    ENN_ASSIGN(const Element graph, json::member(module, "graph"));
    ENN_ASSIGN(const Element signature, json::member(module, "signature"));
    ENN_TRY(read_metas(graph));
    ENN_TRY(add_leaves(graph, signature, weights, constants));
    ENN_TRY(add_calls(graph));
    ENN_TRY(set_outputs(graph));
    ENN_TRY(check_writes_in_place(graph_));
    ENN_TRY(read_trees(module, signature));
    return verify(graph_);
  }

 private:
  // The model's document, with functions in place of writes that would be lost.
  Result<std::unique_ptr<Document>> read_model(const std::string& entry) {
    if (known_ == nullptr) {
      ENN_ASSIGN(auto own, read_document(zip_, entry));
      ENN_TRY(check_version(own->root));
      ENN_ASSIGN(const bool writes, has_writes(own->root));
      if (!writes) return own;
      ENN_ASSIGN(const auto bytes, zip_.read(entry));
      ENN_ASSIGN(auto functional,
                 functionalize({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
      if (!functional) return own;
      state_.document = std::make_shared<const std::string>(std::move(*functional));
    } else {
      state_.document = known_->document;
    }
    if (state_.document == nullptr) return read_document(zip_, entry);
    return parse_document(*state_.document, entry);
  }

  // Whether a call of the graph writes into its operand.
  static Result<bool> has_writes(const Element& model) {
    ENN_ASSIGN(const Element module, json::member(model, "graph_module"));
    ENN_ASSIGN(const Element graph, json::member(module, "graph"));
    ENN_ASSIGN(const Element nodes_json, json::member(graph, "nodes"));
    ENN_ASSIGN(const auto nodes, json::array(nodes_json, "nodes"));
    return std::any_of(nodes.begin(), nodes.end(), [](const Element& node) {
      std::string_view target;
      return node.at_key("target").get(target) == simdjson::SUCCESS && writes_in_place(target);
    });
  }

  static Status check_version(const Element& model) {
    ENN_ASSIGN(const Element version, json::member(model, "schema_version"));
    ENN_ASSIGN(const Element major_json, json::member(version, "major"));
    ENN_ASSIGN(const std::int64_t major, json::integer(major_json, "major"));
    if (major != 8) {
      return error(Code::Unsupported, "the archive has version ", major,
                   " of torch.export's schema; version 8 (torch 2.9 to 2.14) is read");
    }
    return {};
  }

  Status read_metas(const Element& graph) {
    ENN_ASSIGN(const Element values, json::member(graph, "tensor_values"));
    ENN_ASSIGN(const auto members, json::object(values, "tensor_values"));
    for (const auto& [name, meta] : members) {
      if (!metas_.emplace(name, meta).second) {
        return error(Code::InvalidArgument, "the archive gives the type of '", printable_text(name),
                     "' twice");
      }
    }
    return {};
  }

  Result<TensorType> type_of(const std::string& name) const {
    const auto found = metas_.find(name);
    if (found == metas_.end()) {
      return error(Code::InvalidArgument, "the archive says nothing of the type of '", name, "'");
    }
    ENN_ASSIGN(TensorMeta meta, read_tensor_meta(found->second, name, symbols_));
    return std::move(meta.type);
  }

  Status define(const std::string& name, ValueId value) {
    if (!state_.values.emplace(name, value).second) {
      return error(Code::InvalidArgument, "the archive defines '", name, "' twice");
    }
    return {};
  }

  Status add_leaves(const Element& graph, const Element& signature, Payloads& weights,
                    Payloads& constants) {
    ENN_TRY(find_mutations(signature));
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
      ENN_ASSIGN(const Element argument, json::member(spec.second, "arg"));
      ENN_ASSIGN(std::string value, read_member_name(argument));
      if (spec.first == "buffer" && mutated_buffers_.contains(name)) buffers_.emplace(value, name);
      sources.emplace(std::move(value), name);
    }
    ENN_ASSIGN(const Element leaves_json, json::member(graph, "inputs"));
    ENN_ASSIGN(const auto leaves, json::array(leaves_json, "inputs"));
    for (const Element leaf : leaves) {
      ENN_ASSIGN(const auto argument, json::only_member(leaf, "inputs"));
      if (argument.first != "as_tensor") continue;
      ENN_ASSIGN(const std::string name, read_member_name(argument.second));
      const auto source = sources.find(name);
      if (source == sources.end()) {
        ENN_ASSIGN(TensorType type, type_of(name));
        state_.inputs.push_back({name, type});
        ENN_TRY(add_input(name, std::move(type), mutated_inputs_, name, nullptr));
        continue;
      }
      state_.qualified_names.emplace(name, source->second);
      if (buffers_.contains(name)) {
        ENN_TRY(add_buffer(name, source->second, weights, constants));
        continue;
      }
      if (known_ != nullptr) {
        const auto same = known_->values.find(name);
        if (same == known_->values.end()) return Status(Code::Internal, "the archive changed");
        const Value& constant = known_->graph.value(same->second);
        ENN_TRY(define(name, graph_.add_constant(name, constant.type, constant.data)));
        continue;
      }
      ENN_ASSIGN(auto constant, read_payload(source->second, weights, constants));
      ENN_TRY(define(
          name, graph_.add_constant(name, std::move(constant.first), std::move(constant.second))));
    }
    return {};
  }

  Result<std::pair<TensorType, ConstantData>> read_payload(std::string_view name, Payloads& weights,
                                                           Payloads& constants) {
    Payloads& owner = weights.has(name) ? weights : constants;
    if (owner.has(name)) return owner.read(name, budget_);
    return error(Code::InvalidArgument, "the archive has no bytes for '", printable_text(name),
                 "'");
  }

  // Which buffers and inputs the signature says are changed, by which output.
  Status find_mutations(const Element& signature) {
    ENN_ASSIGN(const Element outputs_json, json::member(signature, "output_specs"));
    ENN_ASSIGN(const auto outputs, json::array(outputs_json, "output_specs"));
    std::size_t index = 0;
    for (const Element output : outputs) {
      ENN_ASSIGN(const auto spec, json::only_member(output, "output_specs"));
      const bool buffer = spec.first == "buffer_mutation";
      if (buffer || spec.first == "user_input_mutation") {
        const std::string_view key = buffer ? "buffer_name" : "user_input_name";
        ENN_ASSIGN(const Element name_json, json::member(spec.second, key));
        ENN_ASSIGN(const std::string_view name, json::text(name_json, key));
        if (!(buffer ? mutated_buffers_ : mutated_inputs_).emplace(name, index).second) {
          return error(Code::InvalidArgument, "the archive changes '", printable_text(name),
                       "' twice");
        }
        mutation_outputs_.insert(index);
      }
      ++index;
    }
    return {};
  }

  // A buffer that the program changes is an input of the graph.
  Status add_buffer(const std::string& name, std::string_view buffer, Payloads& weights,
                    Payloads& constants) {
    ENN_ASSIGN(TensorType type, type_of(name));
    if (known_ != nullptr) {
      const auto same = std::ranges::find(known_->mutations, buffer, &Mutation::name);
      if (same == known_->mutations.end()) return Status(Code::Internal, "the archive changed");
      return add_input(name, std::move(type), mutated_buffers_, buffer, same->initial);
    }
    ENN_ASSIGN(auto initial, read_payload(buffer, weights, constants));
    if (initial.first != type) {
      return error(Code::InvalidArgument, "the archive has ", to_string(initial.first),
                   " for the buffer '", printable_text(buffer), "', which is ", to_string(type));
    }
    return add_input(name, std::move(type), mutated_buffers_, buffer, std::move(initial.second));
  }

  // `wanted` is the name that `mutated` may have of it.
  Status add_input(const std::string& name, TensorType type,
                   const std::unordered_map<std::string_view, std::size_t>& mutated,
                   std::string_view wanted, ConstantData initial) {
    if (const auto found = mutated.find(wanted); found != mutated.end()) {
      // Which output of the graph it is, set_outputs() finds out.
      state_.mutations.push_back(
          {std::string(wanted), graph_.inputs().size(), found->second, std::move(initial)});
    }
    return define(name, graph_.add_input(name, std::move(type)));
  }

  Status add_calls(const Element& graph) {
    const ArgumentReader arguments(state_.values, symbols_);
    ENN_ASSIGN(const Element nodes_json, json::member(graph, "nodes"));
    ENN_ASSIGN(const auto nodes, json::array(nodes_json, "nodes"));
    for (const Element node : nodes) {
      const auto first = static_cast<NodeId>(graph_.node_count());
      ENN_TRY(add_call(node, arguments));
      state_.calls.push_back({first, static_cast<NodeId>(graph_.node_count())});
    }
    return {};
  }

  Status add_call(const Element& node, const ArgumentReader& arguments) {
    ENN_ASSIGN(const std::vector<std::string> results, read_result_names(node));
    if (results.empty()) return {};
    ENN_ASSIGN(std::string target, read_target(node));
    Call call{std::move(target), results[0], {}, {}, {}};
    if (Element name; node.at_key("name").get(name) == simdjson::SUCCESS && name.is_string()) {
      ENN_ASSIGN(call.name, read_identifier(name));
    }
    for (const std::string& result : results) {
      ENN_ASSIGN(TensorType type, type_of(result));
      call.results.push_back(std::move(type));
    }
    ENN_TRY(arguments.read(node, call));
    const auto metadata = node.at_key("metadata");
    std::string_view text;
    if (metadata.at_key("stack_trace").get(text) == simdjson::SUCCESS) {
      call.origin.source = source_line(text);
    }
    if (metadata.at_key("nn_module_stack").get(text) == simdjson::SUCCESS) {
      call.origin.modules = module_calls(text);
    }
    if (is_composite(call.target)) {
      state_.has_composites = true;
      // A composite with several results is no node of the graph.
      if (known_ != nullptr || results.size() > 1) {
        ENN_ASSIGN(auto decomposition, decompose(graph_, call));
        if (decomposition) return add_steps(results, std::move(*decomposition));
      }
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

  // The calls in place of one whose results have the names `results`.
  Status add_steps(const std::vector<std::string>& results, Decomposition decomposition) {
    std::vector<MadeCall>& made = state_.made[state_.calls.size()];
    const auto resolve = [&](TensorArgument& tensor) {
      if (tensor.id >= kMadeTensor && tensor.id != kNone)
        tensor.id = made[tensor.id - kMadeTensor].value;
    };
    for (DecompositionStep& step : decomposition.steps) {
      MadeCall item{unique_name(step.call.name), std::move(step.call), {}, kNone};
      item.call.name = item.name;
      item.nodes.first = static_cast<NodeId>(graph_.node_count());
      if (step.data != nullptr) {
        ENN_TRY(charge(item.name, step.data->size()));
        item.value =
            graph_.add_constant(item.name, item.call.results.front(), std::move(step.data));
      } else {
        for (auto& [name, argument] : item.call.arguments) {
          if (auto* tensor = std::get_if<TensorArgument>(&argument)) resolve(*tensor);
          if (auto* list = std::get_if<std::vector<TensorArgument>>(&argument))
            std::ranges::for_each(*list, resolve);
        }
        ENN_ASSIGN(const NodeId id, import_call(graph_, item.call));
        item.value = graph_.node(id).outputs[0];
      }
      item.nodes.last = static_cast<NodeId>(graph_.node_count());
      made.push_back(std::move(item));
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      TensorArgument result{decomposition.results[i]};
      resolve(result);
      ENN_TRY(define(results[i], result.id));
    }
    return {};
  }

  // Constants that calls stand for take from the memory that constants may take.
  Status charge(const std::string& name, std::size_t bytes) {
    if (bytes > budget_) {
      return error(Code::ResourceExhausted, "the constant '", name, "' of ", bytes,
                   " bytes takes more memory than an archive of this size may");
    }
    budget_ -= bytes;
    return {};
  }

  // As FX names: with the first number that makes it unique.
  std::string unique_name(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; metas_.contains(name) || !made_names_.insert(name).second; ++i) {
      name = str(wanted, '_', i);
    }
    return name;
  }

  Status set_outputs(const Element& graph) {
    const ArgumentReader arguments(state_.values, symbols_);
    ENN_ASSIGN(const Element outputs_json, json::member(graph, "outputs"));
    ENN_ASSIGN(const auto outputs, json::array(outputs_json, "outputs"));
    std::vector<ValueId> ids;
    std::unordered_map<std::size_t, std::size_t> places;  // of mutations: in the graph's outputs
    std::size_t index = 0;
    for (const Element output : outputs) {
      const std::size_t place = index++;
      ENN_ASSIGN(const auto argument, json::only_member(output, "outputs"));
      if (argument.first != "as_tensor") continue;
      ENN_ASSIGN(const TensorArgument value, arguments.tensor(argument.second));
      ENN_ASSIGN(std::string name, read_member_name(argument.second));
      if (mutation_outputs_.contains(place)) {
        places.emplace(place, ids.size());
      } else {
        state_.outputs.push_back({std::move(name), graph_.value(value.id).type});
      }
      ids.push_back(value.id);
    }
    graph_.set_outputs(std::move(ids));
    if (state_.mutations.size() != mutation_outputs_.size()) {
      return error(Code::InvalidArgument,
                   "the archive changes a buffer or an input that is none of its inputs");
    }
    for (Mutation& mutation : state_.mutations) {
      const auto found = places.find(mutation.after);
      const TensorType& before = graph_.value(graph_.inputs()[mutation.before]).type;
      if (found == places.end() || graph_.value(graph_.outputs()[found->second]).type != before) {
        return error(Code::InvalidArgument, "the archive gives '", printable_text(mutation.name),
                     "' a new value that is not ", to_string(before));
      }
      mutation.after = found->second;
    }
    return {};
  }

  // A leaf of the caller's trees, nullopt for what is no leaf of them; its kind may be unknown.
  struct Leaf {
    bool known = true;
    std::optional<Scalar> value;
  };
  Result<std::optional<Leaf>> read_leaf(const Element& spec) const {
    ENN_ASSIGN(const auto kind, json::only_member(spec, "specs"));
    Element argument;
    if (kind.first == "user_input" || kind.first == "user_output") {
      ENN_ASSIGN(argument, json::member(kind.second, "arg"));
    } else if (kind.first == "constant_input") {
      ENN_ASSIGN(argument, json::member(kind.second, "value"));
    } else {
      return std::optional<Leaf>();
    }
    ENN_ASSIGN(const auto item, json::only_member(argument, "arg"));
    const auto& [type, value] = item;
    std::optional<Leaf> leaf(std::in_place);
    if (type == "as_none") {
      leaf->value.emplace();
    } else if (type == "as_bool") {
      ENN_ASSIGN(leaf->value, json::boolean(value, type));
    } else if (type == "as_int") {
      ENN_ASSIGN(leaf->value, json::integer(value, type));
    } else if (type == "as_sym_int") {
      ENN_ASSIGN(leaf->value, symbols_.argument(value));
    } else if (type == "as_float") {
      ENN_ASSIGN(leaf->value, json::as<double>(value, type, "number"));
    } else if (type == "as_string") {
      ENN_ASSIGN(const std::string_view text, json::text(value, type));
      leaf->value = std::string(text);
    } else {
      leaf->known = type == "as_tensor";
    }
    return leaf;
  }

  Result<std::optional<Pytree>> read_tree(const Element& specs_json, const Element& spec_json,
                                          std::size_t tensors) const {
    ENN_ASSIGN(const auto specs, json::array(specs_json, "specs"));
    ENN_ASSIGN(const std::string_view spec, json::text(spec_json, "spec"));
    Pytree tree{{}, std::string(spec)};
    for (const Element item : specs) {
      ENN_ASSIGN(const auto leaf, read_leaf(item));
      if (!leaf) continue;
      if (!leaf->known) return std::optional<Pytree>();
      tree.leaves.push_back(leaf->value);
    }
    const auto count = std::ranges::count_if(
        tree.leaves, [](const std::optional<Scalar>& leaf) { return !leaf.has_value(); });
    if (static_cast<std::size_t>(count) != tensors) return std::optional<Pytree>();
    return std::optional(std::move(tree));
  }

  Status read_trees(const Element& module, const Element& signature) {
    ENN_ASSIGN(const Element calls_json, json::member(module, "module_call_graph"));
    ENN_ASSIGN(const auto calls, json::array(calls_json, "module_call_graph"));
    for (const Element call : calls) {
      ENN_ASSIGN(const Element name_json, json::member(call, "fqn"));
      ENN_ASSIGN(const std::string_view name, json::text(name_json, "fqn"));
      if (!name.empty()) continue;
      ENN_ASSIGN(const Element specs, json::member(call, "signature"));
      if (specs.is_null()) return {};
      ENN_ASSIGN(const Element in_spec, json::member(specs, "in_spec"));
      ENN_ASSIGN(const Element out_spec, json::member(specs, "out_spec"));
      ENN_ASSIGN(const Element inputs, json::member(signature, "input_specs"));
      ENN_ASSIGN(const Element outputs, json::member(signature, "output_specs"));
      ENN_ASSIGN(state_.input_tree, read_tree(inputs, in_spec, state_.inputs.size()));
      ENN_ASSIGN(state_.output_tree, read_tree(outputs, out_spec, state_.outputs.size()));
      return {};
    }
    return {};
  }

  const ZipArchive& zip_;
  ExportedProgram::State& state_;
  const ExportedProgram::State* known_;
  Graph& graph_ = state_.graph;
  std::uint64_t budget_;
  Symbols symbols_;
  std::unordered_map<std::string_view, Element> metas_;
  std::unordered_set<std::string> made_names_;
  // By the names of the module and of the graph: the places in the signature's list of outputs.
  std::unordered_map<std::string_view, std::size_t> mutated_buffers_;
  std::unordered_map<std::string_view, std::size_t> mutated_inputs_;
  std::unordered_set<std::size_t> mutation_outputs_;
  std::unordered_map<std::string, std::string_view> buffers_;  // that are changed
};

// Import functions name what the archive names; only a clean sentence leaves.
std::string clean(std::string message) {
  std::replace_if(message.begin(), message.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return message;
}

Result<std::shared_ptr<const ExportedProgram::State>> read(
    std::shared_ptr<const ArchiveBytes> archive, const ExportOptions& options,
    const ExportedProgram::State* known) {
  ENN_ASSIGN(const ZipArchive zip, ZipArchive::open(archive->bytes()));
  auto state = std::make_shared<ExportedProgram::State>();
  state->archive = std::move(archive);
  state->options = options;
  const Status status = ProgramReader(zip, *state, known).read();
  if (!status.ok()) return Status(status.code(), clean(status.message()));
  return std::shared_ptr<const ExportedProgram::State>(std::move(state));
}

}  // namespace

Result<std::shared_ptr<const ExportedProgram::State>> read_program(
    std::shared_ptr<const ArchiveBytes> archive, const ExportOptions& options) {
  return read(std::move(archive), options, nullptr);
}

Result<std::shared_ptr<const ExportedProgram::State>> read_decomposed(
    const ExportedProgram::State& program) {
  return read(program.archive, program.options, &program);
}

}  // namespace enn
