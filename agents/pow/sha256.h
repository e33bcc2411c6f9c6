/* SHA-256's compression function (FIPS 180-4, section 6.2.2) five times over: plain C, vectors of eight and of sixteen
 * lanes, x86 SHA, ARMv8 SHA; and which of them this processor can do. Every path takes as many (state, block) pairs as
 * it has lanes.
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

enum { MAX_LANES = 16 };

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

/* ---- Compression ---- */

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

/* Processors without SHA instructions still add eight or four words at once; those that add sixteen outrun the SHA
 * instructions of some (Intel Sapphire Rapids: 48 against 39 million hashes a second). */
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

__attribute__((target("avx512f"))) static void compress_avx512(uint32_t state[][8], const uint8_t blocks[][64]) {
    VECTOR(16)
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
    {"shani", 4, compress_shani, has_shani},
    {"avx512", 16, compress_avx512, has_avx512},
    {"avx2", 8, compress_avx2, has_avx2},
#elif defined(__aarch64__)
    {"armv8", 4, compress_armv8, has_armv8},
    {"neon", 4, compress_neon, always},
#endif
    {"portable", 1, compress_portable, always},
};
enum { PATH_COUNT = sizeof PATHS / sizeof PATHS[0] };
#define PORTABLE (&PATHS[PATH_COUNT - 1])

#endif
