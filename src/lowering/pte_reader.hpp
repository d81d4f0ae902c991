// What a ".pte" file says: its methods and their delegates.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "enn/executorch.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

struct PteDelegate {
  std::string id;  // the name that the backend is registered by
  std::vector<CompileSpec> compile_specs;
  std::span<const std::byte> payload;  // within the file's bytes
};

// An instruction that calls a delegate.
struct PteCall {
  std::uint32_t delegate = 0;           // of PteMethod::delegates
  std::vector<std::int32_t> arguments;  // the method's values: what the delegate reads, then writes
};

struct PteMethod {
  std::string name;
  // Types of tensors; nullopt for a number, a string or a list, or for an element type that this
  // engine does not know.
  std::vector<std::optional<TensorType>> inputs;
  std::vector<std::optional<TensorType>> outputs;
  std::vector<std::int32_t> input_values;  // which of the method's values these are
  std::vector<std::int32_t> output_values;
  std::vector<PteDelegate> delegates;
  std::vector<PteCall> calls;
  std::vector<std::string> operators;  // that ExecuTorch's own kernels run, "aten::add.out"
  // Tensors that the file gives a first value, and calls of aten::copy_ after those of delegates.
  struct Kept {
    std::int32_t value = 0;
    std::span<const std::byte> initial;  // within the file's bytes
  };
  std::vector<Kept> kept;
  struct Copy {
    std::int32_t to = 0;
    std::int32_t from = 0;
    std::optional<TensorType> type;  // of `to`
  };
  std::vector<Copy> copies;
  bool copies_first = false;       // whether it is also called before them
  std::int64_t planned_bytes = 0;  // of the memory that the file plans
};

// Trusts no byte: what does not hold together is an InvalidArgument. The payloads themselves are
// not looked into.
[[nodiscard]] Result<std::vector<PteMethod>> read_pte(std::span<const std::byte> file);

// A method that is one call of one delegate, after which tensors that keep their values get new
// ones.
struct SingleCall {
  // A tensor of the method.
  struct Source {
    enum class Kind : std::uint8_t { Input, Result, Kept };
    Kind kind = Kind::Input;
    std::size_t index = 0;  // among the method's inputs, the delegate's results, or `kept`
    friend bool operator==(const Source&, const Source&) = default;
  };
  std::vector<Source> arguments;  // for each tensor that the delegate reads
  std::vector<Source> outputs;    // for each output of the method
  struct Kept {
    TensorType type;
    std::vector<std::byte> initial;  // zeros where the file says nothing
  };
  std::vector<Kept> kept;
  struct Copy {
    std::size_t to = 0;  // of `kept`
    Source from;
  };
  std::vector<Copy> copies;  // after the call, in order; those into inputs are left out
};

// Unsupported when the method is not of this kind.
[[nodiscard]] Status check_single_call(const PteMethod& method);

// Precondition: check_single_call. `inputs` and `results` are the types that the delegate's program
// reads and writes; InvalidArgument when they are not those of the method's values. Unsupported
// when a tensor comes from elsewhere.
[[nodiscard]] Result<SingleCall> single_call(const PteMethod& method,
                                             std::span<const TensorType> inputs,
                                             std::span<const TensorType> results);

}  // namespace enn
