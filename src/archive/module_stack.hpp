#pragma once

#include <string_view>
#include <vector>

#include "ir/origin.hpp"

namespace enn {

// A module's path and class as torch.export names them, made printable and plain.
[[nodiscard]] ModuleCall module_call(std::string_view path, std::string_view type);

// The modules of a node's metadata "nn_module_stack": "key,path,type;key,path,type;…", outermost
// first. An entry that is not of this form is left out.
[[nodiscard]] std::vector<ModuleCall> module_calls(std::string_view stack);

}  // namespace enn
