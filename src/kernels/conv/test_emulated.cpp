// The dot-product kernels once more, on SIMDe instead of the instructions, under names of their
// own.
#define ENN_EMULATE_VNNI
#define igemm_u8_s8_u8_12x32c4_avx512vnni igemm_u8_s8_u8_12x32c4_avx512vnni_emulated
#define depthwise_u8_s8_u8_1x32_avx512vnni depthwise_u8_s8_u8_1x32_avx512vnni_emulated
#define igemm_u8_s8_u8_6x16c4_avxvnni igemm_u8_s8_u8_6x16c4_avxvnni_emulated
#define depthwise_u8_s8_u8_1x32_avxvnni depthwise_u8_s8_u8_1x32_avxvnni_emulated

#if defined(ENN_EMULATE_AVX512)
#include "kernels/conv/x86_avx512vnni.cpp"
#else
#include "kernels/conv/x86_avxvnni.cpp"
#endif
