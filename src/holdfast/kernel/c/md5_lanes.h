/* MD5 of eight or sixteen streams side by side, one in each lane of a vector. Two vectors in turns keep
 * the processor busier than one, whose every step waits for the one before. Included once for each
 * target and number of vectors: MD5_TARGET is an attribute, MD5_NAME the function's name, MD5_VECTORS
 * 1 or 2. `state` has four words of the first vector, then those of the second; each of `in` has
 * `blocks` blocks of 64 bytes. */

#define ROTL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define F1(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define F2(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define F3(b, c, d) ((b) ^ (c) ^ (d))
#define F4(b, c, d) ((c) ^ ((b) | ~(d)))
#define ONE(v, f, a, b, c, d, k, n, t) \
    (a##v = (b##v) + ROTL((a##v) + f(b##v, c##v, d##v) + w##v[k] + (uint32_t)(t), n))
#if MD5_VECTORS == 2
#define STEP(f, a, b, c, d, k, n, t) \
    (ONE(0, f, a, b, c, d, k, n, t), ONE(1, f, a, b, c, d, k, n, t))
#else
#define STEP(f, a, b, c, d, k, n, t) ONE(0, f, a, b, c, d, k, n, t)
#endif

MD5_TARGET static void MD5_NAME(v8 *state, const uint8_t *const *in, size_t blocks)
{
    v8 a0 = state[0], b0 = state[1], c0 = state[2], d0 = state[3], w0[16];
#if MD5_VECTORS == 2
    v8 a1 = state[4], b1 = state[5], c1 = state[6], d1 = state[7], w1[16];
#endif
    for (size_t block = 0; block < blocks; block++) {
        MD5_LOAD(w0, in, 64 * block);
#if MD5_VECTORS == 2
        MD5_LOAD(w1, (in + 8), 64 * block);
#endif
        STEP(F1, a, b, c, d, 0, 7, 0xd76aa478); STEP(F1, d, a, b, c, 1, 12, 0xe8c7b756);
        STEP(F1, c, d, a, b, 2, 17, 0x242070db); STEP(F1, b, c, d, a, 3, 22, 0xc1bdceee);
        STEP(F1, a, b, c, d, 4, 7, 0xf57c0faf); STEP(F1, d, a, b, c, 5, 12, 0x4787c62a);
        STEP(F1, c, d, a, b, 6, 17, 0xa8304613); STEP(F1, b, c, d, a, 7, 22, 0xfd469501);
        STEP(F1, a, b, c, d, 8, 7, 0x698098d8); STEP(F1, d, a, b, c, 9, 12, 0x8b44f7af);
        STEP(F1, c, d, a, b, 10, 17, 0xffff5bb1); STEP(F1, b, c, d, a, 11, 22, 0x895cd7be);
        STEP(F1, a, b, c, d, 12, 7, 0x6b901122); STEP(F1, d, a, b, c, 13, 12, 0xfd987193);
        STEP(F1, c, d, a, b, 14, 17, 0xa679438e); STEP(F1, b, c, d, a, 15, 22, 0x49b40821);
        STEP(F2, a, b, c, d, 1, 5, 0xf61e2562); STEP(F2, d, a, b, c, 6, 9, 0xc040b340);
        STEP(F2, c, d, a, b, 11, 14, 0x265e5a51); STEP(F2, b, c, d, a, 0, 20, 0xe9b6c7aa);
        STEP(F2, a, b, c, d, 5, 5, 0xd62f105d); STEP(F2, d, a, b, c, 10, 9, 0x02441453);
        STEP(F2, c, d, a, b, 15, 14, 0xd8a1e681); STEP(F2, b, c, d, a, 4, 20, 0xe7d3fbc8);
        STEP(F2, a, b, c, d, 9, 5, 0x21e1cde6); STEP(F2, d, a, b, c, 14, 9, 0xc33707d6);
        STEP(F2, c, d, a, b, 3, 14, 0xf4d50d87); STEP(F2, b, c, d, a, 8, 20, 0x455a14ed);
        STEP(F2, a, b, c, d, 13, 5, 0xa9e3e905); STEP(F2, d, a, b, c, 2, 9, 0xfcefa3f8);
        STEP(F2, c, d, a, b, 7, 14, 0x676f02d9); STEP(F2, b, c, d, a, 12, 20, 0x8d2a4c8a);
        STEP(F3, a, b, c, d, 5, 4, 0xfffa3942); STEP(F3, d, a, b, c, 8, 11, 0x8771f681);
        STEP(F3, c, d, a, b, 11, 16, 0x6d9d6122); STEP(F3, b, c, d, a, 14, 23, 0xfde5380c);
        STEP(F3, a, b, c, d, 1, 4, 0xa4beea44); STEP(F3, d, a, b, c, 4, 11, 0x4bdecfa9);
        STEP(F3, c, d, a, b, 7, 16, 0xf6bb4b60); STEP(F3, b, c, d, a, 10, 23, 0xbebfbc70);
        STEP(F3, a, b, c, d, 13, 4, 0x289b7ec6); STEP(F3, d, a, b, c, 0, 11, 0xeaa127fa);
        STEP(F3, c, d, a, b, 3, 16, 0xd4ef3085); STEP(F3, b, c, d, a, 6, 23, 0x04881d05);
        STEP(F3, a, b, c, d, 9, 4, 0xd9d4d039); STEP(F3, d, a, b, c, 12, 11, 0xe6db99e5);
        STEP(F3, c, d, a, b, 15, 16, 0x1fa27cf8); STEP(F3, b, c, d, a, 2, 23, 0xc4ac5665);
        STEP(F4, a, b, c, d, 0, 6, 0xf4292244); STEP(F4, d, a, b, c, 7, 10, 0x432aff97);
        STEP(F4, c, d, a, b, 14, 15, 0xab9423a7); STEP(F4, b, c, d, a, 5, 21, 0xfc93a039);
        STEP(F4, a, b, c, d, 12, 6, 0x655b59c3); STEP(F4, d, a, b, c, 3, 10, 0x8f0ccc92);
        STEP(F4, c, d, a, b, 10, 15, 0xffeff47d); STEP(F4, b, c, d, a, 1, 21, 0x85845dd1);
        STEP(F4, a, b, c, d, 8, 6, 0x6fa87e4f); STEP(F4, d, a, b, c, 15, 10, 0xfe2ce6e0);
        STEP(F4, c, d, a, b, 6, 15, 0xa3014314); STEP(F4, b, c, d, a, 13, 21, 0x4e0811a1);
        STEP(F4, a, b, c, d, 4, 6, 0xf7537e82); STEP(F4, d, a, b, c, 11, 10, 0xbd3af235);
        STEP(F4, c, d, a, b, 2, 15, 0x2ad7d2bb); STEP(F4, b, c, d, a, 9, 21, 0xeb86d391);
        state[0] = a0 += state[0], state[1] = b0 += state[1];
        state[2] = c0 += state[2], state[3] = d0 += state[3];
#if MD5_VECTORS == 2
        state[4] = a1 += state[4], state[5] = b1 += state[5];
        state[6] = c1 += state[6], state[7] = d1 += state[7];
#endif
    }
}

#undef ROTL
#undef F1
#undef F2
#undef F3
#undef F4
#undef ONE
#undef STEP
#undef MD5_TARGET
#undef MD5_NAME
#undef MD5_VECTORS
#undef MD5_LOAD
