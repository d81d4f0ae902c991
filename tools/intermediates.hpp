// The values inside a model, in the order of execution, and which of two models' values are the
// same.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common.hpp"
#include "ir/graph.hpp"

namespace enn::tool {

// A value that is shown. Of a quantized model these are the values that are quantized, as they are
// after it, under the name of the value before; of a float one all float32 results of its nodes.
struct Point {
  std::string name;         // that the export gave it
  std::string module_path;  // of the eager model's module that computes it, or empty
  NodeId node = kNone;      // that computes it, before it is quantized
  ValueId value = kNone;    // what is shown
};
[[nodiscard]] std::vector<Point> points_of(const ExportedProgram& program);

// A value of two models.
struct PointPair {
  Point first;
  Point second;
};
// The values that both have, in the first's order of execution. A value is known by the module that
// computes it, its operator, and how many of that operator the module has computed before; where
// the archives do not say which modules there are, by its name. A layer whose batch norm one of the
// two has folded into it stands for that batch norm.
[[nodiscard]] std::vector<PointPair> common_points(const ExportedProgram& first,
                                                   const ExportedProgram& second);

// A model whose points are outputs beside its own. Buffers that it changes keep their values from
// run to run.
class ObservedModel {
 public:
  [[nodiscard]] static Result<ObservedModel> open(const ExportedProgram& program,
                                                  std::span<const Point> points,
                                                  Execution execution, const RunOptions& options);

  struct Values {
    std::vector<Tensor> outputs;  // of the model
    std::vector<Tensor> points;
  };
  [[nodiscard]] Result<Values> run(std::span<const Tensor> inputs);

 private:
  ObservedModel(Model model, std::size_t outputs) : model_(std::move(model)), outputs_(outputs) {}
  Model model_;
  std::size_t outputs_;
};

}  // namespace enn::tool
