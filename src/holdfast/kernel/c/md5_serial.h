/* MD5 of one stream, in steps that can be put between other work: a step waits for the one before,
 * and what is beside it goes on meanwhile. */

static const uint32_t KMD5[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const uint8_t MD5_TURNS[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
static const uint32_t MD5_IV[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

/* Keep the compiler from adding up in another order, in which more would wait for the step before. */
#define AS_WRITTEN(x) __asm__("" : "+r"(x))

/* Step i of 64, a constant, of the block at `at`. Of a, b, c and d, b was the last to be made. */
ALWAYS void md5_step(const int i, uint32_t *a, uint32_t b, uint32_t c, uint32_t d, const uint8_t *at)
{
    const int quarter = i / 16, turn = MD5_TURNS[4 * quarter + i % 4];
    const int word = quarter == 0 ? i : quarter == 1 ? 5 * i + 1 : quarter == 2 ? 3 * i + 5 : 7 * i;
    uint32_t sum = *a + KMD5[i] + load32(at + 4 * (word & 15));
    if (quarter == 0) {
        sum += ((c ^ d) & b) ^ d;
    } else if (quarter == 1) {
        sum += ~d & c;
        AS_WRITTEN(sum);
        sum += d & b;
    } else if (quarter == 2) {
        uint32_t both = c ^ d;
        AS_WRITTEN(both);
        sum += both ^ b;
    } else {
        sum += (~d | b) ^ c;
    }
    *a = b + (sum << turn | sum >> (32 - turn));
}

#define MD5_FOUR_STEPS(a, b, c, d, at, i) \
    do { \
        md5_step(i, &a, b, c, d, at); \
        md5_step((i) + 1, &d, a, b, c, at); \
        md5_step((i) + 2, &c, d, a, b, at); \
        md5_step((i) + 3, &b, c, d, a, at); \
    } while (0)

/* An MD5 that is fed in parts. */
typedef struct {
    uint32_t state[4];
    uint64_t total;
    uint8_t rest[64];
} md5_serial;

static void md5_serial_blocks(uint32_t state[4], const uint8_t *at, size_t blocks)
{
    for (; blocks; blocks--, at += 64) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        _Pragma("GCC unroll 16") for (int g = 0; g < 16; g++) MD5_FOUR_STEPS(a, b, c, d, at, 4 * g);
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    }
}
