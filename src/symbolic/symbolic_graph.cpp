#include "symbolic/symbolic_graph.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "base/printable.hpp"
#include "symbolic/solve.hpp"

namespace enn {
namespace {

// From numbers and expressions to the graph for one set of sizes.
class Binder {
 public:
  Binder(SymbolValues symbols, std::uint64_t most_bytes)
      : symbols_(std::move(symbols)), most_bytes_(most_bytes) {}

  [[nodiscard]] Result<std::int64_t> integer(const SymbolicInteger& integer) const {
    if (integer.expression.empty()) return std::int64_t{integer.value};
    const auto value = evaluate(integer.expression, symbols_);
    if (value) return *value;
    return error(Code::InvalidProgram, "'", printable_text(integer.expression),
                 "' does not follow from the sizes of the inputs");
  }

  [[nodiscard]] Result<std::vector<std::int64_t>> integers(
      const std::vector<SymbolicInteger>& symbolic) const {
    std::vector<std::int64_t> out;
    for (const SymbolicInteger& item : symbolic) {
      ENN_ASSIGN(out.emplace_back(), integer(item));
    }
    return std::vector<std::int64_t>(std::move(out));
  }

  [[nodiscard]] Result<TensorType> type(const SymbolicType& symbolic, std::string_view what) const {
    ENN_ASSIGN(Shape shape, integers(symbolic.sizes));
    if (!checked_numel(shape)) {
      return error(Code::InvalidArgument, "'", printable_text(what), "' has the impossible shape ",
                   list_str(shape), " for these sizes of the inputs");
    }
    return TensorType{symbolic.dtype, std::move(shape)};
  }

  // What depends on no input is computed when compiling, and kept until then.
  void define(ValueId number, ValueId value, bool is_constant) {
    values_.emplace(number, value);
    if (is_constant) constants_.insert(number);
  }

  [[nodiscard]] Result<ValueId> value(ValueId number) const {
    if (number == kNone) return ValueId{kNone};
    const auto found = values_.find(number);
    if (found != values_.end()) return ValueId{found->second};
    return error(Code::InvalidProgram, "value ", number, " is read before it is computed");
  }

  [[nodiscard]] bool is_constant(const SymbolicCall& call) const {
    const auto constant = [&](TensorArgument tensor) {
      return tensor.id == kNone || constants_.contains(tensor.id);
    };
    return std::ranges::all_of(call.call.arguments, [&](const auto& named) {
      const Argument& argument = named.second;
      if (const auto* tensor = std::get_if<TensorArgument>(&argument)) return constant(*tensor);
      const auto* tensors = std::get_if<std::vector<TensorArgument>>(&argument);
      return tensors == nullptr || std::ranges::all_of(*tensors, constant);
    });
  }

  [[nodiscard]] Status check_memory(const Call& call, bool is_constant) {
    for (const TensorType& type : call.results) {
      const auto bytes = static_cast<std::uint64_t>(numel(type.shape)) * size_of(type.dtype);
      if (is_constant) constant_bytes_ += bytes;
      if (bytes <= most_bytes_ && constant_bytes_ <= most_bytes_) continue;
      return error(Code::ResourceExhausted, "node '", printable_text(call.name), "' gives ",
                   to_string(type), " for these sizes of the inputs; ", most_bytes_,
                   " bytes are allowed");
    }
    return {};
  }

  [[nodiscard]] Result<Call> call(const SymbolicCall& symbolic) const {
    Call out = symbolic.call;
    for (auto& [name, argument] : out.arguments) {
      if (auto* const tensor = std::get_if<TensorArgument>(&argument)) {
        ENN_ASSIGN(tensor->id, value(tensor->id));
      } else if (auto* const tensors = std::get_if<std::vector<TensorArgument>>(&argument)) {
        for (TensorArgument& item : *tensors) {
          ENN_ASSIGN(item.id, value(item.id));
        }
      }
    }
    for (const SymbolicArgument& argument : symbolic.arguments) {
      ENN_ASSIGN(std::vector<std::int64_t> values, integers(argument.integers));
      out.arguments.emplace_back(
          argument.name, argument.is_list ? Argument(std::move(values)) : Argument(values.front()));
    }
    for (const SymbolicType& result : symbolic.results) {
      ENN_ASSIGN(out.results.emplace_back(), type(result, out.name));
    }
    return Call(std::move(out));
  }

 private:
  SymbolValues symbols_;
  std::uint64_t most_bytes_;
  std::uint64_t constant_bytes_ = 0;
  std::map<ValueId, ValueId> values_;
  std::set<ValueId> constants_;
};

// One equation per size with an expression; sizes without are compared.
Status add_equations(const SymbolicGraph::Input& input, const Shape& sizes,
                     std::vector<Equation>& equations) {
  const auto& expected =
      input.is_integer ? std::vector<SymbolicInteger>{input.integer} : input.type.sizes;
  const std::string name = str("input '", printable_text(input.name), "'");
  if (sizes.size() != expected.size()) {
    return error(Code::InvalidArgument, name, " has ", sizes.size(), " dimensions, expected ",
                 expected.size());
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::string what = input.is_integer ? name : str("dimension ", i, " of ", name);
    if (!expected[i].expression.empty()) {
      equations.push_back({expected[i].expression, sizes[i], std::move(what)});
    } else if (sizes[i] != expected[i].value) {
      return error(Code::InvalidArgument, what, " is ", sizes[i], ", expected ", expected[i].value);
    }
  }
  return {};
}

}  // namespace

ValueId SymbolicGraph::add_input(std::string name, SymbolicType type) {
  inputs_.push_back({std::move(name), false, std::move(type), {}, count_});
  return count_++;
}

void SymbolicGraph::add_integer_input(std::string name, SymbolicInteger integer) {
  inputs_.push_back({std::move(name), true, {}, std::move(integer), kNone});
}

ValueId SymbolicGraph::add_constant(std::string name, TensorType type, ConstantData data) {
  constants_.push_back({std::move(name), std::move(type), std::move(data), count_});
  return count_++;
}

ValueId SymbolicGraph::add_call(SymbolicCall call) {
  const ValueId first = count_;
  count_ += static_cast<ValueId>(call.results.size());
  calls_.push_back({std::move(call), first});
  return first;
}

Result<Graph> SymbolicGraph::bind(std::span<const Shape> sizes, std::uint64_t most_bytes) const {
  if (sizes.size() != inputs_.size()) {
    return error(Code::InvalidArgument, "the program takes ", inputs_.size(), " inputs, not ",
                 sizes.size());
  }
  std::vector<Equation> equations;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ENN_TRY(add_equations(inputs_[i], sizes[i], equations));
  }
  ENN_ASSIGN(SymbolValues symbols, solve(equations));
  Binder binder(std::move(symbols), most_bytes);
  Graph graph;
  for (const Input& input : inputs_) {
    if (input.is_integer) continue;
    ENN_ASSIGN(TensorType type, binder.type(input.type, input.name));
    binder.define(input.value, graph.add_input(input.name, std::move(type)), false);
  }
  for (const Constant& constant : constants_) {
    binder.define(constant.value, graph.add_constant(constant.name, constant.type, constant.data),
                  true);
  }
  for (const NumberedCall& numbered : calls_) {
    ENN_ASSIGN(const Call call, binder.call(numbered.call));
    const bool is_constant = binder.is_constant(numbered.call);
    ENN_TRY(binder.check_memory(call, is_constant));
    ENN_ASSIGN(const NodeId node, import_call(graph, call));
    const std::vector<ValueId>& results = graph.node(node).outputs;
    for (std::size_t i = 0; i < std::min(results.size(), call.results.size()); ++i) {
      binder.define(numbered.value + static_cast<ValueId>(i), results[i], is_constant);
    }
  }
  std::vector<ValueId> outputs;
  for (const ValueId output : outputs_) {
    ENN_ASSIGN(outputs.emplace_back(), binder.value(output));
    if (outputs.back() == kNone) {
      return error(Code::InvalidProgram, "an output is never computed");
    }
  }
  graph.set_outputs(std::move(outputs));
  return Graph(std::move(graph));
}

}  // namespace enn
