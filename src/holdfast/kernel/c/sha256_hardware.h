/* SHA-256 by the machine's own instructions: nodes of a tree, and plain data beside them.
 *
 * One hash alone leaves the unit idle most of the time, as each step waits for the one before, so
 * several go side by side. A node is two blocks: its 64 bytes, which need a message schedule, and the
 * padding that is the same for all, which needs none. Schedules keep the vector units busy, rounds the
 * unit for SHA-256; so the first blocks of two nodes go together with the second blocks of the two
 * nodes before them, and with a block of plain data: to two nodes a piece has one of those, so the
 * data and the tree end together. We call this a turn.
 *
 * The same data may have to be hashed as a part of a whole, too. By SHA-256 that is some rounds more,
 * as the schedule is there already. MD5 is no work for vectors, and waits for itself more than anything:
 * whatever else is in its turn costs next to nothing.
 */

#define UNROLL4 _Pragma("GCC unroll 4")
#define UNROLL16 _Pragma("GCC unroll 16")

/* A plain SHA-256 on its way: whole blocks at `at`, of which `blocks` are left. */
typedef struct {
    hw s0, s1;
    const uint8_t *at;
    size_t blocks;
} stream;

/* Buffers at places after `base`, and where the SHA-256 of each goes. */
typedef struct {
    const uint8_t *base;
    const uint64_t *places, *sizes;
    size_t count;
    uint8_t *digests;
} leaves;

/* What goes along with a tree: data by itself, and as a part of a whole by SHA-256 or MD5. */
enum { ALONE, ITSELF, WITH_SHA256, WITH_MD5 };
typedef struct {
    int kind;
    stream data;
    const leaves *each; /* the data may be many buffers, each hashed by itself; else null */
    size_t begun;
    hw whole0, whole1;
    uint32_t md5[4];
} beside;

/* The tree: the state of two nodes after their first blocks, and where they belong, if there are. */
typedef struct {
    hw n0[2], n1[2];
    uint8_t *to;
    beside *go;
} tree;

#define NEXT_WORDS(m, g) \
    m[(g) & 3] = hw_schedule(m[(g) & 3], m[((g) + 1) & 3], m[((g) + 2) & 3], m[((g) + 3) & 3])

/* Four of the 64 rounds of one block, number g of 16. */
#define FOUR_ROUNDS(s0, s1, m, g) \
    do { \
        HW_ROUNDS(s0, s1, hw_add(m[(g) & 3], hw_words(K256 + 4 * (g)))); \
        if ((g) < 12) NEXT_WORDS(m, g); \
    } while (0)

/* One turn: the first blocks of F nodes at `in`, the second blocks of the L nodes in `on`, and one
 * block of what goes along, of that kind. F and L (0 or 2) and the kind are constants. */
HW_TARGET ALWAYS void hw_turn(const int F, const int L, const int kind, const uint8_t *in, tree *on)
{
    beside *go = on->go;
    hw a0[2], a1[2], m[2][4], f0[2], f1[2], s0, s1, t0, t1, w[4], i0, i1;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    const uint8_t *at = 0;
    hw_take(IV256, &i0, &i1);
    for (int j = 0; j < F; j++) {
        a0[j] = i0, a1[j] = i1;
        for (int q = 0; q < 4; q++) m[j][q] = hw_message(in + 64 * j + 16 * q);
    }
    for (int j = 0; j < L; j++) f0[j] = on->n0[j], f1[j] = on->n1[j];
    if (kind) {
        at = go->data.at, s0 = go->data.s0, s1 = go->data.s1;
        for (int q = 0; q < 4; q++) w[q] = hw_message(at + 16 * q);
    }
    if (kind == WITH_SHA256) t0 = go->whole0, t1 = go->whole1;
    if (kind == WITH_MD5) a = go->md5[0], b = go->md5[1], c = go->md5[2], d = go->md5[3];
    UNROLL16 for (int g = 0; g < 16; g++) {
        UNROLL4 for (int j = 0; j < F; j++) FOUR_ROUNDS(a0[j], a1[j], m[j], g);
        UNROLL4 for (int j = 0; j < L; j++) HW_ROUNDS(f0[j], f1[j], hw_words(KW256 + 4 * g));
        if (kind == WITH_SHA256) HW_ROUNDS(t0, t1, hw_add(w[g & 3], hw_words(K256 + 4 * g)));
        if (kind) FOUR_ROUNDS(s0, s1, w, g);
        if (kind == WITH_MD5) MD5_FOUR_STEPS(a, b, c, d, at, 4 * g);
    }
    if (kind) {
        go->data.s0 = hw_add(go->data.s0, s0), go->data.s1 = hw_add(go->data.s1, s1);
        go->data.at += 64, go->data.blocks--;
    }
    if (kind == WITH_SHA256) go->whole0 = hw_add(go->whole0, t0), go->whole1 = hw_add(go->whole1, t1);
    if (kind == WITH_MD5) go->md5[0] += a, go->md5[1] += b, go->md5[2] += c, go->md5[3] += d;
    for (int j = 0; j < L; j++) {
        hw_digest(on->to + 32 * j, hw_add(on->n0[j], f0[j]), hw_add(on->n1[j], f1[j]));
        on->to[32 * j + 31] &= 0x3f;
    }
    for (int j = 0; j < F; j++) on->n0[j] = hw_add(a0[j], i0), on->n1[j] = hw_add(a1[j], i1);
}

#define TURN(name, F, L, kind) \
    HW_TARGET NEVER void name(const uint8_t *in, tree *on) { hw_turn(F, L, kind, in, on); }
TURN(hw_begins, 2, 0, ALONE)
TURN(hw_ends, 0, 2, ALONE)
TURN(hw_both, 2, 2, ALONE)
TURN(hw_both_itself, 2, 2, ITSELF)
TURN(hw_both_sha256, 2, 2, WITH_SHA256)
TURN(hw_both_md5, 2, 2, WITH_MD5)
TURN(hw_data_itself, 0, 0, ITSELF)
TURN(hw_data_sha256, 0, 0, WITH_SHA256)
TURN(hw_data_md5, 0, 0, WITH_MD5)

/* The nodes that were begun get to where they belong. */
HW_TARGET static void hw_end_nodes(tree *on)
{
    if (on->to) hw_ends(0, on);
    on->to = 0;
}

HW_TARGET static void hw_begin(stream *go, const uint8_t *data, size_t n);
HW_TARGET static void hw_end(stream *go, const uint8_t *rest, uint64_t total, uint8_t *digest);

HW_TARGET static void hw_begin_leaf(stream *go, const leaves *each, size_t i)
{
    hw_begin(go, each->base + each->places[i], (size_t)each->sizes[i]);
}

HW_TARGET static void hw_end_leaf(stream *go, const leaves *each, size_t i)
{
    uint64_t size = each->sizes[i];
    hw_end(go, each->base + each->places[i] + size - size % 64, size, each->digests + 32 * i);
}

/* Whether there is a block that goes along; of many buffers the next is begun when one has ended. */
HW_TARGET static int hw_goes_along(beside *go)
{
    if (!go) return 0;
    while (!go->data.blocks && go->each && go->begun < go->each->count) {
        if (go->begun) hw_end_leaf(&go->data, go->each, go->begun - 1);
        hw_begin_leaf(&go->data, go->each, go->begun++);
    }
    return go->data.blocks > 0;
}

/* Two nodes more, which are at `to` after the next two, or hw_end_nodes; they may stand where any
 * nodes do that were given before. */
HW_TARGET static void hw_two_nodes(const uint8_t *in, uint8_t *to, tree *on)
{
    if (!on->to) hw_begins(in, on);
    else if (!hw_goes_along(on->go)) hw_both(in, on);
    else if (on->go->kind == ITSELF) hw_both_itself(in, on);
    else if (on->go->kind == WITH_SHA256) hw_both_sha256(in, on);
    else hw_both_md5(in, on);
    on->to = to;
}

/* A row of n nodes. It may take the place of what it is made of, and of four or more nodes the last may
 * be made of the two that are not ended yet. */
HW_TARGET static void hw_row(const uint8_t *in, uint8_t *out, size_t n, tree *on)
{
    size_t i = 0;
    for (; i + 2 <= n; i += 2) hw_two_nodes(in + 64 * i, out + 32 * i, on);
    if (i < n) {
        uint8_t two[128] = {0}, made[64];
        hw_end_nodes(on);
        memcpy(two, in + 64 * i, 64);
        hw_two_nodes(two, made, on);
        hw_end_nodes(on);
        memcpy(out + 32 * i, made, 32);
    }
}

HW_TARGET static void hw_nodes(const uint8_t *in, uint8_t *out, size_t n)
{
    tree on = {.to = 0, .go = 0};
    hw_row(in, out, n, &on);
    hw_end_nodes(&on);
}

/* The root of a subtree; see hold_roots. */
HW_TARGET static void hw_root(const uint8_t *data, size_t groups, uint8_t *scratch, uint8_t *out,
                              beside *go)
{
    enum { SOME = 8 }; /* groups, which stay in the nearest cache from padding to hashing */
    uint8_t padded[128 * SOME];
    tree on = {.to = 0, .go = go};
    for (size_t i = 0; i < groups; i += SOME) {
        size_t n = groups - i < SOME ? groups - i : SOME;
        fr32(data + 127 * i, padded, n);
        hw_row(padded, scratch + 64 * i, 2 * n, &on);
    }
    for (size_t n = groups; n; n /= 2) {
        if (n < 4) hw_end_nodes(&on); /* they are needed at once */
        hw_row(scratch, scratch, n, &on);
    }
    memcpy(out, scratch, 32);
}

/* What is left of the data when the tree has ended. */
HW_TARGET static void hw_rest(beside *go)
{
    tree on = {.to = 0, .go = go};
    while (go->data.blocks) {
        if (go->kind == ITSELF) hw_data_itself(0, &on);
        else if (go->kind == WITH_SHA256) hw_data_sha256(0, &on);
        else hw_data_md5(0, &on);
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
HW_TARGET NEVER void hw_blocks(stream *go) { while (go->blocks) hw_block(1, go); }
HW_TARGET NEVER void hw_pair(stream *go) { while (go->blocks && go[1].blocks) hw_block(2, go); }

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
