/* Files copied side by side, and hashed on the way: in small parts that stay near to the processor. */

enum { LANES = MD5_LANES };

/* One file: where it is read (-1: there is none), where it is written (-1: nowhere); then how many
 * bytes were taken in, whether that was its end, and what failed, or 0. */
typedef struct {
    int32_t from, to;
    uint64_t taken;
    int32_t is_end, failed_read, failed_write;
} lane_file;

/* The next bytes of a file to `room`: how many were read, and written. */
static size_t copy_part(lane_file *file, uint8_t *room, size_t size)
{
    ssize_t got, put;
    do got = read(file->from, room, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) file->failed_read = errno;
    if (!got) file->is_end = 1;
    if (got <= 0) return 0;
    for (ssize_t done = 0; file->to >= 0 && done < got; done += put) {
        do put = write(file->to, room + done, (size_t)(got - done));
        while (put < 0 && errno == EINTR);
        if (put < 0) file->failed_write = errno;
        if (put < 0) return 0;
    }
    file->taken += (uint64_t)got;
    return (size_t)got;
}

/* The next part of every file that has not come to its end or to `most` bytes: where and how many.
 * Whether there are any. */
static int copy_parts(lane_file files[], uint64_t most, uint8_t *room, size_t part,
                      const uint8_t *in[], size_t size[])
{
    size_t sum = 0;
    for (int lane = 0; lane < LANES; lane++) {
        lane_file *file = files + lane;
        in[lane] = room + part * (size_t)lane;
        size[lane] = 0;
        if (file->from < 0 || file->is_end || file->failed_read || file->failed_write) continue;
        uint64_t rest = file->taken < most ? most - file->taken : 0;
        if (rest) size[lane] = copy_part(file, room + part * (size_t)lane, rest < part ? rest : part);
        sum += size[lane];
    }
    return sum > 0;
}

/* Up to `most` bytes of the file in each lane; `room` has `part` bytes for each. A file stops at its
 * end, or where it failed: what was hashed of that one is of no use. */
HOLD_API void hold_md5_copy(int kind, md5_lanes *run, lane_file files[], uint64_t most, uint8_t *room,
                            size_t part)
{
    const uint8_t *in[LANES];
    size_t size[LANES];
    while (copy_parts(files, most, room, part, in, size)) md5_update(kind, run, in, size);
}

#if defined(HOLD_X86) || defined(HOLD_ARM)
/* More bytes for each lane, in pairs, which is what keeps the unit for SHA-256 busy. */
HW_TARGET static void sha256_update_lanes(running run[], const uint8_t *const in[], size_t size[])
{
    stream go[2];
    int pair[2], some = 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (size[lane] >= 64 && run[lane].total % 64 == 0) {
            resume(go + some, run + lane, in[lane], size[lane] / 64);
            pair[some++] = lane;
        } else if (size[lane]) {
            hold_sha256_update(run + lane, in[lane], size[lane]);
        }
        if (!some || (some < 2 && lane + 1 < LANES)) continue;
        hw_finish_blocks(go, some);
        for (int j = 0; j < some; j++) {
            size_t n = size[pair[j]], whole = n - n % 64;
            pause_at(run + pair[j], go + j);
            run[pair[j]].total += whole;
            if (n % 64) hold_sha256_update(run + pair[j], in[pair[j]] + whole, n % 64);
        }
        some = 0;
    }
}

/* As hold_md5_copy, by SHA-256. Only for KIND_HARDWARE. */
HOLD_API void hold_sha256_copy(running run[], lane_file files[], uint64_t most, uint8_t *room,
                               size_t part)
{
    const uint8_t *in[LANES];
    size_t size[LANES];
    while (copy_parts(files, most, room, part, in, size)) sha256_update_lanes(run, in, size);
}
#endif
