#include "pt2e/placement.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "ops/common.hpp"

namespace enn {

namespace {

// The edge from a value to a node that reads it, or the value itself when consumer is kNone.
using Edge = std::pair<ValueId, NodeId>;

struct AnnotatedEdge {
  Edge edge;
  Spec spec;
};

Edge edge_of(const SharedSpec& shared) { return {shared.value, shared.consumer}; }

// Whether torchao takes two specs for the same: the observer does not count.
bool alike(const GroupSpec& a, const GroupSpec& b) {
  if (a.index() != b.index()) return false;
  if (const auto* fixed = std::get_if<FixedQParamsSpec>(&a)) {
    return *fixed == std::get<FixedQParamsSpec>(b);
  }
  QuantizationSpec first = std::get<QuantizationSpec>(a);
  const auto& second = std::get<QuantizationSpec>(b);
  first.observer = second.observer;
  first.eps = second.eps;
  return first == second;
}

// Disjoint sets of edges. Which of two roots stays is torchao's rule, for the spec of a shared edge
// is its root's.
class Sharing {
 public:
  explicit Sharing(const std::vector<AnnotatedEdge>& edges) : edges_(edges) {
    for (std::size_t i = 0; i < edges.size(); ++i) {
      index_[edges[i].edge] = i;
      parent_.push_back(i);
      by_value_[edges[i].edge.first].push_back(i);
    }
  }

  Status run() {
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      const auto& [edge, spec] = edges_[i];
      if (edge.second != kNone) {
        ENN_ASSIGN(const GroupSpec root_spec, root_spec_of(i));
        // First with other readers of the value, then with the value itself: the other way round
        // could close a circle.
        for (const std::size_t other : by_value_[edge.first]) {
          if (edges_[other].edge.second != kNone) ENN_TRY(share_if_alike(i, other, root_spec));
        }
        const auto own = index_.find({edge.first, kNone});
        if (own != index_.end()) ENN_TRY(share_if_alike(i, own->second, root_spec));
      }
      if (const auto* shared = std::get_if<SharedSpec>(&spec)) {
        ENN_ASSIGN(const std::size_t with, find(*shared));
        unite(with, i);
      }
    }
    return {};
  }

  // Each edge on the way is moved closer to the root.
  [[nodiscard]] std::size_t root(std::size_t i) const {
    while (parent_[i] != i) {
      parent_[i] = parent_[parent_[i]];
      i = parent_[i];
    }
    return i;
  }

  // The spec that is no SharedSpec at the end of the chain.
  [[nodiscard]] Result<GroupSpec> root_spec_of(std::size_t i) const {
    for (std::size_t step = 0; step <= edges_.size(); ++step) {
      const Spec& spec = edges_[i].spec;
      if (const auto* observed = std::get_if<QuantizationSpec>(&spec)) return GroupSpec(*observed);
      if (const auto* fixed = std::get_if<FixedQParamsSpec>(&spec)) return GroupSpec(*fixed);
      ENN_ASSIGN(const std::size_t with, find(std::get<SharedSpec>(spec)));
      i = root(with);
    }
    return error(Code::InvalidGraph, "shared quantization specs refer to each other in a circle");
  }

 private:
  [[nodiscard]] Result<std::size_t> find(const SharedSpec& shared) const {
    const auto found = index_.find(edge_of(shared));
    if (found == index_.end()) {
      return error(Code::InvalidGraph,
                   "a quantization spec is shared with a value or an edge that "
                   "has none");
    }
    return found->second;
  }

  Status share_if_alike(std::size_t i, std::size_t other, const GroupSpec& root_spec) {
    if (other == i) return {};
    ENN_ASSIGN(const GroupSpec other_spec, root_spec_of(other));
    if (alike(other_spec, root_spec)) unite(other, i);
    return {};
  }

  void unite(std::size_t parent, std::size_t child) {
    const std::size_t root_parent = root(parent);
    const std::size_t root_child = root(child);
    const auto* shared = std::get_if<SharedSpec>(&edges_[root_parent].spec);
    if (shared != nullptr && edge_of(*shared) == edges_[root_child].edge) {
      parent_[root_parent] = root_child;
    } else {
      parent_[root_child] = root_parent;
    }
  }

  const std::vector<AnnotatedEdge>& edges_;
  std::map<Edge, std::size_t> index_;
  std::map<ValueId, std::vector<std::size_t>> by_value_;
  mutable std::vector<std::size_t> parent_;
};

std::vector<AnnotatedEdge> annotated_edges(const Graph& graph, const Annotations& annotations) {
  std::vector<AnnotatedEdge> edges;
  for (const ValueId id : graph.inputs()) {
    if (const auto& spec = annotations.input(id)) edges.push_back({{id, kNone}, *spec});
  }
  for (const NodeId id : graph.order()) {
    const auto& annotation = annotations.node(id);
    if (!annotation) continue;
    const std::size_t first = edges.size();
    for (const auto& [value, spec] : annotation->inputs) {
      const Edge edge{value, id};
      const auto known =
          std::find_if(edges.begin() + static_cast<std::ptrdiff_t>(first), edges.end(),
                       [&](const AnnotatedEdge& other) { return other.edge == edge; });
      if (known == edges.end()) {
        edges.push_back({edge, spec});
      } else {
        known->spec = spec;
      }
    }
    if (annotation->output) {
      edges.push_back({{graph.node(id).outputs.front(), kNone}, *annotation->output});
    }
  }
  return edges;
}

class Placer {
 public:
  Placer(const Graph& graph, const std::vector<AnnotatedEdge>& edges) : graph_(graph) {
    for (const AnnotatedEdge& edge : edges) edges_.push_back(edge.edge);
  }

  Result<Placement> run(const Sharing& sharing) {
    std::map<std::size_t, std::size_t> group_of_root;
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      const auto [found, added] = group_of_root.emplace(sharing.root(i), placement_.groups.size());
      if (added) {
        ENN_ASSIGN(GroupSpec spec, sharing.root_spec_of(i));
        placement_.groups.push_back(std::move(spec));
      }
      group_of_[edges_[i]] = found->second;
    }
    for (const ValueId id : graph_.inputs()) place_on_result(id);
    std::vector<std::vector<Edge>> edges_of(graph_.node_count());  // by reader
    for (const Edge& edge : edges_) {
      if (edge.second != kNone) edges_of[edge.second].push_back(edge);
    }
    for (const NodeId id : graph_.order()) {
      for (const Edge& edge : edges_of[id]) place_on_edge(edge);
      const Node& node = graph_.node(id);
      if (node.outputs.size() == 1) place_on_result(node.outputs.front());
    }
    return std::move(placement_);
  }

 private:
  void place_on_edge(const Edge& edge) {
    const std::size_t group = group_of_.at(edge);
    const auto result = result_site_.find(edge.first);
    const std::size_t parent = result == result_site_.end() ? kNoSite : result->second;
    if (parent != kNoSite && placement_.sites[parent].group == group) {
      placement_.sites[parent].readers.push_back(edge.second);
      return;
    }
    std::vector<std::size_t>& sites = edge_sites_[edge.first];
    for (const std::size_t known : sites) {
      Site& site = placement_.sites[known];
      if (site.parent == parent && site.group == group) {
        site.readers.push_back(edge.second);
        return;
      }
    }
    sites.push_back(placement_.sites.size());
    placement_.sites.push_back({edge.first, group, parent, {edge.second}, false});
  }

  void place_on_result(ValueId value) {
    const auto group = group_of_.find({value, kNone});
    if (group == group_of_.end()) return;
    result_site_[value] = placement_.sites.size();
    placement_.sites.push_back({value, group->second, kNoSite, {}, true});
  }

  const Graph& graph_;
  std::vector<Edge> edges_;
  std::map<Edge, std::size_t> group_of_;
  std::map<ValueId, std::size_t> result_site_;
  std::map<ValueId, std::vector<std::size_t>> edge_sites_;
  Placement placement_;
};

}  // namespace

Result<Placement> place_observers(const Graph& graph, const Annotations& annotations) {
  const std::vector<AnnotatedEdge> edges = annotated_edges(graph, annotations);
  Sharing sharing(edges);
  ENN_TRY(sharing.run());
  return Placer(graph, edges).run(sharing);
}

}  // namespace enn
