#include "lowering/pte_reader.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "lowering/pte.hpp"
#include "lowering/pte_format.hpp"

namespace enn {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint64_t kLargestKept = std::uint64_t{1} << 31U;  // bytes

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
        if (const pte::KernelCall* kernel = instruction->arguments_as_KernelCall()) {
          ENN_TRY(add_copy(plan, *kernel, method));
        }
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
    ENN_TRY(add_kept(plan, method));
    for (const std::int64_t size : items(plan.non_const_buffer_sizes())) {
      if (size < 0 || size > std::numeric_limits<std::int64_t>::max() - method.planned_bytes) {
        return damaged("its memory plan has an impossible size");
      }
      method.planned_bytes += size;
    }
    return method;
  }

  // A call of aten::copy_; its arguments are (to, from, non_blocking, to).
  static Status add_copy(const pte::ExecutionPlan& plan, const pte::KernelCall& call,
                         PteMethod& method) {
    constexpr std::size_t kArguments = 4;
    const auto index = static_cast<std::uint32_t>(call.op_index());
    if (plan.operators() == nullptr || index >= plan.operators()->size())
      return damaged("a called operator is not there");
    const std::vector<std::int32_t> arguments = items(call.args());
    if (printable(plan.operators()->Get(index)->name()) != kCopyKernel ||
        arguments.size() != kArguments) {
      return {};
    }
    method.copies_first = method.copies_first || method.calls.empty();
    ENN_ASSIGN(auto type, read_value(plan, arguments[0]));
    method.copies.push_back({arguments[0], arguments[1], std::move(type)});
    return {};
  }

  Status add_kept(const pte::ExecutionPlan& plan, PteMethod& method) const {
    const std::uint32_t count = plan.values() == nullptr ? 0 : plan.values()->size();
    for (std::uint32_t i = 0; i < count; ++i) {
      const pte::Tensor* tensor = plan.values()->Get(i)->value_as_Tensor();
      if (tensor == nullptr || tensor->data_buffer_index() == 0 ||
          tensor->allocation() == nullptr) {
        continue;
      }
      ENN_ASSIGN(const auto type, read_value(plan, static_cast<std::int32_t>(i)));
      if (!type) continue;
      const std::uint64_t size =
          static_cast<std::uint64_t>(numel(type->shape)) * size_of(type->dtype);
      ENN_ASSIGN(const Bytes initial, read_initial(tensor->data_buffer_index(), size));
      method.kept.push_back({static_cast<std::int32_t>(i), initial});
    }
    return {};
  }

  Result<Bytes> read_initial(std::uint32_t index, std::uint64_t size) const {
    const auto* segments = program_.mutable_data_segments();
    if (segments == nullptr || segments->size() == 0 || segments->Get(0)->offsets() == nullptr ||
        index >= segments->Get(0)->offsets()->size()) {
      return damaged("a tensor's first value is not there");
    }
    ENN_ASSIGN(const Bytes segment, read_segment(segments->Get(0)->segment_index()));
    const std::uint64_t offset = segments->Get(0)->offsets()->Get(index);
    if (offset > segment.size() || size > segment.size() - offset)
      return damaged("a tensor's first value reaches beyond its segment");
    return segment.subspan(offset, size);
  }

  static Result<std::vector<std::optional<TensorType>>> read_values(
      const pte::ExecutionPlan& plan, const flatbuffers::Vector<std::int32_t>* indices) {
    std::vector<std::optional<TensorType>> out;
    for (const std::int32_t index : items(indices)) {
      ENN_ASSIGN(auto type, read_value(plan, index));
      out.push_back(std::move(type));
    }
    return out;
  }

  static Result<std::optional<TensorType>> read_value(const pte::ExecutionPlan& plan,
                                                      std::int32_t index) {
    const std::uint32_t count = plan.values() == nullptr ? 0 : plan.values()->size();
    if (index < 0 || static_cast<std::uint32_t>(index) >= count) {
      return damaged("a method names a value that it does not have");
    }
    const pte::Tensor* tensor =
        plan.values()->Get(static_cast<std::uint32_t>(index))->value_as_Tensor();
    if (tensor == nullptr) return std::optional<TensorType>();
    const auto dtype = dtype_of(tensor->scalar_type());
    if (!dtype) return std::optional<TensorType>();
    TensorType type{*dtype, {}};
    for (const std::int32_t size : items(tensor->sizes())) type.shape.push_back(size);
    if (!checked_numel(type.shape)) return damaged("a tensor has an impossible shape");
    return std::optional(std::move(type));
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
    return read_segment(index);
  }

  Result<Bytes> read_segment(std::uint32_t index) const {
    const auto* segments = program_.segments();
    if (segments == nullptr || index >= segments->size()) return damaged("a segment is not there");
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
  const bool copies_only = std::ranges::all_of(
      method.operators, [](const std::string& name) { return name == kCopyKernel; });
  if (method.calls.size() != 1 || method.delegates.size() != 1 || !copies_only ||
      method.copies_first) {
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
  using Source = SingleCall::Source;
  SingleCall out;
  std::map<std::int32_t, std::size_t> kept;  // values, places in out.kept
  for (const PteMethod::Copy& copy : method.copies) {
    if (std::ranges::find(method.input_values, copy.to) != method.input_values.end()) continue;
    if (!copy.type) return error(Code::Unsupported, "the program copies into what is no tensor");
    if (!kept.emplace(copy.to, out.kept.size()).second) continue;
    const auto initial = std::ranges::find(method.kept, copy.to, &PteMethod::Kept::value);
    const auto size =
        static_cast<std::uint64_t>(numel(copy.type->shape)) * size_of(copy.type->dtype);
    if (size > kLargestKept) {
      return error(Code::ResourceExhausted, "the program keeps a tensor of ", size,
                   " bytes from call to call");
    }
    out.kept.push_back({*copy.type, std::vector<std::byte>(size)});
    if (initial != method.kept.end())
      std::ranges::copy(initial->initial, out.kept.back().initial.begin());
  }
  const std::span<const std::int32_t> written = std::span(arguments).subspan(inputs.size());
  const auto source_of = [&](std::int32_t value) -> std::optional<Source> {
    if (const std::size_t result = position(written, value); result < written.size())
      return Source{Source::Kind::Result, result};
    if (const auto found = kept.find(value); found != kept.end())
      return Source{Source::Kind::Kept, found->second};
    if (const std::size_t input = position(method.input_values, value);
        input < method.inputs.size()) {
      return Source{Source::Kind::Input, input};
    }
    return std::nullopt;
  };
  const auto type_of = [&](const Source& source) -> std::optional<TensorType> {
    if (source.kind == Source::Kind::Input) return method.inputs[source.index];
    return source.kind == Source::Kind::Result ? results[source.index]
                                               : out.kept[source.index].type;
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto source = source_of(arguments[i]);
    if (!source || source->kind == Source::Kind::Result) {
      return error(Code::Unsupported, "the delegate's argument ", i,
                   " is no input of the program; only ExecuTorch's runtime can run it");
    }
    if (type_of(*source) != inputs[i]) {
      return wrong_type(source->kind == Source::Kind::Input ? "input" : "buffer", source->index);
    }
    out.arguments.push_back(*source);
  }
  for (std::size_t i = 0; i < method.outputs.size(); ++i) {
    const auto source = source_of(method.output_values[i]);
    if (!source) {
      return error(Code::Unsupported, "the program's output ", i,
                   " is neither an input nor a result of the delegate; only ExecuTorch's runtime "
                   "can run it");
    }
    if (method.outputs[i] != type_of(*source)) return wrong_type("output", i);
    out.outputs.push_back(*source);
  }
  for (const PteMethod::Copy& copy : method.copies) {
    const auto to = kept.find(copy.to);
    if (to == kept.end()) continue;
    const auto from = source_of(copy.from);
    if (!from || type_of(*from) != out.kept[to->second].type) {
      return error(Code::Unsupported,
                   "the program copies what is neither an input nor a result of the delegate; only "
                   "ExecuTorch's runtime can run it");
    }
    out.copies.push_back({to->second, *from});
  }
  return out;
}

}  // namespace enn
