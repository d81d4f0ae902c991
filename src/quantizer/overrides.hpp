// What a user set for single nodes and operators, applied to annotations.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantizer/quantizer.hpp"

namespace enn {

// The observer of a name that EnnQuantizer::set_observer takes.
[[nodiscard]] std::optional<Observer> observer_of_name(std::string_view name);

// `op` is an IR name or the overload that the node was imported from.
[[nodiscard]] bool is_operator(const Node& node, std::string_view op);

// Modules by a pattern of paths or classes, or, after a ':' that an operator follows, its nodes in
// them alone: "features.0:convolution".
struct ModuleSelector {
  std::string_view module;
  std::string_view op;  // empty for all
};
[[nodiscard]] ModuleSelector module_selector(std::string_view text);
[[nodiscard]] bool is_selected(const Node& node, std::string_view module_selector);
// InvalidArgument when there is no such operator.
[[nodiscard]] Status check_operator(std::string_view name);

// The nodes that are annotated as fused with `node`, in the order of execution.
[[nodiscard]] std::vector<NodeId> fused_with(const Graph& graph, const Annotations& annotations,
                                             NodeId node);

// Takes the annotations of the nodes away that are marked as excluded. What a node of a fused chain
// loses, the node before it in the chain gets, so that its result is quantized still; what shared a
// spec with an edge that is gone gets the spec of activations.
void clear_excluded(const Graph& graph, const QuantizationConfig& config, Annotations& annotations);

// Gives each spec of an activation the observer for the node that computes it; constants keep
// theirs. `observer_of` is asked for a node of the chain that it is fused with, the last first, or
// for a graph input's name, until it has an answer.
void choose_observers(
    const Graph& graph,
    const std::function<std::optional<Observer>(const Node* node, std::string_view name)>&
        observer_of,
    Annotations& annotations);

}  // namespace enn
