#include "enn/model.hpp"

namespace enn {

Result<Model> Model::compile(const ExportedProgram& program, const ModelOptions& options) {
  return compile_graph(program.graph(), program.inputs(), program.outputs(), options,
                       program.mutations());
}

}  // namespace enn
