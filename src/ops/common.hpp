// Helpers that several operator families share.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/import.hpp"
#include "ops/ops.hpp"

namespace enn {

// Reads a call's arguments by name. Absent and None are the same. The errors name the argument.
class Arguments {
 public:
  explicit Arguments(const Call& call) : call_(call) {}

  // kNone when absent.
  [[nodiscard]] Result<ValueId> optional_tensor(std::string_view name) const;
  [[nodiscard]] Result<ValueId> tensor(std::string_view name) const;
  [[nodiscard]] Result<std::vector<ValueId>> tensors(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  // nullptr when absent or None.
  [[nodiscard]] const Argument* find(std::string_view name) const;
  [[nodiscard]] Result<std::int64_t> integer(std::string_view name,
                                             std::optional<std::int64_t> otherwise = {}) const;
  [[nodiscard]] Result<double> number(std::string_view name,
                                      std::optional<double> otherwise = {}) const;
  [[nodiscard]] Result<bool> boolean(std::string_view name, bool otherwise) const;
  [[nodiscard]] Result<std::string> text(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> integers(std::string_view name) const;
  // A list of `count` integers from a list of that length, of length 1, or a single integer;
  // `otherwise` when absent or empty.
  [[nodiscard]] Result<std::vector<std::int64_t>> expanded(
      std::string_view name, std::size_t count, std::vector<std::int64_t> otherwise) const;

 private:
  [[nodiscard]] Status wrong(std::string_view name, std::string_view expected) const;
  const Call& call_;
};

// Appends the node with the call's name, results, target and source.
[[nodiscard]] NodeId add_call(Graph& graph, const Call& call, Op op, std::vector<ValueId> inputs,
                              Attributes attrs = {});

// A new float32 constant.
[[nodiscard]] ValueId add_float_constant(Graph& graph, std::string name, Shape shape,
                                         std::span<const float> values);

// A new constant with the bytes of `values`, which hold one element each.
template <typename T>
[[nodiscard]] ValueId add_constant(Graph& graph, std::string name, TensorType type,
                                   const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return graph.add_constant(
      std::move(name), std::move(type),
      std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end()));
}

// The dimension counted from the front, or an error when it is out of range for `rank`.
[[nodiscard]] Result<std::int64_t> normalized_dim(std::int64_t dim, std::size_t rank);

// The shape of NumPy broadcasting, or an error that shows both.
[[nodiscard]] Result<Shape> broadcast(const Shape& a, const Shape& b);

// True for a constant and for what the compiler computes from constants (pass fold_constants,
// is_evaluable). Depends on types and shapes alone.
[[nodiscard]] bool is_constant_expression(const Graph& graph, ValueId id);

// Output size of a pooling or convolution window along one dimension as ATen computes it; the
// window starts at -pad_begin. Result < 1 when the window does not fit.
[[nodiscard]] std::int64_t window_output_size(std::int64_t input, std::int64_t kernel,
                                              std::int64_t stride, std::int64_t pad_begin,
                                              std::int64_t pad_end, std::int64_t dilation,
                                              bool ceil_mode);

// Every element type that a program holds, but float16 (see dtype_reason).
inline constexpr std::array kElementTypes{DType::Float32, DType::Int32, DType::Int64,
                                          DType::Bool,    DType::Int8,  DType::UInt8};

// The reason why an operand's or result's dtype is not taken, or nullopt when all are among
// `allowed`. Where float32 is, float16 is too: the pass widen_float16 makes it float32.
[[nodiscard]] std::optional<std::string> dtype_reason(const Graph& graph, const Node& node,
                                                      std::span<const DType> allowed);

// Why an operator that only moves elements does not take `node`: its rank or an element type.
[[nodiscard]] std::optional<std::string> move_reason(const Graph& graph, const Node& node);
// Attributes of a node that an import function adds beside the one that it returns: no node of the
// exported graph stands for it, so it gets no annotation of its own.
[[nodiscard]] Attributes internal_attributes();
[[nodiscard]] bool is_internal(const Node& node);
// The result of such a node, which is appended; `attrs` are internal_attributes and more.
[[nodiscard]] ValueId internal_value(Graph& graph, Op op, std::string name,
                                     std::vector<ValueId> inputs, TensorType type,
                                     Attributes attrs = internal_attributes());

// Spec building blocks for annotate.cpp.
[[nodiscard]] bool is_float_value(const Graph& graph, ValueId id);
// Every float operand gets the activation spec, the result none.
void annotate_operands(const Graph& graph, NodeId node, const QuantizationConfig& config,
                       Annotations& annotations);
// Every float operand and the result get the activation spec.
void annotate_all(const Graph& graph, NodeId node, const QuantizationConfig& config,
                  Annotations& annotations);
// The first operand and the first result, or that of the last of its fused_followers, get the
// activation spec.
void annotate_first(const Graph& graph, NodeId node, const QuantizationConfig& config,
                    Annotations& annotations);
// For results in [0, 1], both of which it holds exactly: scale 1/255, the lowest integer stands for
// 0.
[[nodiscard]] FixedQParamsSpec unit_interval_spec(const QuantizationConfig& config);
// That for a sigmoid, else the activation spec.
[[nodiscard]] Spec result_spec(Op op, const QuantizationConfig& config);
// The operand gets the activation spec and the result shares it.
void annotate_shared(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations);
// Sets the annotation of `node`, with the activation spec on its result, or on that of the last of
// its fused_followers. In front of a sum that is fused with it (fusion.hpp) it is the sum that is
// annotated so, but not when the user leaves one of the nodes in float.
void annotate_output(const Graph& graph, NodeId node, Annotation annotation,
                     const QuantizationConfig& config, Annotations& annotations);

}  // namespace enn
