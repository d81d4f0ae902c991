#include "runtime/binding.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/printable.hpp"

namespace enn {
namespace {

// Limits on what one file can make the loader do. A step may list one table or constant a million
// times, so neither is bounded by the size of the file.
constexpr std::uint64_t kMaxLookups = std::uint64_t{1} << 20U;
constexpr std::uint64_t kConstantUses = 8;
constexpr std::uint64_t kFreeConstantBytes = std::uint64_t{4} << 20U;

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t sum = a + b;
  return sum < a ? std::numeric_limits<std::uint64_t>::max() : sum;
}

Result<OperatorPtr> bind_operator(const program::Step& step, Binder& binder) {
  if (step.op() == nullptr) {
    return error(Code::InvalidProgram, "it has no operator");
  }
  switch (step.op_type()) {
#define ENN_BIND(Table, function) \
  case program::Operator_##Table: \
    return function(*step.op_as_##Table(), binder);
#include "runtime/operators.def"
#undef ENN_BIND
    case program::Operator_NONE:
      break;
  }
  return error(Code::InvalidProgram, "its operator has the unknown number ",
               static_cast<int>(step.op_type()), "; a newer runtime may know it");
}

}  // namespace

ProgramBinder::ProgramBinder(const CheckedTensors& tensors, std::span<const std::byte> constants,
                             CpuFeatures features, const BindLimits& limits)
    : tensors_(tensors),
      constants_(constants),
      features_(features),
      limits_(limits),
      written_(tensors.outputs.size() + 1) {}

bool ProgramBinder::is_writable(const TensorInfo& tensor) {
  return tensor.storage == program::Storage_Arena || tensor.storage == program::Storage_Output;
}

ProgramBinder::Place ProgramBinder::place(const TensorInfo& tensor) {
  if (tensor.storage == program::Storage_Arena) {
    return {0, {tensor.offset, tensor.offset + tensor.bytes}};
  }
  return {static_cast<std::size_t>(tensor.offset) + 1, {0, tensor.bytes}};
}

Result<const TensorInfo*> ProgramBinder::find(std::uint32_t id) {
  if (++lookups_ > kMaxLookups) {
    return error(Code::ResourceExhausted, "the steps name more than ", kMaxLookups, " tensors");
  }
  if (id >= tensors_.tensors.size()) {
    return error(Code::InvalidProgram, "it names tensor ", id, " of ", tensors_.tensors.size());
  }
  const TensorInfo* const found = &tensors_.tensors[id];
  report_cost(static_cast<std::uint64_t>(found->numel));
  return found;
}

Status ProgramBinder::check_disjoint(const TensorInfo& tensor, const Place& at,
                                     const std::vector<Place>& others) const {
  for (const Place& other : others) {
    if (at.space != other.space || at.range == other.range || !at.range.overlaps(other.range)) {
      continue;
    }
    return error(Code::InvalidProgram, "its tensor ", tensor.id,
                 " overlaps another of its tensors, one of which it writes");
  }
  return {};
}

Result<const TensorInfo*> ProgramBinder::tensor(std::uint32_t id) {
  ENN_ASSIGN(const TensorInfo* const found, find(id));
  if (!is_writable(*found)) return found;
  const Place at = place(*found);
  if (!written_[at.space].covers(at.range)) {
    return error(Code::InvalidProgram, "it reads tensor ", id, " before all of it is written");
  }
  ENN_TRY(check_disjoint(*found, at, writes_));
  reads_.push_back(at);
  return found;
}

Result<const TensorInfo*> ProgramBinder::result(std::uint32_t id) {
  ENN_ASSIGN(const TensorInfo* const found, find(id));
  if (!is_writable(*found)) {
    return error(Code::InvalidProgram, "it writes tensor ", id, ", which is in the storage ",
                 storage_name(found->storage));
  }
  const Place at = place(*found);
  if (found->storage == program::Storage_Output && written_[at.space].overlaps(at.range)) {
    return error(Code::InvalidProgram, "it writes output ", found->offset, " a second time");
  }
  ENN_TRY(check_disjoint(*found, at, reads_));
  ENN_TRY(check_disjoint(*found, at, writes_));
  writes_.push_back(at);
  return found;
}

Status ProgramBinder::check_constant(const TensorInfo& tensor) {
  if (tensor.storage != program::Storage_Constant) {
    return error(Code::InvalidProgram, "its tensor ", tensor.id,
                 " must be a constant but is in the storage ", storage_name(tensor.storage));
  }
  return {};
}

Result<std::span<const std::byte>> ProgramBinder::constant(const TensorInfo& tensor) const {
  ENN_TRY(check_constant(tensor));
  // Operators pack what they are given; several may share a weight, within reason.
  bound_constant_bytes_ += tensor.bytes;
  if (bound_constant_bytes_ > kConstantUses * constants_.size() + kFreeConstantBytes) {
    return error(Code::ResourceExhausted, "the steps use the ", constants_.size(),
                 " bytes of constants more than ", kConstantUses, " times over");
  }
  return constants_.subspan(static_cast<std::size_t>(tensor.offset), tensor.bytes);
}

Result<Binder::PackedConstant> ProgramBinder::packed_constant(const TensorInfo& tensor,
                                                              std::string_view packing) {
  ENN_TRY(check_constant(tensor));
  std::string name = str(tensor.offset, '+', tensor.bytes, ' ', packing);
  const bool first = packed_.insert(name).second;
  if (first) ENN_TRY(constant(tensor).status());
  return PackedConstant{constants_.subspan(static_cast<std::size_t>(tensor.offset), tensor.bytes),
                        first,
                        {&packs_, std::move(name)}};
}

void ProgramBinder::request_scratch(std::size_t bytes) {
  scratch_bytes_ = std::max(scratch_bytes_, bytes);
}

void ProgramBinder::report_cost(std::uint64_t operations) {
  operations_ = saturating_add(operations_, operations);
}

Status ProgramBinder::check_budgets() const {
  if (scratch_bytes_ > limits_.max_scratch_bytes) {
    return error(Code::ResourceExhausted, "it needs ", scratch_bytes_, " bytes of scratch memory; ",
                 limits_.max_scratch_bytes, " are allowed");
  }
  if (operations_ > limits_.max_operations) {
    return error(Code::ResourceExhausted, "with it a run takes ", operations_,
                 " elementary operations; ", limits_.max_operations, " are allowed");
  }
  return {};
}

Result<OperatorPtr> ProgramBinder::bind(std::size_t index, const program::Step& step) {
  reads_.clear();
  writes_.clear();
  Result<OperatorPtr> bound = bind_operator(step, *this);
  const Status status = bound.ok() ? check_budgets() : bound.status();
  if (!status.ok()) {
    return error(status.code(), "step ", index, " (", program::EnumNameOperator(step.op_type()),
                 " '", printable(step.name()), "'): ", status.message());
  }
  for (const Place& at : writes_) written_[at.space].add(at.range);
  return bound;
}

Status ProgramBinder::finish() const {
  for (const TensorInfo& tensor : tensors_.tensors) {
    if (tensor.storage != program::Storage_Output) continue;
    const Place at = place(tensor);
    if (!written_[at.space].covers(at.range)) {
      return error(Code::InvalidProgram, "no step writes output ", tensor.offset);
    }
  }
  return {};
}

}  // namespace enn
