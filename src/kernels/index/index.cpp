#include "kernels/index/index.hpp"

#include <cstring>
#include <type_traits>

namespace enn {
namespace {

// A position in the walk and where it reads and writes.
class Walker {
 public:
  Walker(const IndexPlan& plan, const IndexList& indices, std::int64_t at) noexcept
      : plan_(plan), indices_(indices) {
    for (std::size_t d = plan.shape.size(); d-- > 0;) {
      position_[d] = at % plan.shape[d];
      at /= plan.shape[d];
      move(d, position_[d]);
    }
  }

  [[nodiscard]] std::int64_t place() const noexcept {
    std::int64_t at = place_;
    for (std::size_t k = 0; k < plan_.sizes.size(); ++k) {
      const std::int64_t index = indices_[k][index_at_[k]];
      at += (index < 0 ? index + plan_.sizes[k] : index) * plan_.steps[k];
    }
    return at;
  }
  [[nodiscard]] std::int64_t source() const noexcept { return source_; }

  void next() noexcept {
    for (std::size_t d = plan_.shape.size(); d-- > 0;) {
      if (++position_[d] < plan_.shape[d]) {
        move(d, 1);
        return;
      }
      move(d, 1 - plan_.shape[d]);
      position_[d] = 0;
    }
  }

 private:
  void move(std::size_t d, std::int64_t by) noexcept {
    place_ += by * plan_.strides[d];
    if (!plan_.source_strides.empty()) source_ += by * plan_.source_strides[d];
    for (std::size_t k = 0; k < plan_.sizes.size(); ++k)
      index_at_[k] += by * plan_.index_strides[k][d];
  }

  const IndexPlan& plan_;
  const IndexList& indices_;
  std::array<std::int64_t, kMaxIndexedRank> position_{};
  std::array<std::int64_t, kMaxIndices> index_at_{};
  std::int64_t place_ = 0;
  std::int64_t source_ = 0;
};

// Calls run with the bytes of a row, as a constant where rows are as short as single elements.
template <typename Run>
void with_row_bytes(std::size_t bytes, const Run& run) noexcept {
  switch (bytes) {
    case 1:
      return run(std::integral_constant<std::size_t, 1>());
    case 2:
      return run(std::integral_constant<std::size_t, 2>());
    case 4:
      return run(std::integral_constant<std::size_t, 4>());
    case 8:
      return run(std::integral_constant<std::size_t, 8>());
    default:
      return run(bytes);
  }
}

}  // namespace

std::int64_t Indices::operator[](std::int64_t at) const noexcept {
  if (wide) {
    std::int64_t index = 0;
    std::memcpy(&index, data + at * 8, sizeof(index));
    return index;
  }
  std::int32_t index = 0;
  std::memcpy(&index, data + at * 4, sizeof(index));
  return index;
}

void merge_rows(IndexPlan& plan) {
  while (!plan.shape.empty()) {
    bool consecutive = plan.strides.back() == plan.row;
    if (!plan.source_strides.empty())
      consecutive = consecutive && plan.source_strides.back() == plan.row;
    for (const auto& strides : plan.index_strides) consecutive = consecutive && strides.back() == 0;
    if (!consecutive && plan.shape.back() != 1) break;
    plan.row *= plan.shape.back();
    plan.shape.pop_back();
    plan.strides.pop_back();
    if (!plan.source_strides.empty()) plan.source_strides.pop_back();
    for (auto& strides : plan.index_strides) strides.pop_back();
  }
  plan.count = 1;
  for (const std::int64_t size : plan.shape) plan.count *= size;
}

std::optional<std::int64_t> index_outside(const Indices& indices, std::int64_t count,
                                          std::int64_t size) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = indices[i];
    if (index < -size || index >= size) return index;
  }
  return std::nullopt;
}

void gather_rows(const IndexPlan& plan, const IndexList& indices, std::size_t size,
                 const std::byte* in, std::byte* out, std::int64_t begin,
                 std::int64_t end) noexcept {
  const auto element = static_cast<std::int64_t>(size);
  with_row_bytes(static_cast<std::size_t>(plan.row) * size, [&](auto bytes) {
    Walker walker(plan, indices, begin);
    std::byte* to = out + begin * plan.row * element;
    for (std::int64_t i = begin; i < end; ++i, walker.next(), to += bytes)
      std::memcpy(to, in + walker.place() * element, bytes);
  });
}

void scatter_rows(const IndexPlan& plan, const IndexList& indices, std::size_t size,
                  const std::byte* source, std::byte* out) noexcept {
  const auto element = static_cast<std::int64_t>(size);
  with_row_bytes(static_cast<std::size_t>(plan.row) * size, [&](auto bytes) {
    Walker walker(plan, indices, 0);
    for (std::int64_t i = 0; i < plan.count; ++i, walker.next())
      std::memcpy(out + walker.place() * element, source + walker.source() * element, bytes);
  });
}

template <typename T>
void scatter_add_rows(const IndexPlan& plan, const IndexList& indices, const std::byte* source,
                      std::byte* out) noexcept {
  constexpr auto kElement = static_cast<std::int64_t>(sizeof(T));
  Walker walker(plan, indices, 0);
  for (std::int64_t i = 0; i < plan.count; ++i, walker.next()) {
    const std::byte* from = source + walker.source() * kElement;
    std::byte* to = out + walker.place() * kElement;
    for (std::int64_t j = 0; j < plan.row; ++j, from += kElement, to += kElement) {
      T added{};
      T sum{};
      std::memcpy(&added, from, sizeof(T));
      std::memcpy(&sum, to, sizeof(T));
      if constexpr (std::is_integral_v<T>) {
        using Unsigned = std::make_unsigned_t<T>;
        sum = static_cast<T>(static_cast<Unsigned>(sum) + static_cast<Unsigned>(added));
      } else {
        sum += added;
      }
      std::memcpy(to, &sum, sizeof(T));
    }
  }
}

template void scatter_add_rows<float>(const IndexPlan&, const IndexList&, const std::byte*,
                                      std::byte*) noexcept;
template void scatter_add_rows<std::int32_t>(const IndexPlan&, const IndexList&, const std::byte*,
                                             std::byte*) noexcept;
template void scatter_add_rows<std::int64_t>(const IndexPlan&, const IndexList&, const std::byte*,
                                             std::byte*) noexcept;

}  // namespace enn
