// From a graph to the program that ExecuTorch runs.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "enn/executorch.hpp"
#include "ir/graph.hpp"

namespace enn {

// to_edge_transform_and_lower for a graph and the trees of its inputs and outputs; without trees,
// the caller gives and gets tuples of tensors. The inputs and outputs of the graph that `mutations`
// names are none of the caller's. Precondition: verify(graph) is Ok.
[[nodiscard]] Result<EdgeProgram> lower_graph(const Graph& graph, const EnnPartitioner& partitioner,
                                              const std::optional<Pytree>& inputs = std::nullopt,
                                              const std::optional<Pytree>& outputs = std::nullopt,
                                              const std::vector<Mutation>& mutations = {});

// The key of gen_samsung_backend_compile_spec's specifications.
inline constexpr std::string_view kCompileOptions = "enn_compile_options";

// InvalidArgument when one of the specifications has the key above and another content than
// gen_samsung_backend_compile_spec gives. Other keys are none of ours.
[[nodiscard]] Status check_compile_specs(std::span<const CompileSpec> specs);

// Whether source_lines_compile_spec() is among them.
[[nodiscard]] bool asks_for_source_lines(std::span<const CompileSpec> specs);

}  // namespace enn
