// From a quantized (or float) program of torch.export to the ".pte" that ExecuTorch runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/result.hpp"

namespace enn {

struct DelegatedMethod;

// A key and bytes that the delegate is given with a partition, as ExecuTorch's CompileSpec.
struct CompileSpec {
  std::string key;               // "enn_compile_options" for ours
  std::vector<std::byte> value;  // as the key's owner writes it
};

// Upstream's modes; a program of this engine runs the same in each.
enum class PerformanceMode : std::uint8_t { Default = 0, HighPerformance = 1 };

// The compile specification of upstream's gen_samsung_backend_compile_spec: a chipset ("E9955",
// "E9965", in any case). An unknown one is an error that lists the known.
[[nodiscard]] Result<CompileSpec> gen_samsung_backend_compile_spec(
    std::string_view chipset, PerformanceMode perf_mode = PerformanceMode::Default);

// A compile specification that asks for the lines of the eager model in the program's steps
// ("torchvision/models/resnet.py:92"). Without it a program's bytes do not depend on where the
// model's source lies.
[[nodiscard]] CompileSpec source_lines_compile_spec();

// Which nodes go to the delegate "EnnBackend".
class EnnPartitioner {
 public:
  // What a specification says is checked when a program is lowered.
  explicit EnnPartitioner(std::vector<CompileSpec> compile_specs = {})
      : compile_specs_(std::move(compile_specs)) {}
  // The specifications that go into the file.
  [[nodiscard]] const std::vector<CompileSpec>& compile_specs() const { return compile_specs_; }

 private:
  std::vector<CompileSpec> compile_specs_;
};

// A ".pte" file's content.
class ExecutorchProgram {
 public:
  // `bytes` are those of a whole file.
  explicit ExecutorchProgram(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  // The file's content, which ExecuTorch's runtime also loads from memory.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  // The file is replaced as a whole or not at all.
  [[nodiscard]] Status save(const std::filesystem::path& path) const;

 private:
  std::vector<std::byte> bytes_;
};

// A program whose graph is one call of the delegate.
class EdgeProgram {
 public:
  // Moved from, a program may only be assigned to or destroyed.
  EdgeProgram(EdgeProgram&&) noexcept;
  EdgeProgram& operator=(EdgeProgram&&) noexcept;
  ~EdgeProgram();

  // The bytes that the delegate loads: those that the Python door's preprocess gives for the same
  // model.
  [[nodiscard]] std::span<const std::byte> payload() const;
  // The file's content: a method "forward" whose inputs and outputs are the leaves of the exported
  // program's pytrees, tensors in memory that the file plans. Buffers that the program changes keep
  // their values from call to call; ExecuTorch's kernel aten::copy_ writes them. Unsupported when a
  // tensor is too large for the format.
  [[nodiscard]] Result<ExecutorchProgram> to_executorch() const;

 private:
  friend Result<EdgeProgram> lower_graph(const Graph& graph, const EnnPartitioner& partitioner,
                                         const std::optional<Pytree>& inputs,
                                         const std::optional<Pytree>& outputs,
                                         const std::vector<Mutation>& mutations);
  explicit EdgeProgram(std::unique_ptr<DelegatedMethod> method);
  std::unique_ptr<DelegatedMethod> method_;
};

// Unsupported when the delegate does not take a node: without Python there is no other backend to
// run it. The message names the first such node and its reason, and says how many there are.
[[nodiscard]] Result<EdgeProgram> to_edge_transform_and_lower(
    const ExportedProgram& program, const EnnPartitioner& partitioner = EnnPartitioner());

}  // namespace enn
