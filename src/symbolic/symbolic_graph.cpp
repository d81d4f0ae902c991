#include "symbolic/symbolic_graph.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/expression.hpp"
#include "base/printable.hpp"
#include "symbolic/solve.hpp"

namespace enn {
namespace {

// From numbers and expressions to the graph for one set of sizes.
class Binder {
 public:
  explicit Binder(SymbolValues symbols) : symbols_(std::move(symbols)) {}

  [[nodiscard]] Result<std::int64_t> integer(const SymbolicInteger& integer) const {
    if (integer.expression.empty()) return std::int64_t{integer.value};
    const auto value = evaluate_expression(
        integer.expression, [&](std::string_view symbol) -> std::optional<std::int64_t> {
          const auto found = symbols_.find(symbol);
          if (found == symbols_.end()) return std::nullopt;
          return found->second;
        });
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

  void define(ValueId number, ValueId value) { values_.emplace(number, value); }

  [[nodiscard]] Result<ValueId> value(ValueId number) const {
    if (number == kNone) return ValueId{kNone};
    const auto found = values_.find(number);
    if (found != values_.end()) return ValueId{found->second};
    return error(Code::InvalidProgram, "value ", number, " is read before it is computed");
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
  std::map<ValueId, ValueId> values_;
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

Result<Graph> SymbolicGraph::bind(std::span<const Shape> sizes) const {
  if (sizes.size() != inputs_.size()) {
    return error(Code::InvalidArgument, "the program takes ", inputs_.size(), " inputs, not ",
                 sizes.size());
  }
  std::vector<Equation> equations;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ENN_TRY(add_equations(inputs_[i], sizes[i], equations));
  }
  ENN_ASSIGN(SymbolValues symbols, solve(equations));
  Binder binder(std::move(symbols));
  Graph graph;
  for (const Input& input : inputs_) {
    if (input.is_integer) continue;
    ENN_ASSIGN(TensorType type, binder.type(input.type, input.name));
    binder.define(input.value, graph.add_input(input.name, std::move(type)));
  }
  for (const Constant& constant : constants_) {
    binder.define(constant.value, graph.add_constant(constant.name, constant.type, constant.data));
  }
  for (const NumberedCall& numbered : calls_) {
    ENN_ASSIGN(const Call call, binder.call(numbered.call));
    ENN_ASSIGN(const NodeId node, import_call(graph, call));
    const std::vector<ValueId>& results = graph.node(node).outputs;
    for (std::size_t i = 0; i < std::min(results.size(), call.results.size()); ++i) {
      binder.define(numbered.value + static_cast<ValueId>(i), results[i]);
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
