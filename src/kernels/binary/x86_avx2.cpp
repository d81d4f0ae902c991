#include "kernels/x86_avx2.hpp"

#include "kernels/binary/binary.hpp"

namespace enn {
namespace {

struct Operand {
  __m256i zero_point;
  __m256 scale;

  [[nodiscard]] __m256 real(__m256i q) const {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(q, zero_point)), scale);
  }
};

// x < low ? low : x > high ? high : x, so that NaN stays.
inline __m256 clamp8(__m256 x, __m256 low, __m256 high) {
  return _mm256_min_ps(high, _mm256_max_ps(low, x));
}

template <BinaryOp kOp>
inline __m256 apply(__m256 x, __m256 y) {
  if constexpr (kOp == BinaryOp::Add) return _mm256_add_ps(x, y);
  if constexpr (kOp == BinaryOp::Sub) return _mm256_sub_ps(x, y);
  if constexpr (kOp == BinaryOp::Mul) return _mm256_mul_ps(x, y);
  if constexpr (kOp == BinaryOp::Div) return _mm256_div_ps(x, y);
  // Dequantized operands are never NaN, and the sign of 0 is lost in quantizing.
  if constexpr (kOp == BinaryOp::Maximum) return _mm256_max_ps(x, y);
  if constexpr (kOp == BinaryOp::Minimum) return _mm256_min_ps(x, y);
  if constexpr (kOp == BinaryOp::Prelu) {
    return _mm256_blendv_ps(_mm256_mul_ps(x, y), x,
                            _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
  }
}

// Loads of a run: consecutive bytes, or one byte for all lanes.
template <bool kRepeat>
class Run {
 public:
  explicit Run(const std::uint8_t* data) : data_(data), repeated_(_mm256_set1_epi32(*data)) {}

  [[nodiscard]] __m256i load(std::int64_t i) const {
    return kRepeat ? repeated_ : load_u8_s32(data_ + i);
  }
  [[nodiscard]] std::uint8_t byte(std::int64_t i) const { return data_[kRepeat ? 0 : i]; }

 private:
  const std::uint8_t* data_;
  __m256i repeated_;
};

template <BinaryOp kOp, bool kRepeatA, bool kRepeatB>
void run(const BinaryParams& params, const std::uint8_t* a, const std::uint8_t* b,
         std::uint8_t* out, std::int64_t n) {
  const Operand left = {_mm256_set1_epi32(params.a_zero_point), _mm256_set1_ps(params.a_scale)};
  const Operand right = {_mm256_set1_epi32(params.b_zero_point), _mm256_set1_ps(params.b_scale)};
  const __m256 activation_min = _mm256_set1_ps(params.activation_min);
  const __m256 activation_max = _mm256_set1_ps(params.activation_max);
  const __m256 inv_scale = _mm256_set1_ps(params.inv_scale);
  const __m256 low = _mm256_set1_ps(static_cast<float>(-params.zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(255 - params.zero_point));
  const __m256i zero_point = _mm256_set1_epi32(params.zero_point);
  const auto compute = [&](__m256i x, __m256i y) {
    const __m256 z =
        clamp8(apply<kOp>(left.real(x), right.real(y)), activation_min, activation_max);
    return round_and_clamp8(_mm256_mul_ps(z, inv_scale), low, high, zero_point);
  };
  const Run<kRepeatA> first(a);
  const Run<kRepeatB> second(b);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i q0 = compute(first.load(i), second.load(i));
    const __m256i q1 = compute(first.load(i + 8), second.load(i + 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), pack_u8(q0, q1));
  }
  if (i < n) {
    const auto rest = [&](const std::uint8_t* data, bool repeat) {
      return repeat ? _mm_set1_epi8(static_cast<char>(*data)) : load_partial(data + i, n - i);
    };
    const __m128i x = rest(a, kRepeatA);
    const __m128i y = rest(b, kRepeatB);
    const __m256i q0 = compute(_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(y));
    const __m256i q1 = compute(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)),
                               _mm256_cvtepu8_epi32(_mm_srli_si128(y, 8)));
    store_partial(out + i, pack_u8(q0, q1), n - i);
  }
}

template <BinaryOp kOp>
void run_steps(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
               const std::uint8_t* b, std::int64_t b_step, std::uint8_t* out, std::int64_t n) {
  if (a_step != 0) {
    return b_step != 0 ? run<kOp, false, false>(params, a, b, out, n)
                       : run<kOp, false, true>(params, a, b, out, n);
  }
  return b_step != 0 ? run<kOp, true, false>(params, a, b, out, n)
                     : run<kOp, true, true>(params, a, b, out, n);
}

}  // namespace

void binary_u8_avx2(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                    const std::uint8_t* b, std::int64_t b_step, std::uint8_t* out,
                    std::int64_t n) noexcept {
  if (n <= 0) return;
  if (params.alpha != 1.0F) return binary_u8_reference(params, a, a_step, b, b_step, out, n);
  switch (params.op) {
    case BinaryOp::Add:
      return run_steps<BinaryOp::Add>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Sub:
      return run_steps<BinaryOp::Sub>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Mul:
      return run_steps<BinaryOp::Mul>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Div:
      return run_steps<BinaryOp::Div>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Maximum:
      return run_steps<BinaryOp::Maximum>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Minimum:
      return run_steps<BinaryOp::Minimum>(params, a, a_step, b, b_step, out, n);
    case BinaryOp::Prelu:
      return run_steps<BinaryOp::Prelu>(params, a, a_step, b, b_step, out, n);
    default:
      return binary_u8_reference(params, a, a_step, b, b_step, out, n);
  }
}

}  // namespace enn
