#include "pt2e/kept_samples.hpp"

#include "base/checksum.hpp"

namespace enn {
namespace {

std::size_t size_of(std::span<const TensorView> inputs) {
  std::size_t bytes = 0;
  for (const TensorView& input : inputs) bytes += input.bytes.size();
  return bytes;
}

std::uint32_t checksum_of(std::span<const TensorView> inputs) {
  std::uint32_t sum = 0;
  for (const TensorView& input : inputs) sum = sum * 31 + crc32c(input.bytes);
  return sum;
}

}  // namespace

void KeptSamples::add(std::span<const TensorView> inputs) {
  if (seen_ == 0) {
    first_ = checksum_of(inputs);
    if (!inputs.empty() && inputs[0].type.shape.size() > 1) batch_ = inputs[0].type.shape[0];
  } else if (!differ_) {
    differ_ = checksum_of(inputs) != first_;
  }
  const std::uint64_t number = seen_++;
  const std::size_t size = size_of(inputs);
  if (size > most_bytes_) return;
  // The first is always kept, so that this ends.
  while (number % stride_ == 0 && !kept_.empty() &&
         (kept_.size() >= most_samples_ || bytes_ + size > most_bytes_)) {
    thin_out();
  }
  if (number % stride_ != 0) return;
  std::vector<Tensor>& sample = kept_.emplace_back();
  for (const TensorView& input : inputs)
    sample.push_back({input.type, {input.bytes.begin(), input.bytes.end()}});
  bytes_ += size;
}

void KeptSamples::thin_out() {
  stride_ *= 2;
  std::vector<std::vector<Tensor>> rest;
  bytes_ = 0;
  for (std::size_t i = 0; i < kept_.size(); i += 2) {
    for (const Tensor& tensor : kept_[i]) bytes_ += tensor.bytes.size();
    rest.push_back(std::move(kept_[i]));
  }
  kept_ = std::move(rest);
}

}  // namespace enn
