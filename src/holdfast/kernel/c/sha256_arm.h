/* The instructions for SHA-256 of ARMv8, in the words that sha256_hardware.h uses.
 * A state is two vectors: A B C D and E F G H. */
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#define HW_NAME "armv8-sha2"
#if defined(__clang__) && defined(__ARM_FEATURE_SHA2)
#define HW_TARGET
#elif defined(__clang__)
#define HW_TARGET __attribute__((target("sha2")))
#else
#define HW_TARGET __attribute__((target("+crypto")))
#endif
typedef uint32x4_t hw;

HW_TARGET ALWAYS hw hw_message(const uint8_t *p)
{
    return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p)));
}
HW_TARGET ALWAYS hw hw_words(const uint32_t *p) { return vld1q_u32(p); }
HW_TARGET ALWAYS hw hw_add(hw x, hw y) { return vaddq_u32(x, y); }
HW_TARGET ALWAYS hw hw_schedule(hw m0, hw m1, hw m2, hw m3)
{
    return vsha256su1q_u32(vsha256su0q_u32(m0, m1), m2, m3);
}
#define HW_ROUNDS(s0, s1, kw) \
    do { \
        hw kw_ = (kw), s_ = s0; \
        s0 = vsha256hq_u32(s0, s1, kw_); \
        s1 = vsha256h2q_u32(s1, s_, kw_); \
    } while (0)
HW_TARGET ALWAYS void hw_take(const uint32_t *h, hw *s0, hw *s1)
{
    *s0 = vld1q_u32(h);
    *s1 = vld1q_u32(h + 4);
}
HW_TARGET ALWAYS void hw_digest(uint8_t *out, hw s0, hw s1)
{
    vst1q_u8(out, vrev32q_u8(vreinterpretq_u8_u32(s0)));
    vst1q_u8(out + 16, vrev32q_u8(vreinterpretq_u8_u32(s1)));
}

static int hw_there(void)
{
#if defined(__ARM_FEATURE_SHA2)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 6)) != 0; /* HWCAP_SHA2 */
#else
    return 0;
#endif
}
