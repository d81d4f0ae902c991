#include "lowering/pte_reader.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "lowering/pte_format.hpp"

namespace enn {
namespace {

using Bytes = std::span<const std::byte>;

Status damaged(std::string_view what) {
  return error(Code::InvalidArgument, "the file is no .pte that can be read: ", what);
}

// Names of files from strangers go into messages and tables.
std::string printable(const flatbuffers::String* text) {
  constexpr std::size_t kLongest = 128;
  std::string out = text == nullptr ? "" : text->str().substr(0, kLongest);
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// No elements for a list that is absent.
template <typename T>
auto items(const flatbuffers::Vector<T>* list) {
  std::vector<typename flatbuffers::Vector<T>::return_type> out;
  if (list != nullptr) out.assign(list->begin(), list->end());
  return out;
}

std::optional<DType> dtype_of(pte::ScalarType type) {
  for (const pte::ScalarTypeRow& row : pte::kScalarTypes) {
    if (row.number == type) return row.dtype;
  }
  return std::nullopt;
}

class Reader {
 public:
  // `program` is verified and lies in `flatbuffer`, a copy of the first bytes of `file` or those
  // themselves.
  Reader(Bytes file, Bytes flatbuffer, std::uint64_t segment_base, const pte::Program& program)
      : file_(file), flatbuffer_(flatbuffer), segment_base_(segment_base), program_(program) {}

  Result<std::vector<PteMethod>> read() {
    std::vector<PteMethod> methods;
    for (const pte::ExecutionPlan* plan : items(program_.execution_plan())) {
      ENN_ASSIGN(PteMethod method, read_method(*plan));
      methods.push_back(std::move(method));
    }
    return methods;
  }

 private:
  Result<PteMethod> read_method(const pte::ExecutionPlan& plan) const {
    PteMethod method;
    method.name = printable(plan.name());
    ENN_ASSIGN(method.inputs, read_values(plan, plan.inputs()));
    ENN_ASSIGN(method.outputs, read_values(plan, plan.outputs()));
    method.input_values = items(plan.inputs());
    method.output_values = items(plan.outputs());
    for (const pte::BackendDelegate* delegate : items(plan.delegates())) {
      ENN_ASSIGN(PteDelegate read, read_delegate(*delegate));
      method.delegates.push_back(std::move(read));
    }
    for (const pte::Chain* chain : items(plan.chains())) {
      for (const pte::Instruction* instruction : items(chain->instructions())) {
        const pte::DelegateCall* call = instruction->arguments_as_DelegateCall();
        if (call == nullptr) continue;
        const auto delegate = static_cast<std::uint32_t>(call->delegate_index());
        if (delegate >= method.delegates.size()) return damaged("a called delegate is not there");
        method.calls.push_back({delegate, items(call->args())});
      }
    }
    for (const pte::Operator* op : items(plan.operators())) {
      const std::string overload = printable(op->overload());
      method.operators.push_back(printable(op->name()) + (overload.empty() ? "" : ".") + overload);
    }
    for (const std::int64_t size : items(plan.non_const_buffer_sizes())) {
      if (size < 0 || size > std::numeric_limits<std::int64_t>::max() - method.planned_bytes) {
        return damaged("its memory plan has an impossible size");
      }
      method.planned_bytes += size;
    }
    return method;
  }

  static Result<std::vector<std::optional<TensorType>>> read_values(
      const pte::ExecutionPlan& plan, const flatbuffers::Vector<std::int32_t>* indices) {
    std::vector<std::optional<TensorType>> out;
    const std::uint32_t count = plan.values() == nullptr ? 0 : plan.values()->size();
    for (const std::int32_t index : items(indices)) {
      if (index < 0 || static_cast<std::uint32_t>(index) >= count) {
        return damaged("a method has an input or output that is no value of it");
      }
      const pte::Tensor* tensor =
          plan.values()->Get(static_cast<std::uint32_t>(index))->value_as_Tensor();
      out.emplace_back();
      if (tensor == nullptr) continue;
      const auto dtype = dtype_of(tensor->scalar_type());
      if (!dtype) continue;
      TensorType type{*dtype, {}};
      for (const std::int32_t size : items(tensor->sizes())) type.shape.push_back(size);
      if (!checked_numel(type.shape)) return damaged("a tensor has an impossible shape");
      out.back() = std::move(type);
    }
    return out;
  }

  Result<PteDelegate> read_delegate(const pte::BackendDelegate& delegate) const {
    PteDelegate out;
    out.id = printable(delegate.id());
    for (const pte::CompileSpec* spec : items(delegate.compile_specs())) {
      out.compile_specs.push_back({printable(spec->key()), {}});
      for (const std::uint8_t byte : items(spec->value()))
        out.compile_specs.back().value.push_back(std::byte{byte});
    }
    if (delegate.processed() == nullptr) return damaged("a delegate has no data");
    ENN_ASSIGN(out.payload, read_data(*delegate.processed()));
    return out;
  }

  Result<Bytes> read_data(const pte::DelegateData& reference) const {
    const std::uint32_t index = reference.index();
    if (reference.location() == pte::DataLocation_Inline) {
      const auto* list = program_.backend_delegate_data();
      if (list == nullptr || index >= list->size())
        return damaged("a delegate's data is not there");
      const auto* data = list->Get(index)->data();
      if (data == nullptr) return Bytes();
      const auto* first = reinterpret_cast<const std::byte*>(data->data());
      return file_.subspan(static_cast<std::size_t>(first - flatbuffer_.data()), data->size());
    }
    const auto* segments = program_.segments();
    if (segments == nullptr || index >= segments->size())
      return damaged("a delegate's segment is not there");
    const pte::DataSegment& segment = *segments->Get(index);
    const std::uint64_t room = file_.size() - segment_base_;
    if (segment.offset() > room || segment.size() > room - segment.offset())
      return damaged("a segment reaches beyond its end");
    return file_.subspan(segment_base_ + segment.offset(), segment.size());
  }

  Bytes file_;
  Bytes flatbuffer_;
  std::uint64_t segment_base_;
  const pte::Program& program_;
};

std::uint64_t number(Bytes bytes, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

}  // namespace

Result<std::vector<PteMethod>> read_pte(Bytes file) {
  if (file.size() < pte::kMagicEnd + pte::kExtendedHeaderBytes) return damaged("it is too short");
  std::uint64_t size = file.size();
  std::uint64_t segment_base = file.size();
  // A file without segments has no extended header.
  if (std::memcmp(file.data() + pte::kMagicEnd, pte::kExtendedMagic.data(),
                  pte::kExtendedMagic.size()) == 0) {
    size = number(file, pte::kProgramSizeAt);
    segment_base = number(file, pte::kSegmentBaseAt);
    if (size > file.size() || segment_base > file.size()) return damaged("it is cut short");
    if (segment_base == 0) segment_base = file.size();
  }
  if (size >= FLATBUFFERS_MAX_BUFFER_SIZE) return damaged("its tables are too large");
  // FlatBuffers are read where they lie, at the alignment of their largest number.
  Bytes flatbuffer = file.first(size);
  std::vector<std::uint64_t> copy;
  if (reinterpret_cast<std::uintptr_t>(file.data()) % alignof(std::uint64_t) != 0) {
    copy.resize((size + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
    std::memcpy(copy.data(), file.data(), size);
    flatbuffer = std::as_bytes(std::span(copy)).first(size);
  }
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(flatbuffer.data()),
                                 flatbuffer.size());
  if (!pte::VerifyProgramBuffer(verifier)) return damaged("its tables do not hold together");
  return Reader(file, flatbuffer, segment_base, *pte::GetProgram(flatbuffer.data())).read();
}

Status check_single_call(const PteMethod& method) {
  if (method.calls.size() != 1 || method.delegates.size() != 1 || !method.operators.empty()) {
    return error(Code::Unsupported, "the program is not one call of the delegate: it has ",
                 method.calls.size(), " calls of delegates and ", method.operators.size(),
                 " operators outside of them; only ExecuTorch's runtime can run it");
  }
  return {};
}

Result<SingleCall> single_call(const PteMethod& method, std::span<const TensorType> inputs,
                               std::span<const TensorType> results) {
  const std::vector<std::int32_t>& arguments = method.calls.front().arguments;
  if (arguments.size() != inputs.size() + results.size()) {
    return error(Code::InvalidArgument, "the program calls the delegate with ", arguments.size(),
                 " tensors, but its payload has ", inputs.size(), " inputs and ", results.size(),
                 " outputs");
  }
  const auto position = [](std::span<const std::int32_t> values, std::int32_t value) {
    return static_cast<std::size_t>(std::ranges::find(values, value) - values.begin());
  };
  const auto wrong_type = [](std::string_view what, std::size_t index) {
    return error(Code::InvalidArgument, "the program's ", what, ' ', index,
                 " has another type than the delegate's payload says");
  };
  SingleCall out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    out.arguments.push_back(position(method.input_values, arguments[i]));
    const std::size_t input = out.arguments.back();
    if (input == method.inputs.size()) {
      return error(Code::Unsupported, "the delegate's argument ", i,
                   " is no input of the program; only ExecuTorch's runtime can run it");
    }
    if (method.inputs[input] != inputs[i]) return wrong_type("input", input);
  }
  const std::span<const std::int32_t> written = std::span(arguments).subspan(inputs.size());
  for (std::size_t i = 0; i < method.outputs.size(); ++i) {
    const std::int32_t value = method.output_values[i];
    const std::size_t result = position(written, value);
    const std::size_t input = position(method.input_values, value);
    if (result == written.size() && input == method.inputs.size()) {
      return error(Code::Unsupported, "the program's output ", i,
                   " is neither an input nor a result of the delegate; only ExecuTorch's runtime "
                   "can run it");
    }
    const bool is_input = result == written.size();
    if (!is_input && method.outputs[i] != results[result]) return wrong_type("output", i);
    out.outputs.push_back({is_input, is_input ? input : result});
  }
  return out;
}

}  // namespace enn
