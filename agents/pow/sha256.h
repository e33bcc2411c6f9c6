/* SHA-256's compression function (FIPS 180-4, section 6.2.2), once in plain C for any block, and in several ways for
 * the one block that a miner computes over and over; and which of those ways this processor can do.
 *
 * A miner's block differs from nonce to nonce in one word. What does not depend on it is computed once: the first
 * rounds, and the schedule's first words. Of the hash only the first word is needed to see that a nonce is none.
 */
#ifndef MINT_SHA256_H
#define MINT_SHA256_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian processors"
#endif

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

static inline uint64_t load_be64(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return __builtin_bswap64(word);
}

/* ---- Any block ---- */

/* Rounds `first` to `end` - 1 on the state s and the schedule w, for a word type that may be one lane (uint32_t) or
 * several (a vector). */
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define ROUNDS(word, s, w, first, end)                                                                                \
    do {                                                                                                              \
        word a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], bc = b ^ c;              \
        _Pragma("GCC unroll 64") for (int t = (first); t < (end); t++) {                                              \
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
        s[0] = a, s[1] = b, s[2] = c, s[3] = d, s[4] = e, s[5] = f, s[6] = g, s[7] = h;                               \
    } while (0)

static void compress(uint32_t state[8], const uint8_t block[64]) {
    uint32_t s[8], w[16];
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 16; i++) w[i] = load_be32(block + 4 * i);
    ROUNDS(uint32_t, s, w, 0, 64);
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

/* ---- The miner's block: its nonce is the words 6 and 7 ---- */

enum { NONCE_WORD = 6 };

/* Tries `count` nonces, the first of which is in `words`; the others count word 7 up, which does not run over. `state`
 * is that before the block. Gives how many nonces come before the first group of lanes of which one may solve: the
 * first word of its hash is at most `enough`. `count` or more: there is none. */
typedef uint64_t scan_fn(const uint32_t state[8], const uint32_t words[16], uint64_t count, uint32_t enough);

/* As many lanes at once as a vector of this processor has, in C that any has. */
#define SCAN(lanes)                                                                                                   \
    typedef uint32_t vector __attribute__((vector_size(4 * (lanes))));                                                \
    uint32_t begun[8], fixed[16];                                                                                     \
    memcpy(begun, state, sizeof begun);                                                                               \
    memcpy(fixed, words, sizeof fixed);                                                                               \
    ROUNDS(uint32_t, begun, fixed, 0, NONCE_WORD);                                                                    \
    vector nonces;                                                                                                    \
    for (int lane = 0; lane < (lanes); lane++) nonces[lane] = words[7] + (uint32_t)lane;                              \
    for (uint64_t done = 0; done < count; done += (lanes), nonces += (lanes)) {                                       \
        vector s[8], w[16];                                                                                           \
        for (int i = 0; i < 8; i++) s[i] = (vector){0} + begun[i];                                                    \
        for (int i = 0; i < 16; i++) w[i] = (vector){0} + fixed[i];                                                   \
        w[7] = nonces;                                                                                                \
        ROUNDS(vector, s, w, NONCE_WORD, 64);                                                                         \
        vector meets = (vector)(s[0] + state[0] <= enough);                                                           \
        uint32_t any = 0;                                                                                             \
        for (int lane = 0; lane < (lanes); lane++) any |= meets[lane];                                                \
        if (any) return done;                                                                                         \
    }                                                                                                                 \
    return count;

static uint64_t scan_portable(const uint32_t state[8], const uint32_t words[16], uint64_t count, uint32_t enough) {
    SCAN(1)
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t scan_avx2(const uint32_t state[8], const uint32_t words[16],
                                                          uint64_t count, uint32_t enough) {
    SCAN(8)
}

__attribute__((target("avx512f"))) static uint64_t scan_avx512(const uint32_t state[8], const uint32_t words[16],
                                                               uint64_t count, uint32_t enough) {
    SCAN(16)
}

/* x86 SHA: sha256rnds2 does two rounds in four cycles and may start every two. Two lanes would fill that gap; four
 * fill those of the schedule as well. The state is kept as the words ABEF and CDGH. */
__attribute__((target("sha,sse4.1"))) static uint64_t scan_shani(const uint32_t state[8], const uint32_t words[16],
                                                                 uint64_t count, uint32_t enough) {
    enum { LANES = 4 };
    __m128i dcba = _mm_loadu_si128((const __m128i *)state), hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    __m128i abef0 = _mm_alignr_epi8(cdab, efgh, 8), cdgh0 = _mm_blend_epi16(efgh, cdab, 0xf0), x0[4];
    for (int i = 0; i < 4; i++) x0[i] = _mm_loadu_si128((const __m128i *)(words + 4 * i));

    /* The first four rounds, and the schedule's words 16 to 19. */
    __m128i wk = _mm_add_epi32(x0[0], _mm_load_si128((const __m128i *)K));
    cdgh0 = _mm_sha256rnds2_epu32(cdgh0, abef0, wk);
    abef0 = _mm_sha256rnds2_epu32(abef0, cdgh0, _mm_shuffle_epi32(wk, 0x0e));
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(x0[0], x0[1]), _mm_alignr_epi8(x0[3], x0[2], 4));
    x0[0] = _mm_sha256msg2_epu32(sum, x0[3]);

    for (uint64_t done = 0; done < count; done += LANES) {
        __m128i abef[LANES], cdgh[LANES], w[LANES][4];
        for (int lane = 0; lane < LANES; lane++) {
            abef[lane] = abef0, cdgh[lane] = cdgh0;
            memcpy(w[lane], x0, sizeof x0);
            w[lane][1] = _mm_insert_epi32(x0[1], (int)(words[7] + (uint32_t)done + (uint32_t)lane), 3);
        }
#pragma GCC unroll 16
        for (int i = 1; i < 16; i++) { /* four rounds each */
            const __m128i k = _mm_load_si128((const __m128i *)&K[4 * i]);
#pragma GCC unroll 4
            for (int lane = 0; lane < LANES; lane++) {
                __m128i *x = w[lane];
                wk = _mm_add_epi32(x[i & 3], k);
                cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], wk);
                abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(wk, 0x0e));
                if (i < 12) { /* the schedule's words 4i+16 to 4i+19 */
                    __m128i seven_back = _mm_alignr_epi8(x[(i + 3) & 3], x[(i + 2) & 3], 4);
                    sum = _mm_add_epi32(_mm_sha256msg1_epu32(x[i & 3], x[(i + 1) & 3]), seven_back);
                    x[i & 3] = _mm_sha256msg2_epu32(sum, x[(i + 3) & 3]);
                }
            }
        }
        for (int lane = 0; lane < LANES; lane++)
            if ((uint32_t)_mm_extract_epi32(abef[lane], 3) + state[0] <= enough) return done;
    }
    return count;
}
#endif

#if defined(__aarch64__)
static uint64_t scan_neon(const uint32_t state[8], const uint32_t words[16], uint64_t count, uint32_t enough) {
    SCAN(4)
}

__attribute__((target("+crypto"))) static uint64_t scan_armv8(const uint32_t state[8], const uint32_t words[16],
                                                              uint64_t count, uint32_t enough) {
    enum { LANES = 4 };
    uint32x4_t abcd0 = vld1q_u32(state), efgh0 = vld1q_u32(state + 4), x0[4];
    for (int i = 0; i < 4; i++) x0[i] = vld1q_u32(words + 4 * i);

    /* The first four rounds, and the schedule's words 16 to 19. */
    uint32x4_t wk = vaddq_u32(x0[0], vld1q_u32(K)), old = abcd0;
    abcd0 = vsha256hq_u32(old, efgh0, wk);
    efgh0 = vsha256h2q_u32(efgh0, old, wk);
    x0[0] = vsha256su1q_u32(vsha256su0q_u32(x0[0], x0[1]), x0[2], x0[3]);

    for (uint64_t done = 0; done < count; done += LANES) {
        uint32x4_t abcd[LANES], efgh[LANES], w[LANES][4];
        for (int lane = 0; lane < LANES; lane++) {
            abcd[lane] = abcd0, efgh[lane] = efgh0;
            memcpy(w[lane], x0, sizeof x0);
            w[lane][1] = vsetq_lane_u32(words[7] + (uint32_t)done + (uint32_t)lane, x0[1], 3);
        }
#pragma GCC unroll 16
        for (int i = 1; i < 16; i++) { /* four rounds each */
            const uint32x4_t k = vld1q_u32(&K[4 * i]);
#pragma GCC unroll 4
            for (int lane = 0; lane < LANES; lane++) {
                uint32x4_t *x = w[lane];
                wk = vaddq_u32(x[i & 3], k), old = abcd[lane];
                abcd[lane] = vsha256hq_u32(old, efgh[lane], wk);
                efgh[lane] = vsha256h2q_u32(efgh[lane], old, wk);
                if (i < 12) /* the schedule's words 4i+16 to 4i+19 */
                    x[i & 3] =
                        vsha256su1q_u32(vsha256su0q_u32(x[i & 3], x[(i + 1) & 3]), x[(i + 2) & 3], x[(i + 3) & 3]);
            }
        }
        for (int lane = 0; lane < LANES; lane++)
            if (vgetq_lane_u32(abcd[lane], 0) + state[0] <= enough) return done;
    }
    return count;
}
#endif

/* ---- Which of these ways this processor can do ---- */

struct path {
    const char *name;
    int lanes;
    scan_fn *scan;
    bool (*supported)(void);
};

static bool always(void) { return true; }

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }

static bool has_avx512(void) { return __builtin_cpu_supports("avx512f"); }

static bool has_shani(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}
#elif defined(__aarch64__)
static bool has_armv8(void) { return getauxval(AT_HWCAP) & HWCAP_SHA2; }
#endif

static const struct path PATHS[] = {
#if defined(__x86_64__)
    {"shani", 4, scan_shani, has_shani},
    {"avx512", 16, scan_avx512, has_avx512},
    {"avx2", 8, scan_avx2, has_avx2},
#elif defined(__aarch64__)
    {"armv8", 4, scan_armv8, has_armv8},
    {"neon", 4, scan_neon, always},
#endif
    {"portable", 1, scan_portable, always},
};
enum { PATH_COUNT = sizeof PATHS / sizeof PATHS[0] };
#define PORTABLE (&PATHS[PATH_COUNT - 1])

#endif
