/* D and D~ (equation 6) of many windows: trajectory.py, several windows at once.
 *
 * As many windows as the processor's vectors hold numbers are decomposed side by side, one in each lane. All lanes
 * take the same steps; where one has to wait for its neighbours it keeps what it has. No operation crosses lanes, so
 * a window's numbers do not depend on which others are there.
 *
 * Coordinates are those of trajectory.py with the axis of the mean last: the entry of the lag-covariance matrix that
 * may be 10^12 times the others stands at the bottom, where Householder's reflections and the QL iteration (Martin,
 * Reinsch and Wilkinson, 1968) leave it alone and lose no digit of the small ones.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 8
#elif defined(__AVX__)
#define LANES 4
#else
#define LANES 2
#endif

typedef double Reals __attribute__((vector_size(8 * LANES)));
typedef int64_t Truths __attribute__((vector_size(8 * LANES))); /* -1 is true, 0 is false */

#define REALS(x) ((Reals){} + (x))
#define INLINE static inline __attribute__((always_inline))

/* Sweeps until a window counts as not converged: some two for each eigenvalue are usual, LAPACK allows 30. */
#define SWEEPS 30

/* Below this a largest sample counts as this large: squares of what is smaller are zero, and its reciprocal is not. */
#define LEAST_UNIT 1e-290

INLINE Reals either(Truths when, Reals yes, Reals no) {
    return (Reals)((when & (Truths)yes) | (~when & (Truths)no));
}

INLINE Reals magnitude(Reals x) { return (Reals)((Truths)x & INT64_MAX); }

INLINE Reals root(Reals x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = sqrt(x[lane]);
    return x;
}

INLINE int any(Truths t) {
    int64_t some = 0;
    for (int lane = 0; lane < LANES; lane++) some |= t[lane];
    return some != 0;
}

/* Householder's reflections from the last row up: A (its lower half; overwritten) = V' T V, with T's diagonal d and
 * e[i] between d[i] and d[i + 1]. The vectors are the rows of V. */
INLINE void tridiagonalise(int L, Reals A[L][L], Reals V[L][L], Reals d[L], Reals e[L]) {
    Reals reciprocal[L];
    for (int i = L - 1; i > 0; i--) {
        Reals *u = A[i], w[L], h = REALS(0), dot = REALS(0);
        for (int k = 0; k < i; k++) h += u[k] * u[k];
        Reals last = u[i - 1], norm = root(h);
        e[i - 1] = either(last > 0, -norm, norm);
        u[i - 1] = last - e[i - 1];
        h -= last * e[i - 1]; /* u'u / 2 */
        reciprocal[i] = either(h > 0, 1 / h, REALS(0));
        for (int j = 0; j < i; j++) {
            Reals sum = REALS(0);
            for (int k = 0; k <= j; k++) sum += A[j][k] * u[k];
            for (int k = j + 1; k < i; k++) sum += A[k][j] * u[k];
            w[j] = sum * reciprocal[i];
            dot += w[j] * u[j];
        }
        for (int j = 0; j < i; j++) w[j] -= dot * reciprocal[i] / 2 * u[j];
        for (int j = 0; j < i; j++)
            for (int k = 0; k <= j; k++) A[j][k] -= u[j] * w[k] + w[j] * u[k];
    }
    for (int i = 0; i < L; i++) {
        for (int j = 0; j < i; j++) {
            Reals sum = REALS(0);
            for (int k = 0; k < i; k++) sum += A[i][k] * V[j][k];
            for (int k = 0; k < i; k++) V[j][k] -= sum * reciprocal[i] * A[i][k];
            V[i][j] = V[j][i] = REALS(0);
        }
        d[i] = A[i][i];
        V[i][i] = REALS(1);
    }
}

/* QL with implicit shifts: T's eigenvalues into d, their vectors into the rows of V. False: not in all lanes. */
INLINE int diagonalise(int L, Reals V[L][L], Reals d[L], Reals e[L]) {
    for (int sweep = 0; sweep < SWEEPS * L; sweep++) {
        /* Each lane works on its first block that e does not cut: rotations low to high, turned[i + 1] for i. */
        Truths turned[L + 1], begun = {}, inside = {};
        Reals d_low = REALS(0), d_next = REALS(0), d_high = REALS(0), e_low = REALS(1);
        turned[0] = turned[L] = begun;
        for (int i = 0; i < L - 1; i++) {
            Truths coupled = e[i] * e[i] > DBL_EPSILON * DBL_EPSILON * magnitude(d[i] * d[i + 1]);
            Truths first = coupled & ~begun;
            e[i] = either(coupled, e[i], REALS(0));
            begun |= first;
            inside = first | (inside & coupled);
            d_low = either(first, d[i], d_low);
            e_low = either(first, e[i], e_low);
            d_next = either(first, d[i + 1], d_next);
            d_high = either(inside, d[i + 1], d_high);
            turned[i + 1] = inside;
        }
        if (!any(begun)) return 1;
        Reals ratio = (d_next - d_low) / (2 * e_low), r = root(ratio * ratio + 1);
        Reals g = d_high - d_low + e_low / (ratio + either(ratio < 0, -r, r)); /* Wilkinson's shift */
        Reals s = REALS(1), c = REALS(1), p = REALS(0);
        for (int i = L - 2; i >= 0; i--) {
            Truths here = turned[i + 1], first = here & ~turned[i];
            if (!any(here)) continue;
            Reals f = s * e[i], b = c * e[i], square = f * f + g * g;
            Truths safe = here & (square > DBL_MIN);
            r = root(square);
            Reals reciprocal = r * (1 / square); /* both at once is faster than 1 / r */
            Reals sine = either(safe, f * reciprocal, REALS(0)), cosine = either(safe, g * reciprocal, REALS(1));
            e[i + 1] = either(here & turned[i + 2], r, e[i + 1]);
            Reals high = d[i + 1] - p, step = (d[i] - high) * sine + 2 * cosine * b;
            s = either(here, sine, s);
            c = either(here, cosine, c);
            p = either(here, sine * step, p);
            g = either(here, cosine * step - b, g);
            d[i + 1] = either(here, high + p, d[i + 1]);
            d[i] = either(first, d[i] - p, d[i]);
            e[i] = either(first, g, e[i]);
            for (int k = 0; k < L; k++) {
                Reals upper = V[i + 1][k], lower = V[i][k];
                V[i + 1][k] = sine * lower + cosine * upper;
                V[i][k] = cosine * lower - sine * upper;
            }
        }
    }
    return 0;
}

/* One window a lane, `count` of them; the other lanes hold zeros. */
INLINE void block(int L, int N, int span, int p, int q, int l, int count, const double *windows, double *D, double *own,
                  double *angle) {
    const int K = N - L + 1, vectors = span - L + 1;
    const double side = sqrt(L);
    Reals y[span], Z[vectors][L], A[L][L], V[L][L], d[L], e[L];
    Reals unit = REALS(LEAST_UNIT), sum = REALS(0), size = REALS(0);
    for (int t = 0; t < span; t++) {
        y[t] = REALS(0);
        for (int lane = 0; lane < count; lane++) y[t][lane] = windows[lane * span + t];
        unit = either(magnitude(y[t]) > unit, magnitude(y[t]), unit);
        if (t < N) sum += y[t] - y[0];
    }
    const Reals centre = y[0] + sum / (double)N;
    for (int t = 0; t < span; t++) y[t] = (y[t] - centre) / unit;
    for (int j = 0; j < vectors; j++) {
        Reals total = REALS(0);
        for (int i = 0; i < L; i++) total += y[j + i];
        for (int i = 0; i < L - 1; i++) Z[j][i] = y[j + i] - (total + side * y[j + L - 1]) / (L + side);
        Z[j][L - 1] = -total / side - side * (centre / unit);
    }
    for (int a = 0; a < L; a++)
        for (int b = 0; b <= a; b++) {
            A[a][b] = REALS(0);
            for (int j = 0; j < K; j++) A[a][b] += Z[j][a] * Z[j][b];
        }
    for (int a = 0; a < L - 1; a++) size += A[a][a];
    tridiagonalise(L, A, V, d, e);
    const int converged = diagonalise(L, V, d, e);
    Reals signal = REALS(INFINITY), noise = REALS(0);
    for (int k = 0; k < L; k++) {
        Truths above = {};
        for (int j = 0; j < L; j++) above -= j < k ? d[j] >= d[k] : d[j] > d[k];
        Truths outside = (above >= l) | ((size <= 0) & (d[k] <= 0)); /* of a constant series only the mean is there */
        signal = either(~outside & (d[k] < signal), d[k], signal);
        noise = either(outside & (d[k] > noise), d[k], noise);
        for (int i = 0; i < L; i++) V[k][i] = either(outside, V[k][i], REALS(0));
    }
    Reals tested = REALS(0), base = REALS(0);
    for (int j = 0; j < vectors; j++) {
        Reals distance = REALS(0);
        for (int k = 0; k < L; k++) {
            Reals along = REALS(0);
            for (int i = 0; i < L; i++) along += V[k][i] * Z[j][i];
            distance += along * along;
        }
        if (j >= p && j < q) tested += distance;
        if (j < K) base += distance;
    }
    tested *= unit * unit;
    base *= unit * unit / (double)(L * K);
    const Reals turn = either(size == 0, REALS(0), DBL_EPSILON * size / (signal - noise));
    for (int lane = 0; lane < count; lane++) {
        D[lane] = tested[lane];
        own[lane] = base[lane];
        angle[lane] = converged ? turn[lane] : INFINITY;
    }
}

/* D, D~ and the error of the subspace, an angle, of `rows` windows of `span` samples. */
void ssa_distances(int64_t rows, int L, int N, int span, int p, int q, int l, const double *windows, double *D,
                   double *own, double *angle) {
    for (int64_t row = 0; row < rows; row += LANES) {
        const int count = rows - row < LANES ? (int)(rows - row) : LANES;
        const double *first = windows + row * span;
        if (L == 12) /* every preset's: known to the compiler, its loops unroll */
            block(12, N, span, p, q, l, count, first, D + row, own + row, angle + row);
        else
            block(L, N, span, p, q, l, count, first, D + row, own + row, angle + row);
    }
}
