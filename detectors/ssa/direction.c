/* direction.py's `Direction._push`: the same numbers, LANES miners side by side.
 *
 * Rows of the state, and the constants, are macros that direction.py defines. Most is single precision; where numpy
 * takes a factor that is an integer of 64 bits to double, so is it here, and rounded back where it is kept. As
 * numpy's, the larger and the smaller of two are no number where one of them is none.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef float Small __attribute__((vector_size(4 * LANES)));
typedef int32_t Truths __attribute__((vector_size(4 * LANES))); /* -1 is true, 0 is false */
typedef double Large __attribute__((vector_size(8 * LANES)));
typedef int64_t LargeTruths __attribute__((vector_size(8 * LANES)));

INLINE Small small(double x) { return (Small){} + (float)x; }

INLINE Small narrow(Large x) { return __builtin_convertvector(x, Small); }

INLINE Large wide(Small x) { return __builtin_convertvector(x, Large); }

INLINE Small either(Truths when, Small yes, Small no) {
    return (Small)((when & (Truths)yes) | (~when & (Truths)no));
}

INLINE Small smaller(Small a, Small b) { return either((a <= b) | (a != a), a, b); }

INLINE Small larger(Small a, Small b) { return either((a >= b) | (a != a), a, b); }

INLINE Small magnitude(Small x) { return (Small)((Truths)x & INT32_MAX); }

INLINE Small root(Small x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = sqrtf(x[lane]);
    return x;
}

INLINE Large either2(LargeTruths when, Large yes, Large no) {
    return (Large)((when & (LargeTruths)yes) | (~when & (LargeTruths)no));
}

INLINE Large smaller2(Large a, Large b) { return either2((a <= b) | (a != a), a, b); }

INLINE Large larger2(Large a, Large b) { return either2((a >= b) | (a != a), a, b); }

INLINE Small load(const float *from) {
    Small x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store(float *to, Small x) { memcpy(to, &x, sizeof x); }

/* Blocks of 2^s ticks that are remembered. */
INLINE int memory(int s) { return LONGEST_MEMORY >> s > LEAST_MEMORY ? LONGEST_MEMORY >> s : LEAST_MEMORY; }

/* s_m as it is used. */
INLINE void scaled(const Small *variance, const Small *blocks, Small lately, Small *scale) {
    Small v[SCALES];
    v[0] = variance[0];
    for (int s = 1; s < SCALES; s++) {
        const Small prior = either(blocks[s] < (float)memory(s), small(PRIOR_BLOCKS) / blocks[s], small(0));
        const Large known = PRIOR * PRIOR * (double)(1 << s) - wide(small(GROWTH) * v[s - 1]);
        v[s] = variance[s] - narrow(wide(prior) * known);
    }
    const Small louder = larger(small(1), lately / (small(LOUDER) * variance[0]));
    const Small least = 4 * v[0];
    for (int s = 0; s < SCALES; s++)
        scale[s] = root(larger(v[s], least) * louder) * (1 + 1 / root(2 * blocks[s]));
}

/* Take block s, which is over, into its variance, and begin the next one. */
INLINE void learn(float *state, int64_t stride, int s, Small done, Small mean) {
    const Small variance = load(state + (VARIANCE + s) * stride), blocks = load(state + (BLOCKS + s) * stride);
    const Small base = load(state + (BASE + s) * stride);
    const Large off = wide(done) - (double)(1 << s) * wide(smaller(base, small(0)));
    const LargeTruths known = off <= 0; /* no number: the block began in the middle */
    const Truths kept = __builtin_convertvector(known, Truths);
    const Large square = smaller2(off * off, wide(small(FAR_OFF * FAR_OFF) * variance));
    const Large count = smaller2(wide(blocks + 1), (Large){} + memory(s));
    const Large learned = wide(variance) + (square - wide(variance)) / count;
    store(state + (VARIANCE + s) * stride, either(kept, narrow(larger2(learned, (Large){} + LEAST * LEAST)), variance));
    store(state + (BLOCKS + s) * stride, either(kept, narrow(count), blocks));
    store(state + (BLOCK + s) * stride, small(0));
    store(state + (BASE + s) * stride, mean);
}

/* One tick of up to LANES miners; `ticks` counts this one. */
INLINE void block(int count, int64_t stride, int64_t ticks, const double *percent, const bool *present, float *state,
                  double *S, double *W) {
    Truths here = {};
    Large above = {};
    for (int lane = 0; lane < count; lane++) {
        here[lane] = -(present[lane] && isfinite(percent[lane]));
        above[lane] = here[lane] ? percent[lane] - 100.0 - TOLERANCE : 0;
    }
    const Small excess = narrow(above);
    Small variance[SCALES], blocks[SCALES], scale[SCALES];
    for (int s = 0; s < SCALES; s++) {
        variance[s] = load(state + (VARIANCE + s) * stride);
        blocks[s] = load(state + (BLOCKS + s) * stride);
    }
    Small mean = load(state + MEAN * stride), tails = load(state + TAILS * stride);
    Small lately = load(state + LATELY * stride), before = load(state + BEFORE * stride);
    const Small deviation = root(variance[0]);
    const Small out = either(magnitude(excess - mean) > small(TAIL) * deviation, small(1), small(0));
    tails += either(here, narrow(wide(out - tails) / (double)memory(0)), small(0));
    const Small most = either(tails > (float)OFTEN, small(HEAVY), small(LIGHT)) * deviation;
    const Small top = smaller(larger(before, small(0)) + small(ALONE) * deviation, most);
    const Small limited = larger(smaller(excess, top), mean - most);
    const Small below = smaller(excess - smaller(mean, small(0)), small(0));
    const Small square = smaller(below * below, small(LIGHT * LIGHT) * variance[0]);
    lately = either(here & (below < 0), lately + (square - lately) / small(LATELY_TICKS), lately);
    store(state + TAILS * stride, tails);
    store(state + BEFORE * stride, either(here, excess, before));
    store(state + LATELY * stride, lately);

    scaled(variance, blocks, lately, scale);
    Small worst = small(-INFINITY);
    for (int s = 0; s < SCALES; s++) {
        const Small drift = scale[s] * small(H / 2 / (double)(1 << s)), sum = load(state + (SUMS + s) * stride);
        const Small moved = larger(sum + smaller(limited, small(ONE) * scale[s]) - drift, small(0));
        const Small now = either(here, moved, sum);
        store(state + (SUMS + s) * stride, now);
        worst = larger(worst, now / scale[s]);
    }
    worst *= 2;
    const Small size = excess / deviation;
    for (int lane = 0; lane < count; lane++) {
        S[lane] = here[lane] ? size[lane] : NAN;
        W[lane] = here[lane] ? worst[lane] : NAN;
    }

    mean += either(here, narrow(wide(limited - mean) / (double)memory(0)), small(0));
    Small done = either(here, limited, load(state + LEVEL * stride));
    store(state + MEAN * stride, mean);
    store(state + LEVEL * stride, done); /* a missing tick counts as the one before: blocks keep their length */
    for (int s = 0; s < SCALES; s++) {
        done = load(state + (BLOCK + s) * stride) + done;
        store(state + (BLOCK + s) * stride, done);
        if (ticks % (1 << s)) break;
        learn(state, stride, s, done, mean);
    }
}

void direction_push(int64_t n, int64_t stride, int64_t ticks, const double *percent, const bool *present, float *state,
                    double *S, double *W) {
    for (int64_t m = 0; m < n; m += LANES)
        block(n - m < LANES ? (int)(n - m) : LANES, stride, ticks, percent + m, present + m, state + m, S + m, W + m);
}
