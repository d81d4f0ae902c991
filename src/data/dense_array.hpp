#pragma once

#include <memory>
#include <span>

#include "data/array.hpp"

namespace enn {

struct ElementOrder {
  bool column_major = false;
  bool swap_bytes = false;
};

// The bytes behind a file's header, of which there may be more, as an array: a view of them where
// their order allows it.
[[nodiscard]] Result<Array> dense_array(TensorType type, std::span<const std::byte> rest,
                                        ElementOrder order, std::shared_ptr<const void> owner,
                                        const DataLimits& limits);

}  // namespace enn
