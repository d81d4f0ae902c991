#include "pt2e/insert_quantization.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "ops/common.hpp"
#include "ops/constants.hpp"

namespace enn {

namespace {

// The node of the exported program that an internal node belongs to.
NodeId owner_of(const Graph& graph, NodeId id) {
  while (is_internal(graph.node(id))) {
    const std::vector<NodeId> users = graph.users(graph.node(id).outputs.front());
    if (users.empty()) return id;
    id = users.front();
  }
  return id;
}

// Where torchao's graph has its observers: each stands directly behind what it reads, in front of
// those that were put there before it.
class Order {
 public:
  Order(const Graph& graph, const Placement& placement)
      : behind_node_(graph.node_count()),
        behind_leaf_(graph.value_count()),
        behind_site_(placement.sites.size()) {
    for (std::size_t i = 0; i < placement.sites.size(); ++i) {
      const Site& site = placement.sites[i];
      const NodeId producer = graph.value(site.value).producer;
      std::vector<std::size_t>& sites = site.parent != kNoSite ? behind_site_[site.parent]
                                        : producer != kNone    ? behind_node_[producer]
                                                               : behind_leaf_[site.value];
      sites.push_back(i);
    }
    for (const ValueId id : graph.inputs()) append(behind_leaf_[id]);
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      if (graph.value(id).is_constant()) append(behind_leaf_[id]);
    }
    for (const NodeId id : graph.order()) {
      for (std::size_t i = items_.size(); i-- > 0 && items_[i].following == kNone;)
        items_[i].following = id;
      append(behind_node_[id]);
    }
  }

  // Calls visit(site, node that follows, or kNone), in order.
  template <typename Visit>
  Status for_each(const Visit& visit) const {
    for (const Item& item : items_) ENN_TRY(visit(item.site, item.following));
    return {};
  }

 private:
  struct Item {
    std::size_t site;
    NodeId following = kNone;
  };

  // The last of `sites` comes first, and each before what stands behind it.
  void append(const std::vector<std::size_t>& sites) {
    std::vector<std::size_t> pending = sites;
    while (!pending.empty()) {
      const std::size_t site = pending.back();
      pending.pop_back();
      items_.push_back({site});
      std::ranges::copy(behind_site_[site], std::back_inserter(pending));
    }
  }

  std::vector<std::vector<std::size_t>> behind_node_;
  std::vector<std::vector<std::size_t>> behind_leaf_;
  std::vector<std::vector<std::size_t>> behind_site_;
  std::vector<Item> items_;
};

class Inserter {
 public:
  Inserter(const Graph& graph, const Annotations& annotations, const Placement& placement,
           std::span<const QuantParams> params)
      : original_(graph),
        annotations_(annotations),
        placement_(placement),
        params_(params),
        graph_(graph),
        base_(placement.sites.size(), kNone) {
    for (ValueId id = 0; id < graph.value_count(); ++id) names_.insert(graph.value(id).name);
    for (const NodeId id : graph.order()) names_.insert(graph.node(id).name);
    for (std::size_t i = 0; i < placement.sites.size(); ++i) {
      const Site& site = placement.sites[i];
      for (const NodeId reader : site.readers) site_of_reader_[{site.value, reader}] = i;
      if (site.parent != kNoSite) has_children_.insert(site.parent);
    }
  }

  Result<Graph> run() {
    ENN_TRY(Order(original_, placement_).for_each([&](std::size_t site, NodeId following) {
      return insert(site, following);
    }));
    return std::move(graph_);
  }

 private:
  struct Readers {
    std::vector<NodeId> annotated;                // owners, in order
    std::map<NodeId, std::vector<NodeId>> nodes;  // of an owner
    std::vector<NodeId> others;
    bool outputs = false;
  };

  Readers readers_of(std::size_t index) const {
    const Site& site = placement_.sites[index];
    Readers readers;
    for (const NodeId user : original_.users(site.value)) {
      const NodeId owner = owner_of(original_, user);
      const auto through = site_of_reader_.find({site.value, owner});
      const bool here =
          through != site_of_reader_.end() ? through->second == index : site.of_result;
      if (!here) continue;
      const auto& annotation = annotations_.node(owner);
      if (!annotation || (annotation->inputs.empty() && !annotation->output)) {
        readers.others.push_back(user);
        continue;
      }
      if (!readers.nodes.contains(owner)) readers.annotated.push_back(owner);
      readers.nodes[owner].push_back(user);
    }
    const std::vector<ValueId>& outputs = original_.outputs();
    readers.outputs =
        site.of_result && std::find(outputs.begin(), outputs.end(), site.value) != outputs.end();
    return readers;
  }

  Status insert(std::size_t index, NodeId following) {
    const Site& site = placement_.sites[index];
    ENN_ASSIGN(const ValueId integers, quantize(index, following));
    const Readers readers = readers_of(index);
    if (readers.annotated.empty() || !readers.others.empty() || readers.outputs ||
        has_children_.contains(index)) {
      base_[index] = dequantize(index, integers, following);
      for (const NodeId reader : readers.others) rewire(reader, site.value, base_[index]);
      if (readers.outputs) {
        std::vector<ValueId> outputs = graph_.outputs();
        std::replace(outputs.begin(), outputs.end(), site.value, base_[index]);
        graph_.set_outputs(std::move(outputs));
      }
    }
    // torchao puts the copy of each further reader before those it made.
    for (std::size_t i = readers.annotated.size(); i-- > 0;) {
      const ValueId copy = dequantize(index, integers, following);
      for (const NodeId reader : readers.nodes.at(readers.annotated[i])) {
        rewire(reader, site.value, copy);
      }
    }
    return {};
  }

  void rewire(NodeId reader, ValueId from, ValueId to) {
    std::vector<ValueId>& inputs = graph_.node(reader).inputs;
    std::replace(inputs.begin(), inputs.end(), from, to);
  }

  std::string unique(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !names_.insert(name).second; ++i) name = str(wanted, "_", i);
    return name;
  }

  ValueId add(NodeId following, Op op, const std::string& name, ValueId input, std::size_t index,
              DType result) {
    const Site& site = placement_.sites[index];
    const QuantParams& params = params_[site.group];
    const DType integers = integer_type(placement_.groups[site.group]);
    Attributes attrs;
    std::vector<ValueId> inputs{input};
    if (params.per_tensor()) {
      attrs.set("scale", static_cast<double>(params.scale()));
      attrs.set("zero_point", std::int64_t{params.zero_point()});
    } else {
      const auto [scales, zero_points] = channel_constants(index);
      inputs.insert(inputs.end(), {scales, zero_points});
      attrs.set("axis", std::int64_t{params.axis});
    }
    attrs.set("quant_min", std::int64_t{params.quant_min});
    attrs.set("quant_max", std::int64_t{params.quant_max});
    attrs.set("dtype", std::string(to_string(op == Op::Quantize ? integers : result)));
    const TensorType type = {op == Op::Quantize ? integers : result,
                             original_.value(site.value).type.shape};
    const NodeId id =
        following == kNone
            ? graph_.add_node(op, unique(name), std::move(inputs), {type}, std::move(attrs))
            : graph_.insert_node(following, op, unique(name), std::move(inputs), {type},
                                 std::move(attrs));
    graph_.node(id).target =
        str("quantized_decomposed.", op == Op::Quantize ? "quantize" : "dequantize",
            params.per_tensor() ? "_per_tensor.default" : "_per_channel.default");
    return graph_.node(id).outputs.front();
  }

  // Scales and zero points of a site as constants, once.
  std::pair<ValueId, ValueId> channel_constants(std::size_t index) {
    const auto [found, added] = channels_.emplace(index, std::pair(kNone, kNone));
    if (!added) return found->second;
    const Site& site = placement_.sites[index];
    const QuantParams& params = params_[site.group];
    const std::string& name = original_.value(site.value).name;
    const Shape shape = {static_cast<std::int64_t>(params.scales.size())};
    const std::vector<std::int64_t> zero_points(params.zero_points.begin(),
                                                params.zero_points.end());
    found->second = {
        add_float_constant(graph_, unique(name + "_scale"), shape, params.scales),
        add_constant(graph_, unique(name + "_zero_point"), {DType::Int64, shape}, zero_points)};
    return found->second;
  }

  Result<ValueId> quantize(std::size_t index, NodeId following) {
    const Site& site = placement_.sites[index];
    const Value& value = original_.value(site.value);
    if (site.parent == kNoSite && value.is_constant() && value.type.dtype == DType::Float32) {
      return fold(index);
    }
    const ValueId input = site.parent == kNoSite ? site.value : base_[site.parent];
    return add(following, Op::Quantize, value.name + "_quantize", input, index, DType::Int8);
  }

  Result<ValueId> fold(std::size_t index) {
    const Site& site = placement_.sites[index];
    const Value& value = original_.value(site.value);
    const QuantParams& params = params_[site.group];
    ENN_ASSIGN(const std::vector<float> floats, constant_floats(original_, site.value));
    std::vector<float> inverse;
    for (const float scale : params.scales) inverse.push_back(inverse_scale(scale));
    std::vector<std::uint8_t> bytes(floats.size());
    for (std::size_t i = 0; i < floats.size(); ++i) {
      const std::size_t channel = quantized_channel(i, value.type.shape, params);
      bytes[i] = static_cast<std::uint8_t>(quantize_value(floats[i], inverse[channel],
                                                          params.zero_points[channel],
                                                          params.quant_min, params.quant_max));
    }
    const DType dtype = integer_type(placement_.groups[site.group]);
    return add_constant(graph_, unique(value.name + "_quantized"), {dtype, value.type.shape},
                        bytes);
  }

  ValueId dequantize(std::size_t index, ValueId integers, NodeId following) {
    const Value& value = original_.value(placement_.sites[index].value);
    return add(following, Op::Dequantize, value.name + "_dequantize", integers, index,
               value.type.dtype);
  }

  const Graph& original_;
  const Annotations& annotations_;
  const Placement& placement_;
  std::span<const QuantParams> params_;
  Graph graph_;
  std::vector<ValueId> base_;  // of a site, its dequantized value for readers without annotation
  std::map<std::pair<ValueId, NodeId>, std::size_t> site_of_reader_;
  std::set<std::size_t> has_children_;
  std::map<std::size_t, std::pair<ValueId, ValueId>> channels_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace

DType integer_type(const GroupSpec& spec) {
  return std::visit([](const auto& known) { return known.dtype; }, spec);
}

Result<Graph> insert_quantization(const Graph& graph, const Annotations& annotations,
                                  const Placement& placement, std::span<const QuantParams> params) {
  ENN_ASSIGN(Graph quantized, Inserter(graph, annotations, placement, params).run());
  ENN_TRY(verify(quantized));
  return quantized;
}

}  // namespace enn
