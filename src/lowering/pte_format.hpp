// Numbers of ExecuTorch's program file beside its schema (schema/pte.fbs), for its writer and its
// reader.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "enn/tensor_type.hpp"
#include "pte_generated.h"

namespace enn::pte {

static_assert(std::endian::native == std::endian::little, "numbers are stored as they lie");

// The FlatBuffer begins with the offset of its root and its identifier; the extended header lies
// between them and the rest: magic, its size (u32), then as u64 the size of FlatBuffer and header,
// where the first segment may begin, and the bytes of all segments.
inline constexpr std::size_t kMagicEnd = 8;
inline constexpr std::string_view kExtendedMagic = "eh00";
inline constexpr std::uint32_t kExtendedHeaderBytes = 32;
inline constexpr std::size_t kProgramSizeAt = 16;
inline constexpr std::size_t kSegmentBaseAt = 24;

struct ScalarTypeRow {
  DType dtype;
  pte::ScalarType number;
};
inline constexpr std::array kScalarTypes{
    ScalarTypeRow{DType::Float32, pte::ScalarType_Float},
    ScalarTypeRow{DType::Float16, pte::ScalarType_Half},
    ScalarTypeRow{DType::Float64, pte::ScalarType_Double},
    ScalarTypeRow{DType::UInt8, pte::ScalarType_Byte},
    ScalarTypeRow{DType::Int8, pte::ScalarType_Char},
    ScalarTypeRow{DType::Int16, pte::ScalarType_Short},
    ScalarTypeRow{DType::Int32, pte::ScalarType_Int},
    ScalarTypeRow{DType::Int64, pte::ScalarType_Long},
    ScalarTypeRow{DType::Bool, pte::ScalarType_Bool},
};

}  // namespace enn::pte
