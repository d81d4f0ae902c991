#include "lowering/lowering.hpp"

namespace enn {

Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                const EnnPartitioner& partitioner) {
  return lower_graph(program.graph(), partitioner);
}

}  // namespace enn
