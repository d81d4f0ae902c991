// A partition with sizes that only a run knows: calls whose integers are expressions over symbols.
// For sizes of the inputs it becomes a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "enn/program.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"
#include "ops/import.hpp"

namespace enn {

// `value`, unless `expression` (base/expression.hpp) tells how it follows from symbols.
struct SymbolicInteger {
  std::int64_t value = 0;
  std::string expression;
};

struct SymbolicType {
  DType dtype = DType::Float32;
  std::vector<SymbolicInteger> sizes;
};

// An argument with an expression: one integer, or a list.
struct SymbolicArgument {
  std::string name;
  std::vector<SymbolicInteger> integers;
  bool is_list = false;
};

struct SymbolicCall {
  Call call;  // without results, and without the arguments below
  std::vector<SymbolicArgument> arguments;
  std::vector<SymbolicType> results;
};

class SymbolicGraph {
 public:
  // What the caller passes: a tensor, or an integer.
  struct Input {
    std::string name;
    bool is_integer = false;
    SymbolicType type;        // of a tensor
    SymbolicInteger integer;  // what an integer stands for
    ValueId value = kNone;    // of a tensor
  };

  // The numbers that these give are those by which calls and outputs name values.
  ValueId add_input(std::string name, SymbolicType type);
  void add_integer_input(std::string name, SymbolicInteger integer);
  // Precondition: data->size() == numel * size_of(dtype).
  ValueId add_constant(std::string name, TensorType type, ConstantData data);
  // The number of its first result; the others follow.
  ValueId add_call(SymbolicCall call);
  void set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }
  // CompileOptions::input_orders and output_orders; the inputs are the tensors among them.
  void set_orders(std::vector<DimOrder> inputs, std::vector<DimOrder> outputs) {
    input_orders_ = std::move(inputs);
    output_orders_ = std::move(outputs);
  }

  [[nodiscard]] const std::vector<Input>& inputs() const { return inputs_; }
  [[nodiscard]] std::size_t output_count() const { return outputs_.size(); }
  [[nodiscard]] const std::vector<DimOrder>& input_orders() const { return input_orders_; }
  [[nodiscard]] const std::vector<DimOrder>& output_orders() const { return output_orders_; }

  // The graph for these sizes, one Shape per input; that of an integer holds the integer. Symbols
  // get values with which the types of the inputs have these sizes. All other sizes follow from
  // those, so that which values these are does not matter where there are several.
  //
  // InvalidArgument when no values are found: the message names the input. ResourceExhausted when a
  // value, or all that depends on no input together, has more than `most_bytes`.
  [[nodiscard]] Result<Graph> bind(std::span<const Shape> sizes, std::uint64_t most_bytes) const;

  // The payload (schema/symbolic.fbs), with the calls' lines of the eager model if asked for, and
  // back; read() trusts nothing in it.
  [[nodiscard]] std::vector<std::byte> write(bool source_lines = false) const;
  [[nodiscard]] static Result<SymbolicGraph> read(std::span<const std::byte> body);

 private:
  struct Constant {
    std::string name;
    TensorType type;
    ConstantData data;
    ValueId value = kNone;
  };
  struct NumberedCall {
    SymbolicCall call;
    ValueId value = kNone;
  };
  friend class SymbolicReader;

  std::vector<Input> inputs_;
  std::vector<Constant> constants_;
  std::vector<NumberedCall> calls_;
  std::vector<ValueId> outputs_;
  std::vector<DimOrder> input_orders_;
  std::vector<DimOrder> output_orders_;
  ValueId count_ = 0;
};

}  // namespace enn
