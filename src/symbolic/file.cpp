// SymbolicGraph as the FlatBuffer of schema/symbolic.fbs.
#include <cstring>
#include <memory>
#include <set>

#include "base/payload_header.hpp"
#include "base/printable.hpp"
#include "symbolic/symbolic_graph.hpp"
#include "symbolic_generated.h"

namespace enn {
namespace {

constexpr std::size_t kAlignment = 16;
// A model has a few thousand calls of a few arguments; a file that lists one table over and over is
// stopped here.
constexpr flatbuffers::uoffset_t kMaxTables = 1U << 19U;
constexpr flatbuffers::uoffset_t kMaxDepth = 16;

// --- writing

std::unique_ptr<symbolic::IntegerT> write_integer(const SymbolicInteger& integer) {
  auto out = std::make_unique<symbolic::IntegerT>();
  out->value = integer.value;
  out->expression = integer.expression;
  return out;
}

auto write_integers(const std::vector<SymbolicInteger>& integers) {
  std::vector<std::unique_ptr<symbolic::IntegerT>> out;
  for (const SymbolicInteger& item : integers) out.push_back(write_integer(item));
  return out;
}

std::unique_ptr<symbolic::TypeT> write_type(const SymbolicType& type) {
  auto out = std::make_unique<symbolic::TypeT>();
  out->dtype = to_string(type.dtype);
  out->sizes = write_integers(type.sizes);
  return out;
}

SymbolicType symbolic_type(const TensorType& type) {
  SymbolicType out{type.dtype, {}};
  for (const std::int64_t size : type.shape) out.sizes.push_back({size, {}});
  return out;
}

// An Argument's alternative into the field of its kind.
class ArgumentWriter {
 public:
  explicit ArgumentWriter(symbolic::ArgumentT& out) : out_(out) {}

  void operator()(std::monostate /*none*/) { out_.kind = symbolic::ArgumentKind_None; }
  void operator()(TensorArgument tensor) {
    out_.kind = symbolic::ArgumentKind_Tensor;
    out_.tensors = {tensor.id};
  }
  void operator()(const std::vector<TensorArgument>& tensors) {
    out_.kind = symbolic::ArgumentKind_Tensors;
    for (const TensorArgument& tensor : tensors) out_.tensors.push_back(tensor.id);
  }
  void operator()(std::int64_t value) {
    out_.kind = symbolic::ArgumentKind_Integer;
    out_.integers.push_back(write_integer({value, {}}));
  }
  void operator()(double value) {
    out_.kind = symbolic::ArgumentKind_Number;
    out_.numbers = {value};
  }
  void operator()(bool value) {
    out_.kind = symbolic::ArgumentKind_Boolean;
    out_.integers.push_back(write_integer({value ? 1 : 0, {}}));
  }
  void operator()(const std::string& value) {
    out_.kind = symbolic::ArgumentKind_Text;
    out_.text = value;
  }
  void operator()(const std::vector<std::int64_t>& values) {
    out_.kind = symbolic::ArgumentKind_Integers;
    for (const std::int64_t value : values) out_.integers.push_back(write_integer({value, {}}));
  }
  void operator()(const std::vector<double>& values) {
    out_.kind = symbolic::ArgumentKind_Numbers;
    out_.numbers = values;
  }
  // The engine does not take calls with one.
  void operator()(const SymbolArgument& /*symbol*/) { out_.kind = symbolic::ArgumentKind_None; }

 private:
  symbolic::ArgumentT& out_;
};

std::unique_ptr<symbolic::CallT> write_call(const SymbolicCall& call, ValueId value,
                                            bool source_lines) {
  auto out = std::make_unique<symbolic::CallT>();
  out->target = call.call.target;
  out->name = call.call.name;
  out->source = source_lines ? portable_source(call.call.origin) : std::string();
  out->module_path = module_path(call.call.origin);
  out->value = value;
  for (const auto& [name, argument] : call.call.arguments) {
    auto& written = out->arguments.emplace_back(std::make_unique<symbolic::ArgumentT>());
    written->name = name;
    std::visit(ArgumentWriter(*written), argument);
  }
  for (const SymbolicArgument& argument : call.arguments) {
    auto& written = out->arguments.emplace_back(std::make_unique<symbolic::ArgumentT>());
    written->name = argument.name;
    written->kind =
        argument.is_list ? symbolic::ArgumentKind_Integers : symbolic::ArgumentKind_Integer;
    written->integers = write_integers(argument.integers);
  }
  for (const SymbolicType& type : call.results) out->results.push_back(write_type(type));
  return out;
}

auto write_orders(const std::vector<DimOrder>& orders) {
  std::vector<std::unique_ptr<symbolic::DimOrderT>> out;
  for (const DimOrder& order : orders) {
    out.push_back(std::make_unique<symbolic::DimOrderT>());
    out.back()->dims = order;
  }
  return out;
}

// --- reading

Status malformed(const auto&... why) {
  return error(Code::InvalidProgram, "the program with dynamic sizes is malformed: ", why...);
}

std::string text(const flatbuffers::String* from) { return from == nullptr ? "" : from->str(); }

SymbolicInteger read_integer(const symbolic::Integer* from) {
  if (from == nullptr) return {};
  return {from->value(), text(from->expression())};
}

template <typename T>
auto items(const flatbuffers::Vector<T>* vector) {
  std::vector<typename flatbuffers::Vector<T>::return_type> out;
  if (vector != nullptr) out.assign(vector->begin(), vector->end());
  return out;
}

std::vector<SymbolicInteger> read_integers(
    const flatbuffers::Vector<flatbuffers::Offset<symbolic::Integer>>* from) {
  std::vector<SymbolicInteger> out;
  for (const symbolic::Integer* item : items(from)) out.push_back(read_integer(item));
  return out;
}

Result<SymbolicType> read_type(const symbolic::Type* from) {
  if (from == nullptr) return malformed("a type is missing");
  const auto dtype = dtype_from_string(text(from->dtype()));
  if (!dtype || !is_known(*dtype)) {
    return malformed("there is no element type '", printable_text(text(from->dtype())), "'");
  }
  return SymbolicType{*dtype, read_integers(from->sizes())};
}

Result<Argument> read_argument(const symbolic::Argument& from) {
  const auto tensors = items(from.tensors());
  const auto numbers = items(from.numbers());
  switch (from.kind()) {
    case symbolic::ArgumentKind_None:
      return Argument(std::monostate{});
    case symbolic::ArgumentKind_Tensor:
      if (tensors.size() != 1) break;
      return Argument(TensorArgument{tensors.front()});
    case symbolic::ArgumentKind_Tensors: {
      std::vector<TensorArgument> out;
      for (const ValueId id : tensors) out.push_back({id});
      return Argument(std::move(out));
    }
    case symbolic::ArgumentKind_Number:
      if (numbers.size() != 1) break;
      return Argument(numbers.front());
    case symbolic::ArgumentKind_Numbers:
      return Argument(numbers);
    case symbolic::ArgumentKind_Boolean: {
      const auto integers = read_integers(from.integers());
      if (integers.size() != 1) break;
      return Argument(integers.front().value != 0);
    }
    case symbolic::ArgumentKind_Text:
      return Argument(text(from.text()));
    default:
      break;
  }
  return malformed("an argument has no value of its kind");
}

std::vector<DimOrder> read_orders(
    const flatbuffers::Vector<flatbuffers::Offset<symbolic::DimOrder>>* from) {
  std::vector<DimOrder> out;
  for (const symbolic::DimOrder* order : items(from)) out.push_back(items(order->dims()));
  return out;
}

bool is_integer_kind(symbolic::ArgumentKind kind) {
  return kind == symbolic::ArgumentKind_Integer || kind == symbolic::ArgumentKind_Integers;
}

}  // namespace

class SymbolicReader {
 public:
  Result<SymbolicGraph> read(const symbolic::Graph& root) {
    for (const symbolic::Input* input : items(root.inputs())) ENN_TRY(read_input(*input));
    data_ = root.data();
    for (const symbolic::Constant* constant : items(root.constants()))
      ENN_TRY(read_constant(*constant));
    for (const symbolic::Call* call : items(root.calls())) ENN_TRY(read_call(*call));
    graph_.outputs_ = items(root.outputs());
    if (graph_.outputs_.empty()) return malformed("it has no outputs");
    graph_.set_orders(read_orders(root.input_orders()), read_orders(root.output_orders()));
    return std::move(graph_);
  }

 private:
  // Numbers are given once.
  Status define(ValueId value) {
    if (value != kNone && defined_.insert(value).second) return {};
    return malformed("value ", value, " is defined twice");
  }

  Status read_input(const symbolic::Input& from) {
    SymbolicGraph::Input input;
    input.name = text(from.name());
    input.is_integer = from.type() == nullptr;
    if (input.is_integer) {
      input.integer = read_integer(from.integer());
    } else {
      ENN_ASSIGN(input.type, read_type(from.type()));
      input.value = from.value();
      ENN_TRY(define(input.value));
    }
    graph_.inputs_.push_back(std::move(input));
    return {};
  }

  Status read_constant(const symbolic::Constant& from) {
    ENN_ASSIGN(const SymbolicType type, read_type(from.type()));
    TensorType plain{type.dtype, {}};
    for (const SymbolicInteger& size : type.sizes) plain.shape.push_back(size.value);
    const auto count = checked_numel(plain.shape);
    const std::size_t available = data_ == nullptr ? 0 : data_->size();
    const std::size_t bytes = count ? static_cast<std::size_t>(*count) * size_of(type.dtype) : 0;
    if (!count || from.offset() > available || bytes > available - from.offset()) {
      return malformed("the constant '", printable_text(text(from.name())),
                       "' lies outside its data");
    }
    auto data = std::make_shared<std::vector<std::byte>>(bytes);
    if (bytes > 0) std::memcpy(data->data(), data_->data() + from.offset(), bytes);
    ENN_TRY(define(from.value()));
    graph_.constants_.push_back(
        {text(from.name()), std::move(plain), std::move(data), from.value()});
    return {};
  }

  Status read_call(const symbolic::Call& from) {
    SymbolicGraph::NumberedCall numbered;
    numbered.value = from.value();
    Call& call = numbered.call.call;
    call.target = text(from.target());
    call.name = text(from.name());
    call.origin.source = text(from.source());
    call.origin.modules = {{text(from.module_path()), {}}};
    for (const symbolic::Argument* argument : items(from.arguments())) {
      if (!is_integer_kind(argument->kind())) {
        ENN_ASSIGN(Argument value, read_argument(*argument));
        call.arguments.emplace_back(text(argument->name()), std::move(value));
        continue;
      }
      const bool is_list = argument->kind() == symbolic::ArgumentKind_Integers;
      auto integers = read_integers(argument->integers());
      if (!is_list && integers.size() != 1) return malformed("an integer has no value");
      numbered.call.arguments.push_back({text(argument->name()), std::move(integers), is_list});
    }
    for (const symbolic::Type* result : items(from.results())) {
      ENN_ASSIGN(numbered.call.results.emplace_back(), read_type(result));
      ENN_TRY(define(numbered.value + static_cast<ValueId>(numbered.call.results.size() - 1)));
    }
    graph_.calls_.push_back(std::move(numbered));
    return {};
  }

  SymbolicGraph graph_;
  const flatbuffers::Vector<std::uint8_t>* data_ = nullptr;
  std::set<ValueId> defined_;
};

std::vector<std::byte> SymbolicGraph::write(bool source_lines) const {
  symbolic::GraphT root;
  root.version = symbolic::Version_MAX;
  for (const Input& input : inputs_) {
    auto& out = root.inputs.emplace_back(std::make_unique<symbolic::InputT>());
    out->name = input.name;
    out->value = input.value;
    if (input.is_integer) {
      out->integer = write_integer(input.integer);
    } else {
      out->type = write_type(input.type);
    }
  }
  for (const Constant& constant : constants_) {
    auto& out = root.constants.emplace_back(std::make_unique<symbolic::ConstantT>());
    out->name = constant.name;
    out->type = write_type(symbolic_type(constant.type));
    out->value = constant.value;
    root.data.resize((root.data.size() + kAlignment - 1) / kAlignment * kAlignment);
    out->offset = root.data.size();
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(constant.data->data());
    root.data.insert(root.data.end(), bytes, bytes + constant.data->size());
  }
  for (const NumberedCall& numbered : calls_) {
    root.calls.push_back(write_call(numbered.call, numbered.value, source_lines));
  }
  root.outputs = outputs_;
  root.input_orders = write_orders(input_orders_);
  root.output_orders = write_orders(output_orders_);
  flatbuffers::FlatBufferBuilder builder(root.data.size() + (1U << 16U));
  builder.Finish(symbolic::Graph::Pack(builder, &root), symbolic::GraphIdentifier());
  std::vector<std::byte> payload(kPayloadHeaderBytes + builder.GetSize());
  std::memcpy(payload.data() + kPayloadHeaderBytes, builder.GetBufferPointer(), builder.GetSize());
  write_payload_header(payload);
  return payload;
}

Result<SymbolicGraph> SymbolicGraph::read(std::span<const std::byte> body) {
  if (body.size() < 16 || body.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return malformed("it cannot have ", body.size(), " bytes");
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(body.data());
  flatbuffers::Verifier verifier(bytes, body.size(), kMaxDepth, kMaxTables);
  if (!symbolic::VerifyGraphBuffer(verifier)) return malformed("its FlatBuffer is broken");
  const symbolic::Graph& root = *symbolic::GetGraph(bytes);
  if (root.version() < symbolic::Version_MIN || root.version() > symbolic::Version_MAX) {
    return error(Code::InvalidProgram, "the program with dynamic sizes has version ",
                 root.version(), ", this runtime runs versions 1 to ",
                 std::uint32_t{symbolic::Version_MAX});
  }
  return SymbolicReader().read(root);
}

}  // namespace enn
