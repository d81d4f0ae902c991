#include "archive/functionalize.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "archive/program_json.hpp"
#include "base/printable.hpp"
#include "ops/in_place.hpp"

namespace enn {
namespace {

constexpr std::string_view kTorch = "torch.ops.";
constexpr std::string_view kAten = "torch.ops.aten.";

// How a new value of a view becomes a new value of the tensor that it is a view of.
enum class Undo : std::uint8_t {
  Same,       // it is the tensor
  Reshape,    // to the tensor's sizes; a reshape of what is not dense may be a copy instead
  Permute,    // by the inverse order
  Transpose,  // once more
  Select,     // into its place
  Slice,
  Narrow,
  Parts,    // a list of views side by side along a dimension
  Unknown,  // cannot be written back
};

struct ViewRow {
  std::string_view name;
  Undo undo;
};
constexpr auto kViews = std::to_array<ViewRow>({
    {"alias", Undo::Same},
    {"detach", Undo::Same},
    {"dropout", Undo::Same},
    {"feature_dropout", Undo::Same},
    {"alpha_dropout", Undo::Same},
    {"feature_alpha_dropout", Undo::Same},
    {"positive", Undo::Same},
    {"conj", Undo::Same},
    {"conj_physical", Undo::Same},
    {"contiguous", Undo::Same},
    {"to", Undo::Same},
    {"type_as", Undo::Same},
    {"resolve_conj", Undo::Same},
    {"resolve_neg", Undo::Same},
    {"view", Undo::Reshape},
    {"reshape", Undo::Reshape},
    {"view_as", Undo::Reshape},
    {"reshape_as", Undo::Reshape},
    {"flatten", Undo::Reshape},
    {"unflatten", Undo::Reshape},
    {"ravel", Undo::Reshape},
    {"squeeze", Undo::Reshape},
    {"unsqueeze", Undo::Reshape},
    {"atleast_1d", Undo::Reshape},
    {"atleast_2d", Undo::Reshape},
    {"atleast_3d", Undo::Reshape},
    {"permute", Undo::Permute},
    {"transpose", Undo::Transpose},
    {"swapaxes", Undo::Transpose},
    {"swapdims", Undo::Transpose},
    {"t", Undo::Transpose},
    {"select", Undo::Select},
    {"slice", Undo::Slice},
    {"narrow", Undo::Narrow},
    {"split", Undo::Parts},
    {"split_with_sizes", Undo::Parts},
    {"chunk", Undo::Parts},
    {"tensor_split", Undo::Parts},
    {"unbind", Undo::Parts},
    {"expand", Undo::Unknown},
    {"expand_as", Undo::Unknown},
    {"broadcast_to", Undo::Unknown},
    {"as_strided", Undo::Unknown},
    {"diagonal", Undo::Unknown},
    {"linalg_diagonal", Undo::Unknown},
    {"meshgrid", Undo::Unknown},
    {"broadcast_tensors", Undo::Unknown},
    {"unfold", Undo::Unknown},
    {"movedim", Undo::Unknown},
    {"moveaxis", Undo::Unknown},
    {"numpy_T", Undo::Unknown},
    {"mT", Undo::Unknown},
    {"matrix_H", Undo::Unknown},
    {"mH", Undo::Unknown},
    {"adjoint", Undo::Unknown},
    {"hsplit", Undo::Unknown},
    {"vsplit", Undo::Unknown},
    {"dsplit", Undo::Unknown},
    {"real", Undo::Unknown},
    {"imag", Undo::Unknown},
    {"view_as_real", Undo::Unknown},
    {"view_as_complex", Undo::Unknown},
});

// "add" of "torch.ops.aten.add.Tensor"; empty for what is not ATen's.
std::string_view aten_name(std::string_view target) {
  if (!target.starts_with(kAten)) return {};
  target.remove_prefix(kAten.size());
  return target.substr(0, target.rfind('.'));
}

const ViewRow* view_row(std::string_view target) {
  const auto* const row = std::ranges::find(kViews, aten_name(target), &ViewRow::name);
  return row == kViews.end() || row->name.empty() ? nullptr : row;
}

// "torch.ops.aten.add.Tensor" of "torch.ops.aten.add_.Tensor".
std::string functional(std::string target) {
  if (target == "torch.ops.aten.floor_divide_.Tensor") {
    return "torch.ops.aten.floor_divide.default";
  }
  // a &= b
  if (const std::size_t at = target.find(".__i"); at != std::string::npos)
    return target.erase(at + std::string_view(".__").size(), 1);
  return target.erase(target.rfind('.') - 1, 1);
}

// The argument of that name; null when the call leaves it out.
const Json* argument_of(const Json& node, std::string_view name) {
  for (const Json& item : node.at("inputs")) {
    if (item.at("name") == name) return &item.at("arg");
  }
  return nullptr;
}

std::optional<std::int64_t> integer_of(const Json& node, std::string_view name,
                                       std::optional<std::int64_t> otherwise = std::nullopt) {
  const Json* found = argument_of(node, name);
  if (found == nullptr) return otherwise;
  if (!found->contains("as_int")) return std::nullopt;
  return found->at("as_int").get<std::int64_t>();
}

// Numbers of a tensor's "sizes" or "strides"; nullopt where one is an expression.
std::optional<std::vector<std::int64_t>> numbers(const Json& meta, const char* key) {
  std::vector<std::int64_t> out;
  for (const Json& size : meta.at(key)) {
    if (!size.contains("as_int")) return std::nullopt;
    out.push_back(size.at("as_int").get<std::int64_t>());
  }
  return out;
}

bool is_dense(const Json& meta) {
  const auto sizes = numbers(meta, "sizes");
  const auto strides = numbers(meta, "strides");
  if (!sizes || !strides || sizes->size() != strides->size()) return false;
  std::int64_t dense = 1;
  for (std::size_t d = sizes->size(); d-- > 0;) {
    if ((*sizes)[d] > 1 && (*strides)[d] != dense) return false;
    if (__builtin_mul_overflow(dense, std::max<std::int64_t>((*sizes)[d], 1), &dense)) return false;
  }
  return true;
}

class Functionalizer {
 public:
  explicit Functionalizer(Json& document)
      : module_(document.at("graph_module")),
        graph_(module_.at("graph")),
        signature_(module_.at("signature")),
        metas_(graph_.at("tensor_values")) {}

  // Whether the document was changed in a way that matters.
  Result<bool> run() {
    for (const char* values : {"tensor_values", "sym_int_values", "sym_bool_values",
                               "sym_float_values", "custom_obj_values"}) {
      if (!graph_.contains(values)) continue;
      for (const auto& [name, value] : graph_.at(values).items()) taken_.insert(name);
    }
    add_leaves();
    Json old = std::move(graph_.at("nodes"));
    room_ = kMadePerCall * old.size() + kMadeAllowance;
    nodes_ = Json::array();
    for (Json& node : old) ENN_TRY(rewrite(std::move(node)));
    for (Json& output : graph_.at("outputs")) ENN_TRY(resolve_tensors(output));
    for (Json& spec : signature_.at("output_specs")) {
      for (auto& [kind, value] : spec.items()) ENN_TRY(resolve_spec(value.at("arg")));
    }
    ENN_TRY(add_mutations());
    graph_["nodes"] = std::move(nodes_);
    return needed_;
  }

 private:
  // A stranger's views of views and writes between them would be made again without end.
  static constexpr std::size_t kMadePerCall = 16;
  static constexpr std::size_t kMadeAllowance = 1000;

  enum class Kind : std::uint8_t { Local, Buffer, Input, Constant };

  struct Memory {
    std::string owner;    // the tensor that the others are views of
    std::string current;  // the value that it has now
    std::uint64_t version = 0;
    Kind kind = Kind::Local;
    std::string target;  // of a buffer: its name in the module
  };

  // One view on the way from a memory's owner to a tensor.
  struct View {
    Json call;
    Undo undo = Undo::Unknown;
    std::size_t part = 0;  // of the call's results
    std::string base;      // what it is a view of, whose type it had
  };

  struct Tensor {
    std::size_t memory = 0;
    std::vector<std::size_t> views;  // of views_, from the owner on
    std::string value;               // what holds its elements ...
    std::uint64_t version = 0;       // ... as long as the memory has this version
  };

  void add_leaves() {
    for (const Json& item : signature_.at("input_specs")) {
      if (!item.is_object() || item.size() != 1) continue;
      const std::string kind = item.begin().key();
      const Json& spec = item.begin().value();
      const Json* argument = spec.contains("arg") ? &spec.at("arg") : nullptr;
      if (argument == nullptr) continue;
      if (argument->contains("as_tensor")) argument = &argument->at("as_tensor");
      if (!argument->contains("name")) continue;
      const std::string name = argument->at("name").get<std::string>();
      Memory memory{name, name, 0, Kind::Constant, name};
      if (kind == "user_input") memory.kind = Kind::Input;
      if (kind == "buffer") {
        memory.kind = Kind::Buffer;
        memory.target = spec.at("buffer_name").get<std::string>();
      }
      add_tensor(name, std::move(memory));
    }
  }

  void add_tensor(const std::string& name, Memory memory) {
    tensors_[name] = {memories_.size(), {}, name, 0};
    memories_.push_back(std::move(memory));
  }

  Status rewrite(Json node) {
    std::string target = node.at("target").get<std::string>();
    const bool writes = target.starts_with(kTorch) && writes_in_place(std::string_view(target));
    // What changes only how a tensor is seen: aten.squeeze_.dim.
    const bool view_in_place = writes && view_row(functional(target)) != nullptr;
    if (view_in_place) {
      target = functional(target);
      node["target"] = target;
    }
    // The operand that is written or seen, before it is renamed.
    std::string operand;
    if (!node.at("inputs").empty()) {
      const Json& first = node.at("inputs").front().at("arg");
      if (first.contains("as_tensor")) {
        operand = first.at("as_tensor").at("name").get<std::string>();
      }
    }
    for (Json& item : node.at("inputs")) ENN_TRY(resolve_tensors(item.at("arg")));
    if (writes && !view_in_place && tensors_.contains(operand)) {
      return write(std::move(node), operand);
    }
    const ViewRow* row = view_row(target);
    const bool view = row != nullptr && tensors_.contains(operand) && is_alias(node, operand);
    std::size_t part = 0;
    Json outputs = node.at("outputs");  // their names are not changed
    for_each_tensor(outputs, [&](std::string& name) {
      if (!view) {
        add_tensor(name, {name, name, 0, Kind::Local, {}});
        return;
      }
      Tensor tensor = tensors_.at(operand);
      tensor.views.push_back(views_.size());
      tensor.value = name;
      tensor.version = memories_[tensor.memory].version;
      views_.push_back({node, row->undo, part++, operand});
      tensors_[name] = std::move(tensor);
    });
    nodes_.push_back(std::move(node));
    return {};
  }

  // Whether the call of an operator that may give a view gives one: `contiguous` and `to` give
  // their operand where it has the wanted form already.
  bool is_alias(const Json& node, const std::string& operand) const {
    const std::string_view name = aten_name(node.at("target").get_ref<const std::string&>());
    const Json& before = metas_.at(operand);
    if (name == "contiguous") return is_dense(before);
    if (name != "to" && name != "type_as" && name != "dropout") return true;
    const Json* train = argument_of(node, "train");
    if (name == "dropout") return train == nullptr || train->value("as_bool", true) == false;
    const Json* copy = argument_of(node, "copy");
    if (copy != nullptr && copy->value("as_bool", false)) return false;
    const Json& output = node.at("outputs").at(0);
    return output.contains("as_tensor") &&
           metas_.at(output.at("as_tensor").at("name").get<std::string>()).at("dtype") ==
               before.at("dtype");
  }

  Status write(Json node, const std::string& operand) {
    const std::string target = node.at("target").get<std::string>();
    const std::string result =
        node.at("outputs").at(0).at("as_tensor").at("name").get<std::string>();
    std::string value = result;
    if (target == "torch.ops.aten.copy_.default" && is_whole_copy(node, operand)) {
      value = argument_of(node, "src")->at("as_tensor").at("name").get<std::string>();
    } else {
      node["target"] = functional(target);
      nodes_.push_back(node);
    }
    Tensor tensor = tensors_.at(operand);
    Memory& memory = memories_[tensor.memory];
    needed_ = needed_ || memory.kind != Kind::Local || value != result;
    tensor.value = value;
    tensor.version = memory.version + 1;
    // Back through the views to the tensor that owns the memory.
    for (std::size_t depth = tensor.views.size(); depth-- > 0;) {
      const View& view = views_[tensor.views[depth]];
      ENN_ASSIGN(const std::string base, replay(tensor, depth));
      auto undone = undo(view, base, value, node);
      if (!undone.ok()) return undone.status();
      if (!undone.value()) return cannot_follow(node, target, operand);
      value = std::move(*undone.value());
    }
    if (memory.kind == Kind::Constant) {
      return error(Code::Unsupported, "node '", printable_text(result), "' (",
                   printable_text(target.substr(kTorch.size())), ") writes into '",
                   printable_text(memory.owner),
                   "', a parameter or constant; only a buffer (register_buffer) keeps what is "
                   "written into it");
    }
    memory.current = std::move(value);
    ++memory.version;
    tensors_[operand] = tensor;
    tensors_[result] = std::move(tensor);
    return {};
  }

  static Status cannot_follow(const Json& node, const std::string& target,
                              const std::string& operand) {
    return error(Code::Unsupported, "node '", printable_text(node.value("name", operand)), "' (",
                 printable_text(target.substr(kTorch.size())), ") writes into '",
                 printable_text(operand),
                 "', a view that cannot be followed to its tensor; make the program functional "
                 "with exported_program.run_decompositions()");
  }

  // Whether a copy_ has nothing to convert or to repeat, and its source is computed: the elements
  // of an input or a buffer may be written before whoever runs the program stores this one.
  bool is_whole_copy(const Json& node, const std::string& operand) const {
    const Json* source = argument_of(node, "src");
    if (source == nullptr || !source->contains("as_tensor")) return false;
    const auto& name = source->at("as_tensor").at("name").get_ref<const std::string&>();
    const auto known = tensors_.find(name);
    if (known != tensors_.end()) {
      const Memory& memory = memories_[known->second.memory];
      if (memory.kind != Kind::Local && memory.owner == name) return false;
    }
    const Json& from = metas_.at(name);
    const Json& to = metas_.at(operand);
    return from.at("dtype") == to.at("dtype") && from.at("sizes") == to.at("sizes");
  }

  // ---- Reading

  Status resolve_tensors(Json& argument) {
    Status status;
    for_each_tensor(argument, [&](std::string& name) {
      Result<std::string> value = resolve(name);
      if (!value.ok()) {
        if (status.ok()) status = value.status();
      } else {
        name = std::move(value).value();
      }
    });
    return status;
  }

  // The argument of an output's spec, which is that of the output.
  Status resolve_spec(Json& argument) {
    if (!argument.contains("name")) return resolve_tensors(argument);
    ENN_ASSIGN(std::string value, resolve(name_in(argument)));
    name_in(argument) = std::move(value);
    return {};
  }

  // What holds a tensor's elements now.
  Result<std::string> resolve(const std::string& name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return name;
    Tensor& tensor = found->second;
    const std::uint64_t version = memories_[tensor.memory].version;
    if (tensor.version == version) return tensor.value;
    needed_ = true;
    ENN_ASSIGN(tensor.value, replay(tensor, tensor.views.size()));
    tensor.version = version;
    return tensor.value;
  }

  // Takes the first `depth` views of a tensor from the memory as it is.
  Result<std::string> replay(const Tensor& tensor, std::size_t depth) {
    std::string value = memories_[tensor.memory].current;
    for (std::size_t i = 0; i < depth; ++i) {
      const View& view = views_[tensor.views[i]];
      if (is_doubtful(view)) {
        return error(Code::Unsupported, "node '", printable_text(view.call.value("name", "")),
                     "' reshapes what is not dense, and what it is a view of is written "
                     "afterwards; make the program functional with "
                     "exported_program.run_decompositions()");
      }
      ENN_TRY(count_made());
      Json call = view.call;
      Json& self = call.at("inputs").front().at("arg");
      self = tensor_argument(value);
      std::size_t part = 0;
      std::string wanted;
      for (Json& output : call.at("outputs")) {
        for_each_tensor(output, [&](std::string& name) {
          const Json meta = metas_.at(name);
          name = unique_name(name);
          metas_[name] = meta;
          if (part++ == view.part) wanted = name;
        });
      }
      call["name"] = call.at("outputs").size() == 1 && call["outputs"].front().contains("as_tensor")
                         ? wanted
                         : unique_name("view");
      nodes_.push_back(std::move(call));
      value = std::move(wanted);
    }
    return value;
  }

  // Whether torch may have copied where it usually gives a view.
  bool is_doubtful(const View& view) const {
    return view.undo == Undo::Reshape && !is_dense(metas_.at(view.base)) &&
           aten_name(view.call.at("target").get_ref<const std::string&>()) != "squeeze" &&
           aten_name(view.call.at("target").get_ref<const std::string&>()) != "unsqueeze";
  }

  // ---- Writing back

  // A call that gives `base` with `value` in the place of the view; nullopt when there is none.
  Result<std::optional<std::string>> undo(const View& view, const std::string& base,
                                          const std::string& value, const Json& writer) {
    const Json& call = view.call;
    Json inputs = Json::array({input("self", tensor_argument(value))});
    std::string target;
    switch (view.undo) {
      case Undo::Same:
        return std::optional(value);
      case Undo::Reshape: {
        const auto sizes = numbers(metas_.at(view.base), "sizes");
        if (!sizes || is_doubtful(view)) return std::optional<std::string>();
        target = "aten.reshape.default";
        inputs.push_back(input("shape", {{"as_ints", *sizes}}));
        break;
      }
      case Undo::Permute: {
        const Json* dims = argument_of(call, "dims");
        const auto rank = static_cast<std::int64_t>(metas_.at(view.base).at("sizes").size());
        if (dims == nullptr || !dims->contains("as_ints")) return std::optional<std::string>();
        std::vector<std::int64_t> inverse(static_cast<std::size_t>(rank), -1);
        std::int64_t place = 0;
        for (const Json& item : dims->at("as_ints")) {
          const std::int64_t dim =
              item.get<std::int64_t>() + (item.get<std::int64_t>() < 0 ? rank : 0);
          if (dim < 0 || dim >= rank) return std::optional<std::string>();
          inverse[static_cast<std::size_t>(dim)] = place++;
        }
        target = "aten.permute.default";
        inputs.push_back(input("dims", {{"as_ints", inverse}}));
        break;
      }
      case Undo::Transpose:
        target = call.at("target").get<std::string>().substr(kTorch.size());
        add_arguments(call, inputs);
        break;
      case Undo::Select:
      case Undo::Slice:
        target = view.undo == Undo::Select ? "aten.select_scatter.default"
                                           : "aten.slice_scatter.default";
        add_scattered(base, value, inputs);
        add_arguments(call, inputs);
        break;
      case Undo::Narrow: {
        const auto dim = integer_of(call, "dim");
        const auto start = integer_of(call, "start");
        const auto length = integer_of(call, "length");
        if (!dim || !start || !length) return std::optional<std::string>();
        target = "aten.slice_scatter.default";
        add_scattered(base, value, inputs);
        add_range(*dim, *start, *start + *length, inputs);
        break;
      }
      case Undo::Parts: {
        const auto dim = integer_of(call, "dim", 0);
        if (!dim) return std::optional<std::string>();
        add_scattered(base, value, inputs);
        const auto part = static_cast<std::int64_t>(view.part);
        if (aten_name(call.at("target").get_ref<const std::string&>()) == "unbind") {
          target = "aten.select_scatter.default";
          inputs.push_back(input("dim", {{"as_int", *dim}}));
          inputs.push_back(input("index", {{"as_int", part}}));
          break;
        }
        const auto range = place_of(view, *dim);
        if (!range) return std::optional<std::string>();
        target = "aten.slice_scatter.default";
        add_range(*dim, range->first, range->second, inputs);
        break;
      }
      case Undo::Unknown:
        return std::optional<std::string>();
    }
    ENN_TRY(count_made());
    const std::string name = unique_name(target.substr(5, target.rfind('.') - 5));
    Json meta = metas_.at(view.base);
    meta["requires_grad"] = false;
    metas_[name] = std::move(meta);
    nodes_.push_back(call_like(&writer, target, std::move(inputs), name));
    return std::optional(name);
  }

  static void add_scattered(const std::string& base, const std::string& value, Json& inputs) {
    inputs = Json::array({input("self", tensor_argument(base)),  //
                          input("src", tensor_argument(value))});
  }

  static void add_range(std::int64_t dim, std::int64_t start, std::int64_t end, Json& inputs) {
    inputs.push_back(input("dim", {{"as_int", dim}}));
    inputs.push_back(input("start", {{"as_int", start}}));
    inputs.push_back(input("end", {{"as_int", end}}));
  }

  // The arguments of a view after the tensor that it sees.
  static void add_arguments(const Json& call, Json& inputs) {
    const Json& all = call.at("inputs");
    for (std::size_t i = 1; i < all.size(); ++i) inputs.push_back(all[i]);
  }

  // Where a part of a split lies along the dimension.
  std::optional<std::pair<std::int64_t, std::int64_t>> place_of(const View& view,
                                                                std::int64_t dim) const {
    std::int64_t start = 0;
    std::size_t part = 0;
    std::optional<std::pair<std::int64_t, std::int64_t>> found;
    bool known = true;
    Json outputs = view.call.at("outputs");
    for_each_tensor(outputs, [&](std::string& name) {
      const auto sizes = numbers(metas_.at(name), "sizes");
      const std::int64_t rank = sizes ? static_cast<std::int64_t>(sizes->size()) : 0;
      const std::int64_t axis = dim < 0 ? dim + rank : dim;
      if (axis < 0 || axis >= rank) {
        known = false;
        return;
      }
      const std::int64_t end = start + (*sizes)[static_cast<std::size_t>(axis)];
      if (part++ == view.part) found = {start, end};
      start = end;
    });
    return known ? found : std::nullopt;
  }

  // ---- The signature

  Status add_mutations() {
    Json outputs = Json::array();
    Json specs = Json::array();
    for (const Kind kind : {Kind::Buffer, Kind::Input}) {
      for (const Memory& memory : memories_) {
        if (memory.kind != kind || memory.version == 0) continue;
        outputs.push_back(tensor_argument(memory.current));
        Json spec{{"arg", {{"name", memory.current}}}};
        spec[kind == Kind::Buffer ? "buffer_name" : "user_input_name"] = memory.target;
        specs.push_back(
            {{kind == Kind::Buffer ? "buffer_mutation" : "user_input_mutation", std::move(spec)}});
      }
    }
    for (const auto& [list, added] :
         {std::pair(&graph_.at("outputs"), &outputs), {&signature_.at("output_specs"), &specs}}) {
      for (Json& item : *list) added->push_back(std::move(item));
      *list = std::move(*added);
    }
    return {};
  }

  // As FX names: with the first number that makes it unique.
  std::string unique_name(const std::string& wanted) {
    std::string name = wanted;
    for (std::size_t& i = counts_[wanted]; !taken_.insert(name).second;) {
      name = str(wanted, '_', ++i);
    }
    return name;
  }

  Status count_made() {
    if (room_-- > 0) return {};
    room_ = 0;
    return error(Code::ResourceExhausted,
                 "the program has so many views of tensors that are written in place that it "
                 "cannot be made functional");
  }

  Json& module_;
  Json& graph_;
  Json& signature_;
  Json& metas_;
  Json nodes_;
  std::vector<Memory> memories_;
  std::vector<View> views_;
  std::unordered_map<std::string, Tensor> tensors_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, std::size_t> counts_;
  std::size_t room_ = 0;
  bool needed_ = false;
};

}  // namespace

Result<std::optional<std::string>> functionalize(std::string_view document) {
  try {
    Json root = Json::parse(document);
    ENN_ASSIGN(const bool needed, Functionalizer(root).run());
    return needed ? std::optional(dump(root)) : std::nullopt;
  } catch (const Json::exception&) {
    return error(Code::InvalidArgument, "the archive's JSON is not an exported program");
  }
}

}  // namespace enn
