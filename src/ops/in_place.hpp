// Calls that change a tensor, in a graph whose nodes are functions: the result of such a node is a
// new value, which is right as long as nobody reads the tensor by another name afterwards.
#pragma once

#include <string_view>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// Whether a call of the overload changes its first operand: aten.relu_.default.
[[nodiscard]] bool writes_in_place(std::string_view overload);
[[nodiscard]] bool writes_in_place(const Node& node);

// `value` and the values that are views of the same memory, as far as the graph shows.
[[nodiscard]] std::vector<ValueId> aliases_of(const Graph& graph, ValueId value);

// Whether the tensor that `writer` changes is read after it (or returned) by another name than the
// writer's result. Precondition: writes_in_place(writer).
[[nodiscard]] bool is_write_seen(const Graph& graph, NodeId writer);

// Unsupported, with the name of the node, when a write in place would be lost.
[[nodiscard]] Status check_writes_in_place(const Graph& graph);

}  // namespace enn
