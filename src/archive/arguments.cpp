#include "archive/arguments.hpp"

#include <limits>
#include <utility>
#include <variant>

#include "archive/tensor_meta.hpp"
#include "ops/decompositions/decompositions.hpp"

namespace enn {
namespace {

using json::Element;

// A list whose items `item` reads; torch.export writes an empty list as a list of any type.
template <typename T, typename F>
Result<Argument> list_of(const Element& element, const F& item) {
  ENN_ASSIGN(const auto items, json::array(element, "list"));
  std::vector<T> out;
  for (const Element element_of_list : items) {
    ENN_ASSIGN(T value, item(element_of_list));
    out.push_back(std::move(value));
  }
  if (out.empty()) return Argument(std::vector<std::int64_t>());
  return Argument(std::move(out));
}

Result<double> number(const Element& element) {
  if (std::string_view text; element.get(text) == simdjson::SUCCESS) {
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  return json::as<double>(element, "as_float", "number");
}

// Its real and its imaginary part.
Result<Argument> complex_number(const Element& element) {
  ENN_ASSIGN(const Element real_json, json::member(element, "real"));
  ENN_ASSIGN(const Element imag_json, json::member(element, "imag"));
  ENN_ASSIGN(const double real, number(real_json));
  ENN_ASSIGN(const double imag, number(imag_json));
  return Argument(std::vector{real, imag});
}

Result<std::int64_t> integer(const Element& element) { return json::integer(element, "as_int"); }

Result<std::string> device(const Element& element) {
  ENN_ASSIGN(const Element type_json, json::member(element, "type"));
  ENN_ASSIGN(const std::string_view type, json::text(type_json, "device"));
  std::int64_t index = 0;
  if (element.at_key("index").get(index) != simdjson::SUCCESS) return std::string(type);
  return str(type, ":", index);
}

template <typename T>
Result<Argument> whole(Result<T> result) {
  if (!result.ok()) return result.status();
  return Argument(std::move(result).value());
}

Result<Argument> whole(Result<std::string_view> result) {
  if (!result.ok()) return result.status();
  return Argument(std::string(result.value()));
}

// The names of one output: a tensor or a list of tensors; nothing else becomes a value.
Status collect_results(const Element& output, std::vector<std::string>& results) {
  ENN_ASSIGN(const auto argument, json::only_member(output, "outputs"));
  if (argument.first == "as_tensor") {
    ENN_ASSIGN(std::string name, read_member_name(argument.second));
    results.push_back(std::move(name));
  } else if (argument.first == "as_tensors") {
    ENN_ASSIGN(const auto items, json::array(argument.second, "outputs"));
    for (const Element item : items) {
      ENN_ASSIGN(std::string name, read_member_name(item));
      results.push_back(std::move(name));
    }
  }
  return {};
}

}  // namespace

ArgumentReader::ArgumentReader(const NamedValues& values, const Symbols& symbols)
    : values_(values), symbols_(symbols) {
  for (const OverloadInfo& overload : overloads()) known_.insert(overload.target);
  for (const std::string_view target : composites()) known_.insert(target);
}

Status ArgumentReader::read(const Element& node, Call& call) const {
  ENN_ASSIGN(const Element inputs_json, json::member(node, "inputs"));
  ENN_ASSIGN(const auto inputs, json::array(inputs_json, "inputs"));
  const bool known = known_.contains(call.target);
  std::unordered_set<ValueId> operands;
  for (const Element input : inputs) {
    ENN_ASSIGN(const Element value, json::member(input, "arg"));
    if (!known) {
      ENN_TRY(add_operands(value, operands, call));
      continue;
    }
    ENN_ASSIGN(const Element name_json, json::member(input, "name"));
    ENN_ASSIGN(std::string name, read_identifier(name_json));
    auto read = argument(value);
    if (!read.ok()) {
      return error(read.status().code(), "argument '", name, "' of node '", call.name, "' (",
                   call.target, "): ", read.status().message());
    }
    call.arguments.emplace_back(std::move(name), std::move(read).value());
  }
  return {};
}

Status ArgumentReader::add_operands(const Element& value, std::unordered_set<ValueId>& operands,
                                    Call& call) const {
  ENN_ASSIGN(const auto item, json::only_member(value, "arg"));
  const std::string_view kind = item.first;
  if (kind != "as_tensor" && kind != "as_tensors" && kind != "as_optional_tensors" &&
      kind != "as_optional_tensor") {
    return {};
  }
  ENN_ASSIGN(const Argument read, argument(value));
  std::vector<TensorArgument> tensors;
  if (const auto* one = std::get_if<TensorArgument>(&read)) tensors.push_back(*one);
  if (const auto* list = std::get_if<std::vector<TensorArgument>>(&read)) tensors = *list;
  for (const TensorArgument& tensor : tensors) {
    if (tensor.id == kNone || !operands.insert(tensor.id).second) continue;
    call.arguments.emplace_back(str(call.arguments.size()), tensor);
  }
  return {};
}

Result<TensorArgument> ArgumentReader::tensor(const Element& element) const {
  ENN_ASSIGN(const std::string name, read_member_name(element));
  const auto found = values_.find(name);
  if (found == values_.end()) {
    return error(Code::InvalidArgument, "the tensor '", name, "' is not defined before it is used");
  }
  return TensorArgument{found->second};
}

Result<TensorArgument> ArgumentReader::optional_tensor(const Element& element) const {
  ENN_ASSIGN(const auto item, json::only_member(element, "optional tensor"));
  if (item.first == "as_none") return TensorArgument{};
  return tensor(item.second);
}

Result<Argument> ArgumentReader::argument(const Element& element) const {
  ENN_ASSIGN(const auto item, json::only_member(element, "arg"));
  const auto& [kind, value] = item;
  const auto one_tensor = [this](const Element& e) { return tensor(e); };
  const auto maybe_tensor = [this](const Element& e) { return optional_tensor(e); };
  const auto truth = [](const Element& e) -> Result<std::int64_t> {
    ENN_ASSIGN(const bool set, json::boolean(e, "as_bools"));
    return std::int64_t{set ? 1 : 0};
  };
  const auto size = [this](const Element& e) { return symbols_.argument(e); };
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
  if (kind == "as_complex") return complex_number(value);
  if (kind == "as_floats") return list_of<double>(value, number);
  if (kind == "as_bool") return whole(json::boolean(value, "as_bool"));
  if (kind == "as_bools") return list_of<std::int64_t>(value, truth);
  if (kind == "as_string") return whole(json::text(value, "as_string"));
  if (kind == "as_sym_int") return whole(symbols_.argument(value));
  if (kind == "as_sym_ints") return list_of<std::int64_t>(value, size);
  if (kind == "as_scalar_type") {
    ENN_ASSIGN(const DType dtype, scalar_type(value));
    return Argument(std::string(to_string(dtype)));
  }
  if (kind == "as_memory_format") return whole(memory_format_name(value));
  if (kind == "as_layout") return whole(layout_name(value));
  if (kind == "as_device") return whole(device(value));
  return error(Code::Unsupported, "no operator takes a value of the kind '", printable_text(kind),
               "'");
}

Result<std::vector<std::string>> read_result_names(const Element& node) {
  ENN_ASSIGN(const Element outputs_json, json::member(node, "outputs"));
  ENN_ASSIGN(const auto outputs, json::array(outputs_json, "outputs"));
  std::vector<std::string> results;
  for (const Element output : outputs) ENN_TRY(collect_results(output, results));
  return results;
}

Result<std::string> read_target(const Element& node) {
  ENN_ASSIGN(const Element target_json, json::member(node, "target"));
  ENN_ASSIGN(std::string_view target, json::text(target_json, "target"));
  for (const std::string_view prefix : {"torch.ops.higher_order.", "torch.ops."}) {
    if (!target.starts_with(prefix)) continue;
    target.remove_prefix(prefix.size());
    break;
  }
  if (printable_text(target) != target) return json::wrong(target, "operator");
  return std::string(target);
}

}  // namespace enn
