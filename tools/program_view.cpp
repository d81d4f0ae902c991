#include "program_view.hpp"

#include <cctype>

#include "program_generated.h"
#include "runtime/payload.hpp"

namespace enn::tool {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::uint64_t elements(const program::Tensor& tensor) {
  std::uint64_t count = 1;
  if (tensor.shape() == nullptr) return count;
  for (const std::uint32_t size : *tensor.shape()) count *= size;
  return count;
}

std::uint64_t element_bytes(program::DType dtype) {
  switch (dtype) {
    case program::DType_Float32:
    case program::DType_Int32:
      return 4;
    case program::DType_Int64:
      return 8;
    case program::DType_Float16:
      return 2;
    default:
      return 1;
  }
}

std::string type_text(const program::Tensor& tensor) {
  std::vector<std::uint32_t> shape;
  if (tensor.shape() != nullptr) shape.assign(tensor.shape()->begin(), tensor.shape()->end());
  return lower(program::EnumNameDType(tensor.dtype())) + list_str(shape);
}

// Dimension `axis` counted from the end.
std::uint64_t last(const program::Tensor& tensor, std::uint32_t axis) {
  return tensor.shape()->Get(tensor.shape()->size() - axis);
}

class Viewer {
 public:
  explicit Viewer(const program::Program& program) : tensors_(*program.tensors()) {}

  StepView view(const program::Step& step) const {
    StepView out;
    switch (step.op_type()) {
#define ENN_BIND(Table, bind)         \
  case program::Operator_##Table:     \
    fill(*step.op_as_##Table(), out); \
    break;
#include "runtime/operators.def"
#undef ENN_BIND
      default:
        break;
    }
    return out;
  }

 private:
  const program::Tensor& tensor(std::uint32_t id) const { return *tensors_.Get(id); }

  template <typename Table>
  void fill(const Table& table, StepView& out) const {
    if constexpr (requires { table.output(); }) describe(tensor(table.output()), out);
    if constexpr (requires { table.indices()->size(); }) {
      // A list of index tensors, not a result.
    } else if constexpr (requires { table.indices(); }) {
      describe(tensor(table.indices()), out);
    }
    if constexpr (requires {
                    table.weight();
                    table.groups();
                    table.stride_h();
                  }) {
      const program::Tensor& weight = tensor(table.weight());
      out.macs = elements(tensor(table.output())) * (elements(weight) / weight.shape()->Get(0));
    } else if constexpr (requires { table.transpose_b(); }) {
      out.macs = elements(tensor(table.output())) * last(tensor(table.a()), 1);
    }
  }

  static void describe(const program::Tensor& tensor, StepView& out) {
    out.output = type_text(tensor);
    out.storage = lower(program::EnumNameStorage(tensor.storage()));
    out.offset = tensor.offset();
    out.bytes = elements(tensor) * element_bytes(tensor.dtype());
  }

  const flatbuffers::Vector<flatbuffers::Offset<program::Tensor>>& tensors_;
};

}  // namespace

Result<ProgramView> view_program(std::span<const std::byte> payload) {
  ENN_ASSIGN(const auto body, open_payload(payload));
  // The FlatBuffer may lie at any address; it is read in place.
  std::vector<std::byte> aligned(body.begin(), body.end());
  const program::Program& program = *program::GetProgram(aligned.data());
  ProgramView out;
  out.constant_bytes = program.constants() == nullptr ? 0 : program.constants()->size();
  if (program.steps() == nullptr || program.tensors() == nullptr) return out;
  const Viewer viewer(program);
  for (const program::Step* const step : *program.steps()) {
    out.steps.push_back(viewer.view(*step));
    out.macs += out.steps.back().macs;
  }
  return out;
}

}  // namespace enn::tool
