// From a call of an ATen overload, with its arguments by name, to a node of the IR. The Python door
// makes calls from FX nodes, the archive reader from .pt2 JSON; what an overload means is written
// only here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// std::monostate is Python's None. A ValueId is a tensor. Lists of tensors may hold kNone. A
// torch.dtype and other enumerations come as text ("int8").
struct TensorArgument {
  ValueId id = kNone;
};
// A number, or a list with one, that the graph computes from sizes or values: what computes it, and
// the tensors that it is computed from.
struct SymbolArgument {
  std::string name;
  std::vector<ValueId> sources;
};
using Argument =
    std::variant<std::monostate, TensorArgument, std::vector<TensorArgument>, std::int64_t, double,
                 bool, std::string, std::vector<std::int64_t>, std::vector<double>, SymbolArgument>;

struct Call {
  std::string target;  // "aten.conv2d.default": namespace.name.overload
  std::string name;    // unique name for the node
  std::vector<std::pair<std::string, Argument>>
      arguments;  // names from the overload's schema; defaults may be left out
  std::vector<TensorType> results;
  Origin origin;  // in the eager model
  // What it comes after without reading it as a tensor: the sizes (add_size) that became integers
  // of its arguments.
  std::vector<ValueId> after{};
};

// Appends the node. An overload that ops.def does not list, and a call that is_left_to_others,
// become an Op::Unknown node, which keeps the graph connected; an overload that is listed with
// arguments it cannot have is an error.
[[nodiscard]] Result<NodeId> import_call(Graph& graph, const Call& call);

// Appends the call as an Op::Unknown node, whatever ops.def says. Its operands are all tensors of
// the call; arguments that are no tensors are attributes by name; the attribute kTensorsOfArguments
// counts the tensors of each argument, kDependsOn names a SymbolArgument.
[[nodiscard]] NodeId import_uninterpreted(Graph& graph, const Call& call);
inline constexpr const char* kTensorsOfArguments = "tensors_of_arguments";
inline constexpr const char* kDependsOn = "depends_on";
// What the call comes after without its node reading it, as numbers of values: operands that copy
// overwrites, sources of a SymbolArgument, Call::after. Absent when there is none.
inline constexpr const char* kUnreadOperands = "unread_operands";

// Appends a node that stands for an integer which is computed from the sizes of `sources`, for
// graphs that are partitioned: it belongs to the partition of all that reads it, or to none.
[[nodiscard]] NodeId add_size(Graph& graph, std::string name, const std::vector<ValueId>& sources);
[[nodiscard]] bool is_size(const Node& node);

// Whether an operand, an argument or a result has a size that only a run knows, or an element type
// that the engine does not know.
[[nodiscard]] bool is_left_to_others(const Graph& graph, const Call& call);
// Which size or element type of an Op::Unknown node that is, and what would help; nullopt when
// there is none: ops.def does not list the operator.
struct LeftToOthers {
  std::string reason;
  std::string advice;
};
[[nodiscard]] std::optional<LeftToOthers> left_to_others(const Graph& graph, const Node& node);

// The overloads that ops.def lists, in its order.
struct OverloadInfo {
  std::string_view target;
  Op op{};
};
[[nodiscard]] std::vector<OverloadInfo> overloads();

}  // namespace enn
