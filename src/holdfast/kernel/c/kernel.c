/* Hashing for Holdfast: piece commitments (fr32 and a tree of SHA-256), plain SHA-256 beside them,
 * and MD5 of sixteen streams at once; and the reading of many small files to be hashed. No Python, no
 * allocation, no global state: any thread may call anything at any time. What the formats mean:
 * docs/formats/piece.md.
 */
#include "common.h"

#include "fr32.h"
#include "md5_serial.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LANES_TARGET
#define LANES_NAME nodes8_portable
#include "sha256_lanes.h"

#define MD5_TARGET
#define MD5_NAME md5_portable
#define MD5_VECTORS 1
#define MD5_LOAD(w, in, at) \
    for (int j = 0; j < 8; j++) \
        for (int i = 0; i < 16; i++) w[i][j] = load32(in[j] + (at) + 4 * i)
#include "md5_lanes.h"

#ifdef HOLD_X86
#include "sha256_x86.h"

#define LANES_TARGET __attribute__((target("avx2")))
#define LANES_NAME nodes8_avx2
#include "sha256_lanes.h"

/* Eight words of each of eight lanes, turned so that a vector has one word of every lane. */
__attribute__((target("avx2"))) ALWAYS void turn8(v8 *w, const uint8_t *const in[8], size_t at)
{
    __m256i r[8], s[8], t[8];
    for (int j = 0; j < 8; j++) r[j] = _mm256_loadu_si256((const __m256i *)(in[j] + at));
    for (int j = 0; j < 8; j += 2) {
        s[j] = _mm256_unpacklo_epi32(r[j], r[j + 1]);
        s[j + 1] = _mm256_unpackhi_epi32(r[j], r[j + 1]);
    }
    for (int j = 0; j < 8; j += 4) {
        t[j] = _mm256_unpacklo_epi64(s[j], s[j + 2]);
        t[j + 1] = _mm256_unpackhi_epi64(s[j], s[j + 2]);
        t[j + 2] = _mm256_unpacklo_epi64(s[j + 1], s[j + 3]);
        t[j + 3] = _mm256_unpackhi_epi64(s[j + 1], s[j + 3]);
    }
    for (int i = 0; i < 4; i++) {
        w[i] = (v8)_mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
        w[i + 4] = (v8)_mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
    }
}

#define MD5_TARGET __attribute__((target("avx2")))
#define MD5_NAME md5_avx2
#define MD5_VECTORS 1
#define MD5_LOAD(w, in, at) turn8(w, in, at), turn8(w + 8, in, (at) + 32)
#include "md5_lanes.h"

#define MD5_TARGET __attribute__((target("avx2")))
#define MD5_NAME md5_avx2_pair
#define MD5_VECTORS 2
#define MD5_LOAD(w, in, at) turn8(w, in, at), turn8(w + 8, in, (at) + 32)
#include "md5_lanes.h"
#endif

#ifdef HOLD_ARM
#include "sha256_arm.h"
static int avx2_there(void) { return 0; }
#endif

#ifdef HW_NAME
#include "sha256_hardware.h"
#else /* any other machine: eight lanes as the compiler makes them */
#define HW_NAME ""
static int hw_there(void) { return 0; }
static int avx2_there(void) { return 0; }
#endif

HOLD_API int hold_version(void) { return 4; }
HOLD_API const char *hold_hardware(void) { return HW_NAME; }

/* Which kinds of code this machine can run, a bit for each. */
HOLD_API int hold_kinds(void)
{
    return 1 << KIND_PORTABLE | avx2_there() << KIND_AVX2 | hw_there() << KIND_HARDWARE;
}

/* ---- the tree ---- */

static void nodes8(int kind, const uint8_t *in, uint8_t *out)
{
#ifdef HOLD_X86
    if (kind == KIND_AVX2) { nodes8_avx2(in, out); return; }
#endif
    (void)kind;
    nodes8_portable(in, out);
}

/* n nodes of 64 bytes each; `out` may be `in`. */
HOLD_API void hold_nodes(int kind, const uint8_t *in, uint8_t *out, size_t n)
{
#if defined(HOLD_X86) || defined(HOLD_ARM)
    if (kind == KIND_HARDWARE) { hw_nodes(in, out, n); return; }
#endif
    size_t i = 0;
    for (; i + 8 <= n; i += 8) nodes8(kind, in + 64 * i, out + 32 * i);
    if (i < n) {
        uint8_t some[512] = {0}, made[256];
        memcpy(some, in + 64 * i, 64 * (n - i));
        nodes8(kind, some, made);
        memcpy(out + 32 * i, made, 32 * (n - i));
    }
}

static void root(int kind, const uint8_t *data, size_t groups, uint8_t *scratch, uint8_t *out)
{
#if defined(HOLD_X86) || defined(HOLD_ARM)
    if (kind == KIND_HARDWARE) { hw_root(data, groups, scratch, out, 0); return; }
#endif
    fr32(data, scratch, groups);
    for (size_t n = 2 * groups; n; n /= 2) hold_nodes(kind, scratch, scratch, n);
    memcpy(out, scratch, 32);
}

/* The roots of `count` subtrees of `groups` groups (a power of two) of 127 bytes each.
 * `scratch` has room for 128 bytes a group. */
HOLD_API void hold_roots(int kind, const uint8_t *data, size_t groups, size_t count,
                         uint8_t *scratch, uint8_t *out)
{
    for (size_t i = 0; i < count; i++)
        root(kind, data + 127 * groups * i, groups, scratch, out + 32 * i);
}

/* ---- one MD5 ---- */

HOLD_API size_t hold_md5_serial_size(void) { return sizeof(md5_serial); }

HOLD_API void hold_md5_serial_begin(md5_serial *run)
{
    memcpy(run->state, MD5_IV, sizeof run->state);
    run->total = 0;
}

HOLD_API void hold_md5_serial_update(md5_serial *run, const uint8_t *data, size_t n)
{
    size_t have = (size_t)(run->total % 64);
    run->total += n;
    if (have) {
        size_t part = 64 - have < n ? 64 - have : n;
        if (part) memcpy(run->rest + have, data, part);
        data += part, n -= part;
        if (have + part < 64) return;
        md5_serial_blocks(run->state, run->rest, 1);
    }
    md5_serial_blocks(run->state, data, n / 64);
    if (n % 64) memcpy(run->rest, data + n - n % 64, n % 64);
}

/* The digest of all so far; it may go on after that. */
HOLD_API void hold_md5_serial_digest(const md5_serial *run, uint8_t *digest)
{
    uint32_t state[4];
    uint8_t last[128] = {0};
    size_t have = (size_t)(run->total % 64), blocks = have < 56 ? 1 : 2;
    memcpy(state, run->state, sizeof state);
    if (have) memcpy(last, run->rest, have);
    last[have] = 0x80;
    store64(last + 64 * blocks - 8, run->total << 3);
    md5_serial_blocks(state, last, blocks);
    for (int i = 0; i < 4; i++) store32(digest + 4 * i, state[i]);
}

/* ---- plain SHA-256, only where the machine has instructions for it ---- */

#if defined(HOLD_X86) || defined(HOLD_ARM)

/* A SHA-256 that is fed in parts. */
typedef struct {
    uint8_t state[32];
    uint64_t total;
    uint8_t rest[64];
} running;

HW_TARGET static void resume(stream *go, const running *run, const uint8_t *data, size_t blocks)
{
    memcpy(&go->s0, run->state, 16);
    memcpy(&go->s1, run->state + 16, 16);
    go->at = data;
    go->blocks = blocks;
}

HW_TARGET static void pause_at(running *run, const stream *go)
{
    memcpy(run->state, &go->s0, 16);
    memcpy(run->state + 16, &go->s1, 16);
}

HOLD_API size_t hold_sha256_size(void) { return sizeof(running); }

HW_TARGET HOLD_API void hold_sha256_begin(running *run)
{
    stream go;
    hw_begin(&go, 0, 0);
    pause_at(run, &go);
    run->total = 0;
}

HW_TARGET HOLD_API void hold_sha256_update(running *run, const uint8_t *data, size_t n)
{
    size_t have = (size_t)(run->total % 64);
    stream go;
    run->total += n;
    if (have) {
        size_t part = 64 - have < n ? 64 - have : n;
        memcpy(run->rest + have, data, part);
        data += part, n -= part;
        if (have + part < 64) return;
        resume(&go, run, run->rest, 1);
        hw_blocks(&go);
        pause_at(run, &go);
    }
    resume(&go, run, data, n / 64);
    hw_blocks(&go);
    pause_at(run, &go);
    if (n % 64) memcpy(run->rest, data + n - n % 64, n % 64);
}

/* The digest of all so far; it may go on after that. */
HW_TARGET HOLD_API void hold_sha256_digest(const running *run, uint8_t *digest)
{
    stream go;
    resume(&go, run, 0, 0);
    hw_end(&go, run->rest, run->total, digest);
}

/* hold_roots, and beside it the SHA-256 of the n bytes at `block`. The same bytes are fed to `whole`
 * and to `md5` unless these are null: one of them is, and that costs little as long as what it took
 * before ends with a block of 64 bytes. Only for KIND_HARDWARE. */
HW_TARGET HOLD_API void hold_roots_beside(const uint8_t *data, size_t groups, size_t count,
                                          uint8_t *scratch, uint8_t *out, const uint8_t *block,
                                          size_t n, uint8_t *digest, running *whole,
                                          md5_serial *md5)
{
    beside go = {.kind = ITSELF};
    stream along;
    hw_begin(&go.data, block, n);
    if (whole && whole->total % 64 == 0) {
        go.kind = WITH_SHA256;
        resume(&along, whole, block, 0);
        go.whole0 = along.s0, go.whole1 = along.s1;
    } else if (md5 && md5->total % 64 == 0) {
        go.kind = WITH_MD5;
        memcpy(go.md5, md5->state, sizeof go.md5);
    }
    for (size_t i = 0; i < count; i++)
        hw_root(data + 127 * groups * i, groups, scratch, out + 32 * i, &go);
    hw_rest(&go);
    hw_end(&go.data, block + n - n % 64, n, digest);
    if (go.kind == WITH_SHA256) {
        along.s0 = go.whole0, along.s1 = go.whole1;
        pause_at(whole, &along);
        whole->total += n - n % 64;
    } else if (go.kind == WITH_MD5) {
        memcpy(md5->state, go.md5, sizeof go.md5);
        md5->total += n - n % 64;
    }
    size_t done = go.kind == ITSELF ? 0 : n - n % 64;
    if (whole) hold_sha256_update(whole, block + done, n - done);
    if (md5) hold_md5_serial_update(md5, block + done, n - done);
}

/* hold_roots, and beside it the SHA-256 of each of n buffers at places after `base`, 32 bytes each to
 * `digests`; what is left of them when the tree has ended goes two at a time. Only for KIND_HARDWARE. */
HW_TARGET HOLD_API void hold_roots_beside_each(const uint8_t *data, size_t groups, size_t count,
                                               uint8_t *scratch, uint8_t *out, const uint8_t *base,
                                               const uint64_t *places, const uint64_t *sizes,
                                               size_t n, uint8_t *digests)
{
    leaves each = {base, places, sizes, n, digests};
    beside go = {.kind = ITSELF, .each = &each};
    for (size_t i = 0; i < count; i++)
        hw_root(data + 127 * groups * i, groups, scratch, out + 32 * i, &go);
    if (go.begun) {
        hw_rest(&go);
        hw_end_leaf(&go.data, &each, go.begun - 1);
    }
    for (size_t i = go.begun; i < n; i += 2) {
        int some = n - i < 2 ? 1 : 2;
        stream two[2];
        for (int j = 0; j < some; j++) hw_begin_leaf(two + j, &each, i + j);
        hw_finish_blocks(two, some);
        for (int j = 0; j < some; j++) hw_end_leaf(two + j, &each, i + j);
    }
}
#endif

/* ---- MD5 in sixteen lanes ---- */

enum { MD5_LANES = 16, MD5_SOME = 8 };

typedef struct {
    uint32_t state[MD5_LANES][4];
    uint64_t total[MD5_LANES];
    uint8_t rest[MD5_LANES][64];
} md5_lanes;

HOLD_API size_t hold_md5_size(void) { return sizeof(md5_lanes); }

static void md5_begin_lane(md5_lanes *run, int lane)
{
    memcpy(run->state[lane], MD5_IV, sizeof run->state[lane]);
    run->total[lane] = 0;
}

HOLD_API void hold_md5_begin(md5_lanes *run)
{
    for (int lane = 0; lane < MD5_LANES; lane++) md5_begin_lane(run, lane);
}

/* `blocks` blocks for each of up to sixteen lanes, by their state's words. */
static void md5_lanes_step(int kind, v8 state[8], const uint8_t *const from[], int lanes, size_t blocks)
{
#ifdef HOLD_X86
    if (kind == KIND_AVX2) {
        if (lanes > MD5_SOME) md5_avx2_pair(state, from, blocks);
        else md5_avx2(state, from, blocks);
        return;
    }
#endif
    (void)kind;
    md5_portable(state, from, blocks);
    if (lanes > MD5_SOME) md5_portable(state + 4, from + MD5_SOME, blocks);
}

/* Whole blocks for each lane, as many at a time as all lanes that still have some do have. */
static void md5_blocks(int kind, md5_lanes *run, const uint8_t *at[], size_t left[])
{
    for (;;) {
        int lanes = 0, which[MD5_LANES];
        const uint8_t *from[MD5_LANES];
        size_t some = 0;
        v8 state[8] = {{0}};
        for (int lane = 0; lane < MD5_LANES; lane++) {
            if (!left[lane]) continue;
            if (!some || left[lane] < some) some = left[lane];
            for (int i = 0; i < 4; i++)
                state[4 * (lanes / MD5_SOME) + i][lanes % MD5_SOME] = run->state[lane][i];
            from[lanes] = at[lane];
            which[lanes++] = lane;
        }
        if (!some) return;
        /* Those that are too many go along on bytes that another has; what they get is not kept. */
        for (int j = lanes; j < MD5_LANES; j++) from[j] = from[0];
        md5_lanes_step(kind, state, from, lanes, some);
        for (int j = 0; j < lanes; j++) {
            int lane = which[j];
            for (int i = 0; i < 4; i++)
                run->state[lane][i] = state[4 * (j / MD5_SOME) + i][j % MD5_SOME];
            at[lane] += 64 * some;
            left[lane] -= some;
        }
    }
}

/* Any number of bytes, also none, for each lane. */
static void md5_update(int kind, md5_lanes *run, const uint8_t *const in[], const size_t size[])
{
    const uint8_t *at[MD5_LANES];
    size_t left[MD5_LANES], taken[MD5_LANES];
    for (int lane = 0; lane < MD5_LANES; lane++) {
        size_t have = (size_t)(run->total[lane] % 64);
        taken[lane] = left[lane] = 0;
        at[lane] = run->rest[lane];
        run->total[lane] += size[lane];
        if (!have) continue;
        taken[lane] = 64 - have < size[lane] ? 64 - have : size[lane];
        if (taken[lane]) memcpy(run->rest[lane] + have, in[lane], taken[lane]);
        left[lane] = have + taken[lane] == 64;
    }
    md5_blocks(kind, run, at, left);
    for (int lane = 0; lane < MD5_LANES; lane++) {
        at[lane] = in[lane] + taken[lane];
        left[lane] = (size[lane] - taken[lane]) / 64;
    }
    md5_blocks(kind, run, at, left);
    for (int lane = 0; lane < MD5_LANES; lane++) {
        size_t rest = (size[lane] - taken[lane]) % 64;
        if (rest) memcpy(run->rest[lane], in[lane] + size[lane] - rest, rest);
    }
}

/* The digest of the lanes whose bit is set, each at its place; they begin anew. */
HOLD_API void hold_md5_end(int kind, md5_lanes *run, unsigned lanes, uint8_t digests[][16])
{
    uint8_t last[MD5_LANES][128];
    const uint8_t *at[MD5_LANES];
    size_t left[MD5_LANES];
    memset(last, 0, sizeof last);
    for (int lane = 0; lane < MD5_LANES; lane++) {
        size_t rest = (size_t)(run->total[lane] % 64);
        at[lane] = last[lane];
        left[lane] = lanes >> lane & 1 ? (rest < 56 ? 1 : 2) : 0;
        if (!left[lane]) continue;
        memcpy(last[lane], run->rest[lane], rest);
        last[lane][rest] = 0x80;
        store64(last[lane] + 64 * left[lane] - 8, run->total[lane] << 3);
    }
    md5_blocks(kind, run, at, left);
    for (int lane = 0; lane < MD5_LANES; lane++) {
        if (!(lanes >> lane & 1)) continue;
        for (int i = 0; i < 4; i++) store32(digests[lane] + 4 * i, run->state[lane][i]);
        md5_begin_lane(run, lane);
    }
}

/* The MD5 of each of n buffers at places after `base`, 16 bytes each to `digests`. */
HOLD_API void hold_md5_many(int kind, const uint8_t *base, const uint64_t *places,
                            const uint64_t *sizes, size_t n, uint8_t *digests)
{
    for (size_t first = 0; first < n; first += MD5_LANES) {
        size_t some = n - first < MD5_LANES ? n - first : MD5_LANES, size[MD5_LANES] = {0};
        const uint8_t *in[MD5_LANES];
        uint8_t made[MD5_LANES][16];
        md5_lanes run;
        for (size_t j = 0; j < MD5_LANES; j++) in[j] = base;
        for (size_t j = 0; j < some; j++) {
            in[j] = base + places[first + j];
            size[j] = (size_t)sizes[first + j];
        }
        hold_md5_begin(&run);
        md5_update(kind, &run, in, size);
        hold_md5_end(kind, &run, (1u << some) - 1, made);
        memcpy(digests + 16 * first, made, 16 * some);
    }
}

#include "copying.h"

/* ---- files ---- */

#ifdef __APPLE__
#define WRITTEN_AT(s) (s).st_mtimespec
#define CHANGED_AT(s) (s).st_mtimespec, (s).st_ctimespec
#else
#define WRITTEN_AT(s) (s).st_mtim
#define CHANGED_AT(s) (s).st_mtim, (s).st_ctim
#endif

static int same_times(const struct stat *one, const struct stat *other)
{
    const struct timespec a[2] = {CHANGED_AT(*one)}, b[2] = {CHANGED_AT(*other)};
    for (int i = 0; i < 2; i++)
        if (a[i].tv_sec != b[i].tv_sec || a[i].tv_nsec != b[i].tv_nsec) return 0;
    return one->st_size == other->st_size;
}

/* Whether a file was written to at that moment or since. */
static int is_written_since(const struct stat *seen, const struct timespec *moment)
{
    const struct timespec written = WRITTEN_AT(*seen);
    return written.tv_sec > moment->tv_sec
        || (written.tv_sec == moment->tv_sec && written.tv_nsec >= moment->tv_nsec);
}

/* Read all of a file that has exactly that size, was not written to since `settled` and does not change
 * meanwhile, and is none of the kinds that make one wait. Whether it was so. */
static int read_file(int folder, const char *path, uint8_t *to, uint64_t size,
                     const struct timespec *settled)
{
    struct stat before, after;
    uint64_t done = 0;
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return 0;
    int right = !fstat(file, &before) && S_ISREG(before.st_mode) && (uint64_t)before.st_size == size
        && !is_written_since(&before, settled);
    while (right && done < size) {
        ssize_t got = read(file, to + done, (size_t)(size - done));
        if (got > 0) done += (uint64_t)got;
        else right = 0;
    }
    right = right && !fstat(file, &after) && same_times(&before, &after);
    close(file);
    return right;
}

/* The folder of a path, opened, if `next` is in it too: names in it are found quicker from there. Its
 * length with the slash goes to `size`. Else AT_FDCWD, which means the whole path. */
static int open_folder(const char *path, const char *next, size_t *size)
{
    char folder[4096];
    const char *name = strrchr(path, '/');
    *size = name ? (size_t)(name - path) + 1 : 0;
    if (!*size || *size >= sizeof folder || strncmp(path, next, *size) || strchr(next + *size, '/'))
        return AT_FDCWD;
    memcpy(folder, path, *size);
    folder[*size] = 0;
    int found = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    return found < 0 ? AT_FDCWD : found;
}

/* Read n files, whose paths follow each other with a zero after each, to places after `base`. Those
 * that are not as `sizes` says, or were written to in the last `unsettled` nanoseconds (less than a
 * second), get a 1 in `wrong`; what is at their places is anything then. */
HOLD_API void hold_read_files(const char *paths, uint8_t *base, const uint64_t *places,
                              const uint64_t *sizes, size_t n, long unsettled, uint8_t *wrong)
{
    const char *before = "";
    struct timespec settled;
    clock_gettime(CLOCK_REALTIME, &settled);
    settled.tv_nsec -= unsettled;
    if (settled.tv_nsec < 0) settled.tv_nsec += 1000000000L, settled.tv_sec--;
    size_t size = 0;
    int folder = AT_FDCWD;
    for (size_t i = 0; i < n; i++) {
        const char *next = paths + strlen(paths) + 1;
        int is_same = folder != AT_FDCWD && !strncmp(before, paths, size) && !strchr(paths + size, '/');
        if (!is_same) {
            if (folder != AT_FDCWD) close(folder);
            folder = i + 1 < n ? open_folder(paths, next, &size) : AT_FDCWD;
        }
        const char *from = folder == AT_FDCWD ? paths : paths + size;
        wrong[i] = !read_file(folder, from, base + places[i], sizes[i], &settled);
        before = paths;
        paths = next;
    }
    if (folder != AT_FDCWD) close(folder);
}

/* The mode and size of n things in a folder, links not followed, whose names follow each other with a
 * zero after each. What cannot be looked at has the mode 0, and as its size the number of the error. */
HOLD_API void hold_look_at(const char *folder, const char *names, size_t n, uint64_t *modes,
                           uint64_t *sizes)
{
    struct stat seen;
    int opened = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY), why = errno;
    for (size_t i = 0; i < n; i++, names += strlen(names) + 1) {
        int is_there = opened >= 0 && !fstatat(opened, names, &seen, AT_SYMLINK_NOFOLLOW);
        modes[i] = is_there ? seen.st_mode : 0;
        sizes[i] = (uint64_t)(is_there ? seen.st_size : opened < 0 ? why : errno);
    }
    if (opened >= 0) close(opened);
}
