#include <span>

#include "enn/program.hpp"
#include "runtime/operator.hpp"

namespace enn {
namespace {

class ObserveOperator final : public Operator {
 public:
  ObserveOperator(const TensorInfo& tensor, std::uint32_t tap) : tensor_(tensor), tap_(tap) {}

  void run(const Frame& frame) const noexcept override {
    if (frame.listener == nullptr) return;
    const auto* values = reinterpret_cast<const float*>(frame.read(tensor_));
    frame.listener->on_tap(tap_, {values, static_cast<std::size_t>(tensor_.numel)},
                           *frame.parallel);
    if (tensor_.storage != program::Storage_Arena) return;
    auto* changed = reinterpret_cast<float*>(frame.write(tensor_));
    frame.listener->on_change(tap_, {changed, static_cast<std::size_t>(tensor_.numel)},
                              *frame.parallel);
  }
  [[nodiscard]] std::string_view kernel() const noexcept override { return "observe"; }

 private:
  const TensorInfo& tensor_;
  std::uint32_t tap_;
};

}  // namespace

Result<OperatorPtr> bind_observe(const program::Observe& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* tensor, binder.tensor(op.tensor()));
  if (tensor->dtype != program::DType_Float32) {
    return error(Code::InvalidProgram, "Observe's tensor ", tensor->id, " is not float32");
  }
  if (tensor->storage == program::Storage_Constant && tensor->offset % alignof(float) != 0) {
    return error(Code::InvalidProgram, "Observe's tensor ", tensor->id, " lies at an odd address");
  }
  return OperatorPtr(std::make_unique<ObserveOperator>(*tensor, op.tap()));
}

}  // namespace enn
