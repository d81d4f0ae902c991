#include "arrays.hpp"

#include <array>
#include <memory>
#include <utility>

namespace enn::python {

namespace {

constexpr std::array kTypes{DType::Float32, DType::Float16, DType::Float64,
                            DType::UInt8,   DType::Int8,    DType::Int16,
                            DType::Int32,   DType::Int64,   DType::Bool};

}  // namespace

nb::dlpack::dtype dlpack_dtype(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return nb::dtype<float>();
    case DType::Float16:
      return {static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
    case DType::Float64:
      return nb::dtype<double>();
    case DType::UInt8:
      return nb::dtype<std::uint8_t>();
    case DType::Int8:
      return nb::dtype<std::int8_t>();
    case DType::Int16:
      return nb::dtype<std::int16_t>();
    case DType::Int32:
      return nb::dtype<std::int32_t>();
    case DType::Int64:
      return nb::dtype<std::int64_t>();
    case DType::Bool:
      return nb::dtype<bool>();
    default:
      return nb::dtype<std::uint8_t>();
  }
}

std::vector<TensorView> tensor_views(const std::vector<InputArray>& arrays) {
  std::vector<TensorView> views;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    TensorView view;
    bool known = false;
    for (const DType dtype : kTypes) {
      if (arrays[i].dtype() != dlpack_dtype(dtype)) continue;
      view.type.dtype = dtype;
      known = true;
    }
    if (!known) raise(error(Code::InvalidArgument, "input ", i, " has an unknown element type"));
    for (std::size_t d = 0; d < arrays[i].ndim(); ++d) {
      view.type.shape.push_back(static_cast<std::int64_t>(arrays[i].shape(d)));
    }
    view.bytes = {static_cast<const std::byte*>(arrays[i].data()), arrays[i].nbytes()};
    views.push_back(std::move(view));
  }
  return views;
}

OutputArray to_array(Tensor tensor) {
  auto storage = std::make_unique<std::vector<std::byte>>(std::move(tensor.bytes));
  std::vector<std::size_t> shape(tensor.type.shape.begin(), tensor.type.shape.end());
  std::byte* data = storage->data();
  nb::capsule owner(storage.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<std::byte>*>(pointer);
  });
  return OutputArray(data, shape.size(), shape.data(), owner, nullptr,
                     dlpack_dtype(tensor.type.dtype));
}

std::vector<OutputArray> to_arrays(std::vector<Tensor> tensors) {
  std::vector<OutputArray> arrays;
  for (Tensor& tensor : tensors) arrays.push_back(to_array(std::move(tensor)));
  return arrays;
}

std::vector<NamedType> types_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<NamedType> result;
  for (const ValueId id : ids) result.push_back({graph.value(id).name, graph.value(id).type});
  return result;
}

}  // namespace enn::python
