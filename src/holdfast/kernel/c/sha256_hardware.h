/* SHA-256 by the machine's own instructions: nodes of a tree, and plain data beside them.
 *
 * One hash alone leaves the unit idle half of the time, as each step waits for the one before, so
 * four nodes are hashed at once. A node is two blocks: its 64 bytes, and the padding that is the
 * same for all. The second needs no message schedule and thus few registers: while it goes on, up
 * to two plain streams go along, by two blocks each. A piece needs two blocks of plain data to four
 * nodes, so a stream and its tree end together.
 */

enum { NODES_AT_ONCE = 4 };

#define UNROLL4 _Pragma("GCC unroll 4")
#define UNROLL16 _Pragma("GCC unroll 16")

/* A plain SHA-256 on its way: whole blocks at `at`, of which `blocks` are left. */
typedef struct {
    hw s0, s1;
    const uint8_t *at;
    size_t blocks;
} stream;

#define NEXT_WORDS(m, g) \
    m[(g) & 3] = hw_schedule(m[(g) & 3], m[((g) + 1) & 3], m[((g) + 2) & 3], m[((g) + 3) & 3])

/* Four of the 64 rounds of one block, number g of 16. */
#define FOUR_ROUNDS(s0, s1, m, g) \
    do { \
        HW_ROUNDS(s0, s1, hw_add(m[(g) & 3], hw_words(K256 + 4 * (g)))); \
        if ((g) < 12) NEXT_WORDS(m, g); \
    } while (0)

/* The second block of N nodes whose state after the first is in n0 and n1, and one block of each of
 * S streams. */
HW_TARGET ALWAYS void hw_second(const int N, const int S, hw *n0, hw *n1, uint8_t *out, stream *go)
{
    hw f0[4], f1[4], s0[2], s1[2], m[2][4];
    for (int j = 0; j < N; j++) f0[j] = n0[j], f1[j] = n1[j];
    for (int j = 0; j < S; j++) {
        s0[j] = go[j].s0, s1[j] = go[j].s1;
        for (int q = 0; q < 4; q++) m[j][q] = hw_message(go[j].at + 16 * q);
    }
    UNROLL16 for (int g = 0; g < 16; g++) {
        hw k = hw_words(KW256 + 4 * g);
        UNROLL4 for (int j = 0; j < N; j++) HW_ROUNDS(f0[j], f1[j], k);
        UNROLL4 for (int j = 0; j < S; j++) FOUR_ROUNDS(s0[j], s1[j], m[j], g);
    }
    for (int j = 0; j < S; j++) {
        go[j].s0 = hw_add(s0[j], go[j].s0);
        go[j].s1 = hw_add(s1[j], go[j].s1);
        go[j].at += 64, go[j].blocks--;
    }
    for (int j = 0; j < N; j++) {
        hw_digest(out + 32 * j, hw_add(n0[j], f0[j]), hw_add(n1[j], f1[j]));
        out[32 * j + 31] &= 0x3f;
    }
}

/* N nodes at `in`, and two blocks of each of S streams; both are constants. */
HW_TARGET ALWAYS void hw_step(const int N, const int S, const uint8_t *in, uint8_t *out, stream *go)
{
    hw n0[4], n1[4], m[4][4], i0, i1;
    hw_take(IV256, &i0, &i1);
    for (int j = 0; j < N; j++) {
        n0[j] = i0, n1[j] = i1;
        for (int q = 0; q < 4; q++) m[j][q] = hw_message(in + 64 * j + 16 * q);
    }
    UNROLL16 for (int g = 0; g < 16; g++)
        UNROLL4 for (int j = 0; j < N; j++) FOUR_ROUNDS(n0[j], n1[j], m[j], g);
    for (int j = 0; j < N; j++) {
        n0[j] = hw_add(n0[j], i0);
        n1[j] = hw_add(n1[j], i1);
    }
    if (S) {
        hw_second(2, S, n0, n1, out, go);
        hw_second(2, S, n0 + 2, n1 + 2, out + 64, go);
    } else {
        hw_second(4, 0, n0, n1, out, go);
    }
}

HW_TARGET __attribute__((noinline)) static void hw_four(const uint8_t *in, uint8_t *out) { hw_step(4, 0, in, out, 0); }

/* A row of n nodes; the row may take the place of what it is made of. Streams that have two blocks
 * left go along. */
HW_TARGET static void hw_nodes(const uint8_t *in, uint8_t *out, size_t n, stream *go, int streams)
{
    size_t i = 0;
    for (; i + NODES_AT_ONCE <= n; i += NODES_AT_ONCE) {
        const uint8_t *from = in + 64 * i;
        uint8_t *to = out + 32 * i;
        while (streams && go[streams - 1].blocks < 2) streams--;
        while (streams && go->blocks < 2) go++, streams--;
        if (streams == 2) hw_step(4, 2, from, to, go);
        else if (streams == 1) hw_step(4, 1, from, to, go);
        else hw_four(from, to);
    }
    if (i < n) {
        uint8_t some[256] = {0}, made[128];
        memcpy(some, in + 64 * i, 64 * (n - i));
        hw_four(some, made);
        memcpy(out + 32 * i, made, 32 * (n - i));
    }
}

/* One block of each of S streams, a constant. */
HW_TARGET ALWAYS void hw_block(const int S, stream *go)
{
    hw m[4][4], s0[4], s1[4];
    for (int j = 0; j < S; j++) {
        s0[j] = go[j].s0, s1[j] = go[j].s1;
        for (int q = 0; q < 4; q++) m[j][q] = hw_message(go[j].at + 16 * q);
    }
    UNROLL16 for (int g = 0; g < 16; g++)
        UNROLL4 for (int j = 0; j < S; j++) FOUR_ROUNDS(s0[j], s1[j], m[j], g);
    for (int j = 0; j < S; j++) {
        go[j].s0 = hw_add(s0[j], go[j].s0);
        go[j].s1 = hw_add(s1[j], go[j].s1);
        go[j].at += 64, go[j].blocks--;
    }
}

/* The blocks that are left of one stream, and of two while both last. */
HW_TARGET __attribute__((noinline)) static void hw_blocks(stream *go) { while (go->blocks) hw_block(1, go); }
HW_TARGET __attribute__((noinline)) static void hw_pair(stream *go) { while (go->blocks && go[1].blocks) hw_block(2, go); }

/* All blocks that are left of some streams, in pairs while both last. */
HW_TARGET static void hw_finish_blocks(stream *go, int streams)
{
    for (int j = 0; j + 1 < streams; j += 2) hw_pair(go + j);
    for (int j = 0; j < streams; j++) hw_blocks(go + j);
}

/* Begin the hash of n bytes; the last, part block is left for hw_end. */
HW_TARGET static void hw_begin(stream *go, const uint8_t *data, size_t n)
{
    hw_take(IV256, &go->s0, &go->s1);
    go->at = data;
    go->blocks = n / 64;
}

/* The end of a hash of `total` bytes, of which the last, less than a block, are at `rest`. */
HW_TARGET static void hw_end(stream *go, const uint8_t *rest, uint64_t total, uint8_t *digest)
{
    uint8_t last[128] = {0};
    size_t have = (size_t)(total % 64), blocks = have < 56 ? 1 : 2;
    if (have) memcpy(last, rest, have);
    last[have] = 0x80;
    store32(last + 64 * blocks - 8, swap32((uint32_t)(total >> 29)));
    store32(last + 64 * blocks - 4, swap32((uint32_t)(total << 3)));
    go->at = last;
    go->blocks = blocks;
    hw_blocks(go);
    hw_digest(digest, go->s0, go->s1);
}
