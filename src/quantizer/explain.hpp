// What EnnQuantizer decided about each input, constant and node of a graph, and why.
#pragma once

#include <span>
#include <vector>

#include "ir/explanation.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// One row for each graph input, each constant that is read, each node in the order of execution,
// and each result of a node that has several. `kept`: nodes whose annotation someone else made,
// which wins.
[[nodiscard]] std::vector<Explanation> explain(const Graph& graph, const Annotations& annotations,
                                               std::span<const NodeId> kept = {});

// The names of the quantizer's vocabulary, as torchao spells them.
[[nodiscard]] std::string_view to_string(QScheme scheme);
[[nodiscard]] std::string_view to_string(Observer observer);
[[nodiscard]] Result<QScheme> qscheme_from_string(std::string_view name);
[[nodiscard]] Result<Observer> observer_from_string(std::string_view name);

}  // namespace enn
