// The program's tensor table, checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "enn/program.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"
#include "program_generated.h"
#include "runtime/operator.hpp"

namespace enn {

struct CheckedTensors {
  std::vector<TensorInfo> tensors;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
  std::vector<DimOrder> input_orders;  // Program::input_orders()
  std::vector<DimOrder> output_orders;
};

// Shapes, sizes and places of all tensors, and the lists of inputs and outputs. Precondition: the
// FlatBuffer verifier passed.
[[nodiscard]] Result<CheckedTensors> check_tensors(const program::Program& program);

// "Arena", "Constant", …
[[nodiscard]] std::string storage_name(program::Storage storage);

}  // namespace enn
