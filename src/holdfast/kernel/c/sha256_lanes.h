/* SHA-256 of eight 64-byte nodes side by side, one in each lane. Included once for each target:
 * LANES_TARGET is an attribute, LANES_NAME the function's name. */

#define ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define SMALL0(x) (ROTR(x, 7) ^ ROTR(x, 18) ^ ((x) >> 3))
#define SMALL1(x) (ROTR(x, 17) ^ ROTR(x, 19) ^ ((x) >> 10))
#define BIG0(x) (ROTR(x, 2) ^ ROTR(x, 13) ^ ROTR(x, 22))
#define BIG1(x) (ROTR(x, 6) ^ ROTR(x, 11) ^ ROTR(x, 25))
#define ROUND(a, b, c, d, e, f, g, h, kw) \
    do { \
        v8 t1 = h + BIG1(e) + (g ^ (e & (f ^ g))) + (kw); \
        v8 t2 = BIG0(a) + ((a & b) | (c & (a | b))); \
        d += t1; \
        h = t1 + t2; \
    } while (0)
#define EIGHT_ROUNDS(i, KWI) \
    do { \
        ROUND(a, b, c, d, e, f, g, h, KWI(i)); \
        ROUND(h, a, b, c, d, e, f, g, KWI(i + 1)); \
        ROUND(g, h, a, b, c, d, e, f, KWI(i + 2)); \
        ROUND(f, g, h, a, b, c, d, e, KWI(i + 3)); \
        ROUND(e, f, g, h, a, b, c, d, KWI(i + 4)); \
        ROUND(d, e, f, g, h, a, b, c, KWI(i + 5)); \
        ROUND(c, d, e, f, g, h, a, b, KWI(i + 6)); \
        ROUND(b, c, d, e, f, g, h, a, KWI(i + 7)); \
    } while (0)
#define TAKE_STATE v8 a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7]
#define GIVE_STATE \
    s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h
#define KW_FIRST(i) (w[(i) & 15] + K256[i])
#define KW_LATER(i) ((w[(i) & 15] += SMALL1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + \
                      SMALL0(w[((i) + 1) & 15])) + K256[i])
#define KW_FIXED(i) ((v8){0} + KW256[i])

LANES_TARGET static void LANES_NAME(const uint8_t *in, uint8_t *out)
{
    v8 w[16], s[8];
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) w[i][j] = swap32(load32(in + 64 * j + 4 * i));
    for (int i = 0; i < 8; i++) s[i] = (v8){0} + IV256[i];
    {
        TAKE_STATE;
        EIGHT_ROUNDS(0, KW_FIRST);
        EIGHT_ROUNDS(8, KW_FIRST);
        for (int i = 16; i < 64; i += 16) {
            EIGHT_ROUNDS(i, KW_LATER);
            EIGHT_ROUNDS(i + 8, KW_LATER);
        }
        GIVE_STATE;
    }
    {
        TAKE_STATE;
        for (int i = 0; i < 64; i += 8) EIGHT_ROUNDS(i, KW_FIXED);
        GIVE_STATE;
    }
    for (int j = 0; j < 8; j++) {
        for (int i = 0; i < 8; i++) store32(out + 32 * j + 4 * i, swap32(s[i][j]));
        out[32 * j + 31] &= 0x3f;
    }
}

#undef ROTR
#undef SMALL0
#undef SMALL1
#undef BIG0
#undef BIG1
#undef ROUND
#undef EIGHT_ROUNDS
#undef TAKE_STATE
#undef GIVE_STATE
#undef KW_FIRST
#undef KW_LATER
#undef KW_FIXED
#undef LANES_TARGET
#undef LANES_NAME
