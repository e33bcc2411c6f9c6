/* steady.py's `Steady._push`: the same counts. Constants are macros that steady.py defines. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Miners that are counted at once: what is between the two halves of a tick stays on the stack. */
#define SOME 256

static uint8_t one_more(uint8_t count, bool holds) { return holds ? count + (count < COUNT_MOST) : 0; }

static uint8_t moved(uint8_t count, int by) {
    const int sum = count + by;
    return sum < 0 ? 0 : sum > COUNT_MOST ? COUNT_MOST : sum;
}

static bool beyond_grid(double value) {
    const double scaled = value / GRID;
    return fabs(scaled - rint(scaled)) > (value == (double)(float)value ? OFF_GRID_SINGLE : OFF_GRID);
}

/* `ring`: symbols, (HISTORY, n), `at` the newest; then this tick, and the counts and last tick of `Steady`, (n,) each
 * but `loops`, (CIRCLE, n). */
void steady_push(int64_t n, int64_t at, const uint8_t *ring, const bool *present, const double *value,
                 const int64_t *number, const int64_t *elapsed, uint8_t *loops, uint8_t *exact, uint8_t *calm,
                 uint8_t *uneven, uint8_t *clocked, uint8_t *fine, int32_t *age, int64_t *last_number,
                 int64_t *last_elapsed, double *last_value, double *usual) {
    for (int64_t begin = 0; begin < n; begin += SOME) {
        const int64_t end = begin + SOME < n ? begin + SOME : n;
        uint8_t working[SOME], repeated[SOME];
        for (int64_t m = begin; m < end; m++) {
            working[m - begin] = repeated[m - begin] = 0;
            if (!present[m]) continue;
            const bool known = age[m] > 0, works = value[m] >= WORKING;
            working[m - begin] = works;
            repeated[m - begin] = known && number[m] == last_number[m];
            if (elapsed[m] > 0 && last_elapsed[m] > 0) {
                const double times = (double)elapsed[m] / (double)last_elapsed[m];
                const double allowed = PROPORTION * (times > 1 ? times : 1);
                const bool keeps = fabs((double)number[m] - (double)last_number[m] * times) <= allowed;
                /* Where time itself hardly varied, the proportion says nothing. */
                if (works && (!keeps || fabs((double)last_number[m] * (times - 1)) > MOVED * allowed)) {
                    exact[m] = one_more(exact[m], keeps);
                    uneven[m] = moved(uneven[m], !keeps);
                }
                clocked[m] = moved(clocked[m], llabs(elapsed[m] - last_elapsed[m]) > CLOCK ? 1 : -1);
            }
            const bool both = known && works && last_value[m] >= WORKING;
            const double step = fabs(value[m] - last_value[m]);
            calm[m] = one_more(calm[m], both && step * CALMER < usual[m] && usual[m] > LEAST_USUAL);
            if (both) {
                const double was = usual[m] > LEAST_USUAL / 2 ? usual[m] : LEAST_USUAL / 2;
                usual[m] = was * (step > was ? 1 + NEARER : 1 - NEARER);
            }
            fine[m] = moved(fine[m], beyond_grid(value[m]) ? 1 : -4);
            age[m]++;
            last_number[m] = number[m];
            last_elapsed[m] = elapsed[m];
            last_value[m] = value[m];
        }
        for (int circle = 1; circle <= CIRCLE; circle++) {
            const uint8_t *now = ring + at * n, *then = ring + (at + HISTORY - circle) % HISTORY * n;
            uint8_t *counts = loops + (circle - 1) * n;
            for (int64_t m = begin; m < end; m++) {
                const uint8_t same = circle == 1 ? repeated[m - begin] : now[m] == then[m];
                const uint8_t count = one_more(counts[m], working[m - begin] & same);
                counts[m] = present[m] ? count : counts[m];
            }
        }
    }
}
