// Lowers a model without Python: a .pt2 of torch.export.save in, a .pte for ExecuTorch's runtime
// out.
//
//   cpp_quantize model.pt2 model.pte
//
// Exit code: 0 success, 1 the model or a file failed, 2 wrong arguments.
#include <enn/enn.hpp>

#include <cstdio>
#include <filesystem>

namespace {

enn::Status lower(const std::filesystem::path& model, const std::filesystem::path& target) {
  ENN_ASSIGN(const enn::ExportedProgram program, enn::ExportedProgram::load(model));
  ENN_ASSIGN(const enn::EdgeProgram edge, enn::to_edge_transform_and_lower(program));
  ENN_ASSIGN(const enn::ExecutorchProgram executable, edge.to_executorch());
  return executable.save(target);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: cpp_quantize model.pt2 model.pte\n");
    return 2;
  }
  const enn::Status status = lower(arguments[1], arguments[2]);
  if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
