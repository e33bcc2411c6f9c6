/* MinT's proof-of-work miner: equation 1 of the paper,
 *
 *     hash_block = SHA-256(block_data | nonce) <= D(h) = 2^(256-h)
 *
 * block_data is a byte string, nonce 8 bytes big-endian, h the difficulty in leading zero bits. equation.py is the
 * readable reference; the two are tested against each other.
 *
 * One thread, no network, no keys, no files, nothing but libc: what it takes is CPU. Speed matters, for whatever this
 * program leaves unused is a cheat's to gain: all that stays the same from nonce to nonce is hashed once (the
 * midstate), and several nonces are hashed at once, so that one's waiting is another's working.
 *
 * The file, top to bottom: SHA-256 compression four times over (plain C, vectors, x86 SHA, ARMv8 SHA), which of them
 * this processor can do, the search over nonces, the self-test, the modes, the options.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#endif

enum { MAX_LANES = 8, USAGE_ERROR = 2, MACHINE_ERROR = 3 };

static const uint32_t INITIAL[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t K[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t load_be32(const uint8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return __builtin_bswap32(word);
}

static inline void store_be32(uint8_t *to, uint32_t word) {
    word = __builtin_bswap32(word);
    memcpy(to, &word, sizeof word);
}

static inline void store_be64(uint8_t *to, uint64_t word) {
    word = __builtin_bswap64(word);
    memcpy(to, &word, sizeof word);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian processors"
#endif

/* ---- Compression: every path takes as many (state, block) pairs as it has lanes, FIPS 180-4 section 6.2.2 ---- */

typedef void compress_fn(uint32_t state[][8], const uint8_t blocks[][64]);

/* The 64 rounds, for a word type that may be one lane (uint32_t) or several (a vector). */
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define ROUNDS(word, s, w)                                                                                            \
    do {                                                                                                              \
        word a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], bc = b ^ c;              \
        _Pragma("GCC unroll 64") for (int t = 0; t < 64; t++) {                                                       \
            if (t >= 16) {                                                                                            \
                word w15 = w[(t - 15) & 15], w2 = w[(t - 2) & 15];                                                    \
                w[t & 15] += (ROTATE(w15, 7) ^ ROTATE(w15, 18) ^ (w15 >> 3)) + w[(t - 7) & 15] +                      \
                             (ROTATE(w2, 17) ^ ROTATE(w2, 19) ^ (w2 >> 10));                                          \
            }                                                                                                         \
            word t1 = h + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + (g ^ (e & (f ^ g))) + K[t] + w[t & 15];    \
            word ab = a ^ b;                                                                                          \
            word t2 = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + (b ^ (ab & bc)); /* the majority of a, b, c */ \
            bc = ab;                                                                                                  \
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;                                        \
        }                                                                                                             \
        s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;                       \
    } while (0)

static void compress_portable(uint32_t state[][8], const uint8_t blocks[][64]) {
    uint32_t w[16];
    for (int i = 0; i < 16; i++) w[i] = load_be32(blocks[0] + 4 * i);
    ROUNDS(uint32_t, state[0], w);
}

/* Processors without SHA instructions still add eight or four words at once. */
#define VECTOR(lanes)                                                                                                 \
    typedef uint32_t vector __attribute__((vector_size(4 * (lanes))));                                                \
    vector s[8], w[16];                                                                                               \
    for (int i = 0; i < 8; i++)                                                                                       \
        for (int lane = 0; lane < (lanes); lane++) s[i][lane] = state[lane][i];                                       \
    for (int i = 0; i < 16; i++)                                                                                      \
        for (int lane = 0; lane < (lanes); lane++) w[i][lane] = load_be32(blocks[lane] + 4 * i);                      \
    ROUNDS(vector, s, w);                                                                                             \
    for (int i = 0; i < 8; i++)                                                                                       \
        for (int lane = 0; lane < (lanes); lane++) state[lane][i] = s[i][lane];

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void compress_avx2(uint32_t state[][8], const uint8_t blocks[][64]) {
    VECTOR(8)
}

/* x86 SHA: sha256rnds2 does two rounds in four cycles and may start every two. Two lanes would fill that gap; four
 * fill those of the schedule as well and are the fastest measured (one 18.6, two 33, four 40, six 25 million hashes a
 * second on an AMD Zen 3). The state is kept as the words ABEF and CDGH. */
__attribute__((target("sha,sse4.1"))) static void compress_shani(uint32_t state[][8], const uint8_t blocks[][64]) {
    enum { LANES = 4 };
    const __m128i bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203); /* big-endian words */
    __m128i abef[LANES], cdgh[LANES], abef0[LANES], cdgh0[LANES], w[LANES][4];
    for (int lane = 0; lane < LANES; lane++) {
        __m128i dcba = _mm_loadu_si128((const __m128i *)&state[lane][0]);
        __m128i hgfe = _mm_loadu_si128((const __m128i *)&state[lane][4]);
        __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
        abef0[lane] = abef[lane] = _mm_alignr_epi8(cdab, efgh, 8);
        cdgh0[lane] = cdgh[lane] = _mm_blend_epi16(efgh, cdab, 0xf0);
        for (int i = 0; i < 4; i++)
            w[lane][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks[lane] + 16 * i)), bytes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) { /* four rounds each */
        const __m128i k = _mm_load_si128((const __m128i *)&K[4 * i]);
#pragma GCC unroll 4
        for (int lane = 0; lane < LANES; lane++) {
            __m128i *x = w[lane], wk = _mm_add_epi32(x[i & 3], k);
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], wk);
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(wk, 0x0e));
            if (i < 12) { /* the schedule's words 4i+16 to 4i+19 */
                __m128i seven_back = _mm_alignr_epi8(x[(i + 3) & 3], x[(i + 2) & 3], 4);
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(x[i & 3], x[(i + 1) & 3]), seven_back);
                x[i & 3] = _mm_sha256msg2_epu32(sum, x[(i + 3) & 3]);
            }
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        __m128i feba = _mm_shuffle_epi32(_mm_add_epi32(abef[lane], abef0[lane]), 0x1b);
        __m128i dchg = _mm_shuffle_epi32(_mm_add_epi32(cdgh[lane], cdgh0[lane]), 0xb1);
        _mm_storeu_si128((__m128i *)&state[lane][0], _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128((__m128i *)&state[lane][4], _mm_alignr_epi8(dchg, feba, 8));
    }
}
#endif

#if defined(__aarch64__)
static void compress_neon(uint32_t state[][8], const uint8_t blocks[][64]) { VECTOR(4) }

__attribute__((target("+crypto"))) static void compress_armv8(uint32_t state[][8], const uint8_t blocks[][64]) {
    enum { LANES = 4 };
    uint32x4_t abcd[LANES], efgh[LANES], w[LANES][4];
    for (int lane = 0; lane < LANES; lane++) {
        abcd[lane] = vld1q_u32(&state[lane][0]), efgh[lane] = vld1q_u32(&state[lane][4]);
        for (int i = 0; i < 4; i++)
            w[lane][i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks[lane] + 16 * i)));
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) { /* four rounds each */
        const uint32x4_t k = vld1q_u32(&K[4 * i]);
#pragma GCC unroll 4
        for (int lane = 0; lane < LANES; lane++) {
            uint32x4_t *x = w[lane], wk = vaddq_u32(x[i & 3], k), old = abcd[lane];
            abcd[lane] = vsha256hq_u32(old, efgh[lane], wk);
            efgh[lane] = vsha256h2q_u32(efgh[lane], old, wk);
            if (i < 12) /* the schedule's words 4i+16 to 4i+19 */
                x[i & 3] = vsha256su1q_u32(vsha256su0q_u32(x[i & 3], x[(i + 1) & 3]), x[(i + 2) & 3], x[(i + 3) & 3]);
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        vst1q_u32(&state[lane][0], vaddq_u32(abcd[lane], vld1q_u32(&state[lane][0])));
        vst1q_u32(&state[lane][4], vaddq_u32(efgh[lane], vld1q_u32(&state[lane][4])));
    }
}
#endif

/* ---- Which of them this processor can do ---- */

struct path {
    const char *name;
    int lanes;
    compress_fn *compress;
    bool (*supported)(void);
};

static bool always(void) { return true; }

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }

static bool has_shani(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}
#elif defined(__aarch64__)
static bool has_armv8(void) { return getauxval(AT_HWCAP) & HWCAP_SHA2; }
#endif

static const struct path PATHS[] = {
/* fastest first */
#if defined(__x86_64__)
    {"shani", 4, compress_shani, has_shani},
    {"avx2", 8, compress_avx2, has_avx2},
#elif defined(__aarch64__)
    {"armv8", 4, compress_armv8, has_armv8},
    {"neon", 4, compress_neon, always},
#endif
    {"portable", 1, compress_portable, always},
};
enum { PATH_COUNT = sizeof PATHS / sizeof PATHS[0] };
#define PORTABLE (&PATHS[PATH_COUNT - 1])

/* ---- The search ---- */

/* block_data with a hole for the nonce: all full leading blocks are in `midstate`, what follows is in `last`. */
struct job {
    uint32_t midstate[8];
    uint8_t last[2][64]; /* the rest of block_data, the nonce, the padding */
    int blocks;          /* how many of `last` there are */
    int nonce_at;        /* where in them the nonce begins */
};

struct solution {
    uint64_t nonce;
    uint8_t hash[32];
};

static struct job make_job(const uint8_t *data, size_t size) {
    struct job job = {.nonce_at = (int)(size % 64)};
    memcpy(job.midstate, INITIAL, sizeof INITIAL);
    size_t full = size - size % 64;
    for (size_t at = 0; at < full; at += 64) {
        uint8_t block[1][64];
        memcpy(block, data + at, 64);
        compress_portable(&job.midstate, (const uint8_t(*)[64])block);
    }
    uint8_t *last = &job.last[0][0];
    memcpy(last, data + full, size % 64);
    size_t end = size % 64 + 8;
    last[end] = 0x80;
    job.blocks = end + 1 + 8 <= 64 ? 1 : 2;
    store_be64(last + 64 * job.blocks - 8, 8 * ((uint64_t)size + 8));
    return job;
}

/* D(h) as 32 bytes big-endian; 2^256, which does not fit, as 2^256 - 1, which all hashes meet as well. */
static void make_target(uint8_t target[32], int difficulty) {
    memset(target, difficulty == 0 ? 0xff : 0, 32);
    int bit = 256 - difficulty;
    if (difficulty > 0) target[31 - bit / 8] = (uint8_t)(1 << (bit % 8));
}

/* Try `count` nonces upwards from `from`; true if one meets the target (the smallest is taken). */
static bool search(const struct path *path, const struct job *job, const uint8_t target[32], uint64_t from,
                   uint64_t count, struct solution *solution) {
    uint8_t blocks[2][MAX_LANES][64] __attribute__((aligned(64)));
    uint32_t state[MAX_LANES][8] __attribute__((aligned(64)));
    const uint32_t enough = load_be32(target);
    for (int block = 0; block < 2; block++)
        for (int lane = 0; lane < MAX_LANES; lane++) memcpy(blocks[block][lane], job->last[block], 64);

    for (uint64_t done = 0; done < count; done += (uint64_t)path->lanes) {
        for (int lane = 0; lane < path->lanes; lane++) {
            memcpy(state[lane], job->midstate, sizeof job->midstate);
            uint64_t nonce = from + done + (uint64_t)lane;
            if (job->nonce_at <= 64 - 8) {
                store_be64(blocks[0][lane] + job->nonce_at, nonce);
            } else { /* it lies across the end of the first block */
                uint8_t bytes[8];
                store_be64(bytes, nonce);
                int first = 64 - job->nonce_at;
                memcpy(blocks[0][lane] + job->nonce_at, bytes, (size_t)first);
                memcpy(blocks[1][lane], bytes + first, (size_t)(8 - first));
            }
        }
        for (int block = 0; block < job->blocks; block++)
            path->compress(state, (const uint8_t(*)[64])blocks[block]);
        for (int lane = 0; lane < path->lanes; lane++) {
            if (state[lane][0] > enough) continue;
            for (int i = 0; i < 8; i++) store_be32(solution->hash + 4 * i, state[lane][i]);
            if (memcmp(solution->hash, target, 32) > 0 || done + (uint64_t)lane >= count) continue;
            solution->nonce = from + done + (uint64_t)lane;
            return true;
        }
    }
    return false;
}

static void print_hex(FILE *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) fprintf(out, "%02x", bytes[i]);
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- The self-test ---- */

/* The published vector (FIPS 180-4's "abc"), then `path` against plain C over every length of block_data that lays
 * the nonce out differently. The hash of "abc" is had by taking its padded block for a job without a nonce. */
static bool path_is_right(const struct path *path) {
    static const uint8_t ABC[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                    0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                    0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint32_t state[MAX_LANES][8];
    uint8_t blocks[MAX_LANES][64] = {{0}};
    for (int lane = 0; lane < MAX_LANES; lane++) {
        memcpy(state[lane], INITIAL, sizeof INITIAL);
        memcpy(blocks[lane], "abc\x80", 4);
        blocks[lane][63] = 24;
    }
    path->compress(state, (const uint8_t(*)[64])blocks);
    for (int lane = 0; lane < path->lanes; lane++)
        for (int i = 0; i < 8; i++)
            if (state[lane][i] != load_be32(ABC + 4 * i)) return false;

    uint8_t data[130], target[32];
    for (int i = 0; i < 130; i++) data[i] = (uint8_t)(37 * i + 11);
    make_target(target, 6);
    for (size_t size = 0; size <= sizeof data; size++) {
        struct job job = make_job(data, size);
        struct solution ours = {0}, plain = {0};
        uint64_t from = 0xfffffff0 + size;
        bool found = search(path, &job, target, from, 999, &ours);
        if (found != search(PORTABLE, &job, target, from, 999, &plain)) return false;
        if (found && (ours.nonce != plain.nonce || memcmp(ours.hash, plain.hash, 32))) return false;
    }
    return true;
}

static int selftest(void) {
    int failed = 0;
    for (int i = 0; i < PATH_COUNT; i++) {
        bool can = PATHS[i].supported(), right = can && path_is_right(&PATHS[i]);
        printf("{\"path\":\"%s\",\"lanes\":%d,\"supported\":%s,\"right\":%s}\n", PATHS[i].name, PATHS[i].lanes,
               can ? "true" : "false", right ? "true" : "false");
        failed |= can && !right;
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- The modes ---- */

enum { CHUNK = 1 << 20 }; /* nonces between two looks at the clock: some 50 ms */

static int bench(const struct path *path, double seconds) {
    uint8_t data[72] = {0}, never[32] = {0};
    struct job job = make_job(data, sizeof data);
    struct solution unused;
    uint64_t hashes = 0;
    double begin = cpu_seconds(), spent;
    do {
        search(path, &job, never, hashes, CHUNK / 16, &unused);
        hashes += CHUNK / 16;
        spent = cpu_seconds() - begin;
    } while (spent < seconds);
    printf("{\"path\":\"%s\",\"hashes_per_cpu_second\":%.0f,\"hashes\":%llu,\"cpu_seconds\":%.6f}\n", path->name,
           (double)hashes / spent, (unsigned long long)hashes, spent);
    return EXIT_SUCCESS;
}

static int solve(const struct path *path, const uint8_t *data, size_t size, int difficulty, uint64_t from,
                 uint64_t count) {
    uint8_t target[32];
    make_target(target, difficulty);
    struct job job = make_job(data, size);
    struct solution solution;
    if (!search(path, &job, target, from, count, &solution)) {
        printf("{\"path\":\"%s\",\"nonce\":null,\"hash\":null}\n", path->name);
        return EXIT_SUCCESS;
    }
    printf("{\"path\":\"%s\",\"nonce\":%llu,\"hash\":\"", path->name, (unsigned long long)solution.nonce);
    print_hex(stdout, solution.hash, 32);
    puts("\"}");
    return EXIT_SUCCESS;
}

/* Block after block, each on the one before: block_data is the previous block's hash (32 bytes, zeros before the first
 * block), the miner's name (32 bytes, zero-padded) and the height (8 bytes big-endian): one full block that goes into
 * the midstate, and one that holds height and nonce. */
static int mine(const struct path *path, const char *miner, int difficulty) {
    uint8_t data[72] = {0}, target[32];
    memcpy(data + 32, miner, strlen(miner));
    make_target(target, difficulty);
    uint64_t hashes = 0;
    for (uint64_t height = 1;; height++) {
        store_be64(data + 64, height);
        struct job job = make_job(data, sizeof data);
        struct solution solution;
        uint64_t from = 0;
        while (!search(path, &job, target, from, CHUNK, &solution)) from += CHUNK;
        hashes += solution.nonce + 1;
        printf("{\"miner\":\"%s\",\"height\":%llu,\"nonce\":%llu,\"hash\":\"", miner, (unsigned long long)height,
               (unsigned long long)solution.nonce);
        print_hex(stdout, solution.hash, 32);
        printf("\",\"hashes\":%llu,\"cpu_seconds\":%.6f}\n", (unsigned long long)hashes, cpu_seconds());
        if (fflush(stdout)) return EXIT_FAILURE; /* nobody listens any more */
        memcpy(data, solution.hash, 32);
    }
}

/* ---- The options ---- */

static const char HELP[] =
    "usage: miner [--miner NAME] [--difficulty H] [--path PATH] [--parent PID]   mine, one JSON line a block\n"
    "       miner --solve HEXDATA [--difficulty H] [--from N] [--count K] [--path PATH]\n"
    "       miner --bench SECONDS [--path PATH]                  hashes per second of CPU time\n"
    "       miner --selftest\n"
    "H: leading zero bits, 0 to 256 (24). PATH: shani, avx2, armv8, neon or portable (the fastest this processor has).\n"
    "PID: the process to end with.\n";

static void wrong(const char *what, const char *value, const char *mend) {
    fprintf(stderr, "miner: %s %s: %s\n", what, value, mend);
    exit(USAGE_ERROR);
}

static uint64_t number(const char *option, const char *text, uint64_t most) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > most) wrong(option, text, "not a number in range");
    return value;
}

static const struct path *choose_path(const char *wanted) {
    for (int i = 0; i < PATH_COUNT; i++)
        if ((!wanted || !strcmp(wanted, PATHS[i].name)) && PATHS[i].supported()) return &PATHS[i];
    wrong("--path", wanted, "this processor has no such path");
    return NULL;
}

static uint8_t *from_hex(const char *text, size_t *size) {
    *size = strlen(text) / 2;
    uint8_t *data = malloc(*size + 1);
    if (!data) exit(MACHINE_ERROR);
    for (size_t i = 0; i < *size; i++)
        if (strspn(text + 2 * i, "0123456789abcdefABCDEF") < 2 || sscanf(text + 2 * i, "%2hhx", &data[i]) != 1)
            wrong("--solve", text, "not hexadecimal");
    if (strlen(text) % 2) wrong("--solve", text, "an odd number of digits");
    return data;
}

static void check_name(const char *name) {
    size_t size = strlen(name);
    if (size < 1 || size > 32 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != size)
        wrong("--miner", name, "use 1 to 32 of a-z, 0-9 and _");
}

/* The first process of a container ignores signals that it has no handler for. */
static void end_now(int signal) {
    (void)signal;
    _exit(EXIT_SUCCESS);
}

int main(int argc, char **argv) {
    static const struct option OPTIONS[] = {
        {"miner", required_argument, 0, 'm'}, {"difficulty", required_argument, 0, 'd'},
        {"path", required_argument, 0, 'p'},  {"parent", required_argument, 0, 'P'},
        {"solve", required_argument, 0, 's'}, {"from", required_argument, 0, 'f'},
        {"count", required_argument, 0, 'c'}, {"bench", required_argument, 0, 'b'},
        {"selftest", no_argument, 0, 't'},    {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0}};
    const char *miner = "miner", *wanted = NULL, *hex = NULL;
    int difficulty = 24, mode = 'm', option;
    uint64_t from = 0, count = UINT64_MAX - MAX_LANES, seconds = 0, parent = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) switch (option) {
            case 'm': check_name(miner = optarg); break;
            case 'd': difficulty = (int)number("--difficulty", optarg, 256); break;
            case 'p': wanted = optarg; break;
            case 'P': parent = number("--parent", optarg, INT32_MAX); break;
            case 'f': from = number("--from", optarg, UINT64_MAX); break;
            case 'c': count = number("--count", optarg, UINT64_MAX - MAX_LANES); break;
            case 's': mode = 's', hex = optarg; break;
            case 'b': mode = 'b', seconds = number("--bench", optarg, 3600); break;
            case 't': mode = 't'; break;
            case 'h': return fputs(HELP, stdout) < 0;
            default: wrong("option", argv[optind - 1], "unknown or without its value; see --help");
        }
    if (optind < argc) wrong("argument", argv[optind], "not expected; see --help");

    struct sigaction action = {.sa_handler = end_now};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (parent) { /* whoever started it may have ended before the request below was in force */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if ((uint64_t)getppid() != parent) return EXIT_SUCCESS;
    }

    const struct path *path = choose_path(wanted);
    if (mode == 't') return selftest();
    if (mode == 's') {
        size_t size;
        uint8_t *data = from_hex(hex, &size);
        int code = solve(path, data, size, difficulty, from, count);
        free(data);
        return code;
    }
    if (!path_is_right(path)) {
        fprintf(stderr, "miner: this processor computes SHA-256 wrongly on path %s: try --path portable\n", path->name);
        return MACHINE_ERROR;
    }
    return mode == 'b' ? bench(path, (double)seconds) : mine(path, miner, difficulty);
}
