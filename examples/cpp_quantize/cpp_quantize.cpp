// The six steps without Python: a .pt2 of torch.export.save in, a .pte for ExecuTorch's runtime
// out.
//
//   cpp_quantize model.pt2 model.pte [sample.bin]…
//
// A sample holds the raw bytes of the model's inputs, row-major, one after the other. Without
// samples the model is lowered as it is: quantized already, or in float. Exit code: 0 success, 1
// the model or a file failed, 2 wrong arguments.
#include <cstdio>
#include <enn/enn.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<char>;

enn::Result<Bytes> read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return enn::error(enn::Code::InvalidArgument, "cannot open ", path);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// The inputs of `program` in `sample`, which must hold exactly them.
enn::Result<std::vector<enn::TensorView>> inputs_in(const Bytes& sample,
                                                    const enn::ExportedProgram& program) {
  std::span<const std::byte> rest = std::as_bytes(std::span(sample));
  std::vector<enn::TensorView> inputs;
  for (const auto& [name, type] : program.inputs()) {
    const auto size = static_cast<std::size_t>(enn::numel(type.shape)) * enn::size_of(type.dtype);
    if (size > rest.size()) {
      return enn::error(enn::Code::InvalidArgument, "the sample ends within the input '", name,
                        "', which is ", to_string(type));
    }
    inputs.push_back({type, rest.first(size)});
    rest = rest.subspan(size);
  }
  if (rest.empty()) return inputs;
  return enn::error(enn::Code::InvalidArgument, "the sample has ", rest.size(),
                    " bytes more than the model's inputs");
}

enn::Result<enn::ExportedProgram> quantize(const enn::ExportedProgram& program,
                                           std::span<char* const> samples) {
  enn::EnnQuantizer quantizer;
  quantizer.set_quant_params(enn::Precision::A8W8, /*is_per_channel=*/true, /*is_qat=*/false);
  ENN_ASSIGN(enn::PreparedModel prepared, enn::prepare_pt2e(program, quantizer));
  for (const char* path : samples) {
    ENN_ASSIGN(const Bytes sample, read(path));
    ENN_ASSIGN(const auto inputs, inputs_in(sample, program));
    ENN_TRY(prepared(inputs).status());
  }
  ENN_ASSIGN(const enn::QuantizedModel quantized, enn::convert_pt2e(prepared));
  return quantized.exported_program();
}

enn::Status run(const std::filesystem::path& model, const std::filesystem::path& target,
                std::span<char* const> samples) {
  ENN_ASSIGN(enn::ExportedProgram program, enn::ExportedProgram::load(model));
  if (!samples.empty()) {
    ENN_ASSIGN(program, quantize(program, samples));
  }
  ENN_ASSIGN(const enn::EdgeProgram edge, enn::to_edge_transform_and_lower(program));
  ENN_ASSIGN(const enn::ExecutorchProgram executable, edge.to_executorch());
  return executable.save(target);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: cpp_quantize model.pt2 model.pte [sample.bin]...\n");
    return 2;
  }
  const std::span<char* const> all(arguments, static_cast<std::size_t>(count));
  const enn::Status status = run(all[1], all[2], all.subspan(3));
  if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
