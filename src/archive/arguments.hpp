// From a node of the archive's JSON to a call of an ATen overload.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "archive/json.hpp"
#include "archive/symbols.hpp"
#include "ops/import.hpp"

namespace enn {

// The values of the graph by the archive's names.
using NamedValues = std::unordered_map<std::string, ValueId>;

class ArgumentReader {
 public:
  // Both must outlive it.
  ArgumentReader(const NamedValues& values, const Symbols& symbols);

  // Sets the arguments of `call`, whose target and name are set, from those of `node`. An operator
  // that the core does not know has its tensors for operands, each once: they keep the graph
  // connected.
  [[nodiscard]] Status read(const json::Element& node, Call& call) const;

  // The value that an object with a "name" names.
  [[nodiscard]] Result<TensorArgument> tensor(const json::Element& element) const;

 private:
  [[nodiscard]] Result<Argument> argument(const json::Element& element) const;
  [[nodiscard]] Result<TensorArgument> optional_tensor(const json::Element& element) const;
  [[nodiscard]] Status add_operands(const json::Element& value,
                                    std::unordered_set<ValueId>& operands, Call& call) const;

  const NamedValues& values_;
  const Symbols& symbols_;
  std::unordered_set<std::string_view> known_;  // targets in ops.def
};

// The names of the tensors that `node` gives, in order.
[[nodiscard]] Result<std::vector<std::string>> read_result_names(const json::Element& node);

// "aten.conv2d.default" for "torch.ops.aten.conv2d.default".
[[nodiscard]] Result<std::string> read_target(const json::Element& node);

}  // namespace enn
