#include "lowering/pte.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "lowering/pte_format.hpp"

namespace enn {
namespace {

// What ExecuTorch's own writer uses: tensors begin at multiples of 16 bytes of their buffer,
// segments at multiples of 128 bytes of the file.
constexpr std::uint64_t kTensorAlignment = 16;
constexpr std::uint64_t kSegmentAlignment = 128;
constexpr std::uint32_t kPlannedBuffer = 1;  // the only one in use

std::uint64_t aligned(std::uint64_t size, std::uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

pte::ScalarType scalar_type(DType dtype) {
  return std::ranges::find(pte::kScalarTypes, dtype, &pte::ScalarTypeRow::dtype)->number;
}

// A tree of torch.utils._pytree in JSON, version 1.
std::string tree(std::string_view type, std::string_view context, std::string_view children) {
  return str("{\"type\": ", type, ", \"context\": ", context, ", \"children_spec\": [", children,
             "]}");
}

std::string leaf() { return tree("null", "null", ""); }

std::string tuple_of_leaves(std::size_t count) {
  std::string children;
  for (std::size_t i = 0; i < count; ++i) children += (i == 0 ? "" : ", ") + leaf();
  return tree(R"("builtins.tuple")", R"("null")", children);
}

std::string versioned(std::string_view tree) { return str("[1, ", tree, "]"); }

class MethodWriter {
 public:
  explicit MethodWriter(const DelegatedMethod& method) : method_(method) {}

  Result<pte::ProgramT> write() {
    auto plan = std::make_unique<pte::ExecutionPlanT>();
    plan->name = "forward";
    for (const MethodValue& value : method_.values) {
      plan->values.push_back(std::make_unique<pte::EValueT>());
      pte::ValueUnion& written = plan->values.back()->value;
      if (const auto* type = std::get_if<TensorType>(&value)) {
        ENN_ASSIGN(pte::TensorT tensor, planned_tensor(*type));
        written.Set(std::move(tensor));
      } else {
        set_scalar(std::get<Scalar>(value), written);
      }
    }
    plan->inputs.resize(method_.inputs);
    std::iota(plan->inputs.begin(), plan->inputs.end(), 0);
    for (const std::uint32_t index : method_.outputs) {
      const auto* scalar = std::get_if<Scalar>(&method_.values[index]);
      if (scalar != nullptr && std::holds_alternative<std::string>(*scalar)) {
        return error(Code::Unsupported,
                     "the program returns a text, which a .pte file has no place for");
      }
      plan->outputs.push_back(static_cast<std::int32_t>(index));
    }
    pte::ProgramT program;
    // The first segment holds the constants outside of the delegate: there are none.
    program.segments.push_back(std::make_unique<pte::DataSegmentT>());
    program.segments.push_back(std::make_unique<pte::DataSegmentT>());
    program.segments.back()->size = method_.payload.size();
    program.constant_segment = std::make_unique<pte::SubsegmentOffsetsT>();
    program.constant_segment->offsets = {0};
    if (!method_.kept.empty()) add_initial_values(*plan, program);
    plan->container_meta_type = container_meta();
    plan->delegates.push_back(delegate());
    plan->chains.push_back(chain());
    if (!method_.copies.empty()) add_copies(*plan);
    plan->non_const_buffer_sizes = {0, static_cast<std::int64_t>(planned_)};

    program.execution_plan.push_back(std::move(plan));
    return program;
  }

 private:
  // The third segment, and which tensors find their first value in it.
  void add_initial_values(pte::ExecutionPlanT& plan, pte::ProgramT& program) const {
    auto values = std::make_unique<pte::SubsegmentOffsetsT>();
    values->segment_index = static_cast<std::uint32_t>(program.segments.size());
    values->offsets = {0};
    std::uint64_t size = 0;
    for (const KeptTensor& kept : method_.kept) {
      plan.values[kept.value]->value.AsTensor()->data_buffer_index =
          static_cast<std::uint32_t>(values->offsets.size());
      values->offsets.push_back(size);
      size += kept.initial->size();
    }
    program.segments.push_back(std::make_unique<pte::DataSegmentT>());
    program.segments.back()->offset = aligned(method_.payload.size(), kSegmentAlignment);
    program.segments.back()->size = size;
    program.mutable_data_segments.push_back(std::move(values));
  }

  // One call of ExecuTorch's kernel for each: (to, from, non_blocking = False) -> to.
  void add_copies(pte::ExecutionPlanT& plan) const {
    const auto not_blocking = static_cast<std::int32_t>(plan.values.size());
    plan.values.push_back(std::make_unique<pte::EValueT>());
    plan.values.back()->value.Set(pte::BoolT());
    plan.operators.push_back(std::make_unique<pte::OperatorT>());
    plan.operators.back()->name = kCopyKernel;
    for (const TensorCopy& copy : method_.copies) {
      const auto to = static_cast<std::int32_t>(copy.to);
      pte::KernelCallT call;
      call.args = {to, static_cast<std::int32_t>(copy.from), not_blocking, to};
      auto instruction = std::make_unique<pte::InstructionT>();
      instruction->arguments.Set(std::move(call));
      plan.chains.back()->instructions.push_back(std::move(instruction));
    }
  }

  // Every input and result is alive during the one call, so none shares memory.
  Result<pte::TensorT> planned_tensor(const TensorType& type) {
    pte::TensorT tensor;
    tensor.scalar_type = scalar_type(type.dtype);
    for (const std::int64_t size : type.shape) {
      if (size > std::numeric_limits<std::int32_t>::max()) {
        return error(Code::Unsupported, "a .pte file has no room for the tensor ", to_string(type),
                     ": sizes end at ", std::numeric_limits<std::int32_t>::max());
      }
      tensor.sizes.push_back(static_cast<std::int32_t>(size));
    }
    tensor.dim_order.resize(type.shape.size());
    std::iota(tensor.dim_order.begin(), tensor.dim_order.end(), std::uint8_t{0});
    tensor.allocation = std::make_unique<pte::AllocationDetailsT>();
    tensor.allocation->memory_id = kPlannedBuffer;
    tensor.allocation->memory_offset_low = static_cast<std::uint32_t>(planned_);
    tensor.allocation->memory_offset_high = static_cast<std::uint32_t>(planned_ >> 32U);
    planned_ += aligned(static_cast<std::uint64_t>(numel(type.shape)) * size_of(type.dtype),
                        kTensorAlignment);
    return tensor;
  }

  // ExecuTorch's own writer has None for a text.
  static void set_scalar(const Scalar& scalar, pte::ValueUnion& value) {
    if (const auto* truth = std::get_if<bool>(&scalar)) {
      value.Set(pte::BoolT{{}, *truth});
    } else if (const auto* integer = std::get_if<std::int64_t>(&scalar)) {
      value.Set(pte::IntT{{}, *integer});
    } else if (const auto* number = std::get_if<double>(&scalar)) {
      value.Set(pte::DoubleT{{}, *number});
    } else {
      value.Set(pte::NullT());
    }
  }

  [[nodiscard]] std::unique_ptr<pte::ContainerMetadataT> container_meta() const {
    auto out = std::make_unique<pte::ContainerMetadataT>();
    out->inputs = method_.input_tree;
    if (out->inputs.empty()) {
      const std::string arguments = tuple_of_leaves(method_.inputs);
      const std::string keywords = tree(R"("builtins.dict")", R"("[]")", "");
      out->inputs =
          versioned(tree(R"("builtins.tuple")", R"("null")", arguments + ", " + keywords));
    }
    out->outputs = method_.output_tree;
    if (out->outputs.empty()) {
      const std::size_t outputs = method_.outputs.size();
      out->outputs = versioned(outputs == 1 ? leaf() : tuple_of_leaves(outputs));
    }
    return out;
  }

  [[nodiscard]] std::unique_ptr<pte::BackendDelegateT> delegate() const {
    auto out = std::make_unique<pte::BackendDelegateT>();
    out->id = kDelegateName;
    out->processed = std::make_unique<pte::DelegateDataT>();
    out->processed->location = pte::DataLocation_Segment;
    out->processed->index = 1;
    for (const CompileSpec& spec : method_.compile_specs) {
      auto copy = std::make_unique<pte::CompileSpecT>();
      copy->key = spec.key;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(spec.value.data());
      copy->value.assign(bytes, bytes + spec.value.size());
      out->compile_specs.push_back(std::move(copy));
    }
    return out;
  }

  [[nodiscard]] std::unique_ptr<pte::ChainT> chain() const {
    pte::DelegateCallT call;
    call.args.assign(method_.arguments.begin(), method_.arguments.end());
    auto instruction = std::make_unique<pte::InstructionT>();
    instruction->arguments.Set(std::move(call));
    auto out = std::make_unique<pte::ChainT>();
    out->instructions.push_back(std::move(instruction));
    return out;
  }

  const DelegatedMethod& method_;
  std::uint64_t planned_ = 0;  // bytes of the planned buffer
};

template <typename T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const auto* first = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof(value));
}

}  // namespace

Result<std::vector<std::byte>> write_pte(const DelegatedMethod& method) {
  ENN_ASSIGN(const pte::ProgramT program, MethodWriter(method).write());
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(pte::Program::Pack(builder, &program), pte::ProgramIdentifier());
  const auto* body = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());

  // The extended header lies between the FlatBuffer's identifier and the rest of it, which keeps
  // its alignment because the header's size is a multiple of every one.
  const std::uint64_t program_size = builder.GetSize() + pte::kExtendedHeaderBytes;
  const std::uint64_t segment_base = aligned(program_size, kSegmentAlignment);
  std::uint32_t root = 0;
  std::memcpy(&root, body, sizeof(root));
  std::vector<std::byte> out;
  out.reserve(segment_base + method.payload.size());
  append(out, root + pte::kExtendedHeaderBytes);
  out.insert(out.end(), body + sizeof(root), body + pte::kMagicEnd);
  for (const char c : pte::kExtendedMagic) append(out, c);
  append(out, pte::kExtendedHeaderBytes);
  append(out, program_size);
  append(out, segment_base);
  append(out, method.kept.empty()
                  ? std::uint64_t{method.payload.size()}
                  : program.segments.back()->offset + program.segments.back()->size);
  out.insert(out.end(), body + pte::kMagicEnd, body + builder.GetSize());
  out.resize(segment_base);
  out.insert(out.end(), method.payload.begin(), method.payload.end());
  if (!method.kept.empty()) out.resize(segment_base + program.segments.back()->offset);
  for (const KeptTensor& kept : method.kept)
    out.insert(out.end(), kept.initial->begin(), kept.initial->end());
  return out;
}

}  // namespace enn
