/* The padding of payload for a piece; see docs/formats/piece.md. */

/* 127 bytes become 128 by two zero bits after every 254; n times. */
#define LANE(n) \
    do { \
        store64(out + 32 * n, x[4 * n - 1] >> (64 - 2 * n) | x[4 * n] << 2 * n); \
        store64(out + 32 * n + 8, x[4 * n] >> (64 - 2 * n) | x[4 * n + 1] << 2 * n); \
        store64(out + 32 * n + 16, x[4 * n + 1] >> (64 - 2 * n) | x[4 * n + 2] << 2 * n); \
        store64(out + 32 * n + 24, (x[4 * n + 2] >> (64 - 2 * n) | x[4 * n + 3] << 2 * n) & top); \
    } while (0)

static void fr32(const uint8_t *in, uint8_t *out, size_t n)
{
    const uint64_t top = 0x3fffffffffffffffULL;
    for (; n; n--, in += 127, out += 128) {
        uint64_t x[16];
        for (int i = 0; i < 15; i++) x[i] = load64(in + 8 * i);
        x[15] = load64(in + 119) >> 8;
        for (int i = 0; i < 3; i++) store64(out + 8 * i, x[i]);
        store64(out + 24, x[3] & top);
        LANE(1);
        LANE(2);
        LANE(3);
    }
}

#undef LANE
