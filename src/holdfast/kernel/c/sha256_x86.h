/* The instructions for SHA-256 of x86 (SHA-NI), in the words that sha256_hardware.h uses.
 * A state is two vectors: A B E F and C D G H. */
#include <cpuid.h>
#include <immintrin.h>

#define HW_NAME "sha-ni"
#define HW_TARGET __attribute__((target("sha,sse4.1,ssse3")))
typedef __m128i hw;

HW_TARGET ALWAYS hw hw_message(const uint8_t *p)
{
    const hw order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    return _mm_shuffle_epi8(_mm_loadu_si128((const hw *)p), order);
}
HW_TARGET ALWAYS hw hw_words(const uint32_t *p) { return _mm_load_si128((const hw *)p); }
HW_TARGET ALWAYS hw hw_add(hw x, hw y) { return _mm_add_epi32(x, y); }
HW_TARGET ALWAYS hw hw_schedule(hw m0, hw m1, hw m2, hw m3)
{
    hw y = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4));
    return _mm_sha256msg2_epu32(y, m3);
}
#define HW_ROUNDS(s0, s1, kw) \
    do { \
        hw kw_ = (kw); \
        s1 = _mm_sha256rnds2_epu32(s1, s0, kw_); \
        s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(kw_, 0x0e)); \
    } while (0)
HW_TARGET ALWAYS void hw_take(const uint32_t *h, hw *s0, hw *s1)
{
    *s0 = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]);
    *s1 = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]);
}
HW_TARGET ALWAYS void hw_digest(uint8_t *out, hw s0, hw s1)
{
    hw a = _mm_shuffle_epi32(s0, 0x1b), b = _mm_shuffle_epi32(s1, 0x1b);
    hw low = _mm_unpacklo_epi64(a, b), high = _mm_unpackhi_epi64(a, b);
    const hw order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    _mm_storeu_si128((hw *)out, _mm_shuffle_epi8(low, order));
    _mm_storeu_si128((hw *)(out + 16), _mm_shuffle_epi8(high, order));
}

static int hw_there(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 29))) return 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 9)) && (c & (1u << 19));
}
static int avx2_there(void) { return __builtin_cpu_supports("avx2") != 0; }
