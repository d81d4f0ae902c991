// From a quantized (or float) program of torch.export to the ".pte" that ExecuTorch runs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/result.hpp"

namespace enn {

// A key and bytes that the delegate is given with a partition, as ExecuTorch's CompileSpec.
struct CompileSpec {
  std::string key;
  std::vector<std::byte> value;
};

// The compile specification of upstream's gen_samsung_backend_compile_spec: a chipset ("E9955",
// "E9965", in any case). An unknown one is an error that lists the known.
[[nodiscard]] Result<CompileSpec> gen_samsung_backend_compile_spec(std::string_view chipset);

// Which nodes go to the delegate "EnnBackend".
class EnnPartitioner {
 public:
  explicit EnnPartitioner(std::vector<CompileSpec> compile_specs = {})
      : compile_specs_(std::move(compile_specs)) {}
  [[nodiscard]] const std::vector<CompileSpec>& compile_specs() const { return compile_specs_; }

 private:
  std::vector<CompileSpec> compile_specs_;
};

// A ".pte" file's content.
class ExecutorchProgram {
 public:
  explicit ExecutorchProgram(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  // The file is replaced as a whole or not at all.
  [[nodiscard]] Status save(const std::filesystem::path& path) const;

 private:
  std::vector<std::byte> bytes_;
};

// A program whose graph is one call of the delegate.
class EdgeProgram {
 public:
  // The bytes that the delegate loads: those that the Python door's preprocess gives for the same
  // model.
  [[nodiscard]] std::span<const std::byte> payload() const { return payload_; }
  [[nodiscard]] Result<ExecutorchProgram> to_executorch() const;

 private:
  friend Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                         const EnnPartitioner& partitioner);
  EdgeProgram() = default;
  std::vector<NamedType> inputs_;
  std::vector<NamedType> outputs_;
  std::vector<CompileSpec> compile_specs_;
  std::vector<std::byte> payload_;
};

// Unsupported when the delegate does not take a node: without Python there is no other backend to
// run it. The message names the first such node and its reason, and says how many there are.
[[nodiscard]] Result<EdgeProgram> to_edge_transform_and_lower(
    const ExportedProgram& program, const EnnPartitioner& partitioner = EnnPartitioner());

}  // namespace enn
