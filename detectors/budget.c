/* budget.py's `Ledger._push`, all of it for one miner after the other: the same numbers.
 *
 * Rows of the books, and the constants, are macros that budget.py defines.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define AT(row) book[(row) * stride + m]

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* CPU time that entitlement grants in this time, rounded up. */
static int64_t earned(int64_t entitled, int64_t elapsed) {
    const bool down = elapsed % PPM < 0; /* numpy's quotients are rounded down */
    const int64_t whole = elapsed / PPM - down, part = elapsed % PPM + (down ? PPM : 0);
    return entitled * whole + (entitled * part + PPM - 1) / PPM;
}

static double percent(int64_t used, double elapsed, int64_t entitled) {
    return elapsed > 0 ? (double)used * 1e8 / (elapsed * (double)entitled) : NAN;
}

static void newest(int64_t *book, int64_t stride, int64_t m, int row, int rows, int64_t value) {
    for (int k = row + rows - 1; k > row; k--) AT(k) = AT(k - 1);
    AT(row) = value;
}

static void begin(int64_t *book, int64_t stride, int64_t m) {
    AT(Z) = AT(Z + 1) = AT(LEVEL) = 0;
    AT(LOW) = AT(LOW + 1) = FAR;
    AT(LOW_AT) = AT(LOW_AT + 1) = AT(SINCE) = AT(BORN_AT) = -1;
    for (int k = 0; k < DIP; k++) AT(PAST + k) = -FAR;
    for (int k = 0; k <= KEPT; k++) AT(LEVELS + k) = 0;
    for (int k = 0; k < KEPT; k++) AT(STEPS + k) = AT(STOLEN + k) = 0;
    AT(UNQUIET) = most(AT(UNQUIET), BEGINNING);
}

static void lows(int64_t *book, int64_t stride, int64_t m, int64_t allowed, int64_t number) {
    int64_t highest = AT(PAST);
    for (int k = 1; k < DIP; k++) highest = most(highest, AT(PAST + k));
    const int64_t depth = highest - AT(Z), lifted = depth > allowed / 2 ? depth : 0;
    for (int k = 0; k < 2; k++) {
        const int64_t start = AT(Z + k) + lifted;
        if (start <= AT(LOW + k)) {
            AT(LOW + k) = start;
            AT(LOW_AT + k) = number;
        }
    }
}

static bool convicts(int64_t *book, int64_t stride, int64_t m, int64_t allowed, int64_t hard, int64_t share) {
    const int64_t before = AT(LEVELS + 1), behind = -((share + 3) / 4);
    bool kept = true, lumps = AT(UNQUIET) > 0;
    for (int k = 0; k < KEPT; k++) {
        kept &= AT(LEVELS + k + 1) > allowed && AT(STEPS + k) >= behind;
        lumps |= AT(STOLEN + k) > 0;
    }
    const bool held = AT(STEPS) >= behind;
    const bool quietly = !lumps && held && before > allowed - CLOCK_TICK_NS;
    const bool greatly = held && before > allowed && before > allowed + share;
    return AT(LEVELS) > allowed && (quietly || greatly || kept || AT(LEVELS) > hard);
}

/* `seen`: present, before, after, usage, steal, boot and epoch; `rules`: entitled, allowed, hard, overrun, share and
 * period; both as `book` with rows `stride` apart. `told`: begun and convicted, n each. */
void ledger_push(int64_t n, int64_t stride, int64_t number, int64_t turn, const int64_t *rules, const int64_t *seen,
                 int64_t *book, bool *told, double *share) {
    for (int64_t m = 0; m < n; m++) {
        const int64_t *rule = rules + m, *now = seen + m;
        const int64_t entitled = rule[0], allowed = rule[stride], period = rule[5 * stride];
        const int64_t before = now[stride], after = now[2 * stride], usage = now[3 * stride];
        const int64_t boot = now[5 * stride], epoch = now[6 * stride];
        const bool here = now[0] && before <= after, read = AT(READ_AT) >= 0;
        told[m] = told[n + m] = false;
        share[m] = NAN;
        AT(USED) = AT(ELAPSED) = AT(GAINED) = 0;
        if (!here) {
            AT(SILENT)++;
            AT(PAST + turn) = read ? AT(Z) : -FAR;
            continue;
        }
        const int64_t was_before = AT(LAST), was_after = AT(LAST + 1), was_usage = AT(LAST + 2);
        const bool other = epoch != AT(LAST + 5), same_boot = boot == AT(LAST + 4);
        const bool anew = other || usage < was_usage;
        const int64_t from = anew ? 0 : was_usage;
        const int64_t steal = same_boot ? most(now[4 * stride], AT(LAST + 3)) : now[4 * stride];
        const bool possible = other || !anew || usage <= after - was_before;
        const bool continues = read && same_boot && before >= was_after && possible &&
                               after - was_before < MOST_STEP_NS && usage - from < MOST_USE_NS;
        const bool begun = told[m] = !continues;
        if (read && (anew || begun)) newest(book, stride, m, RESTARTS, RESTARTS_KEPT, number);
        AT(SILENT) = 0;
        if (begun) begin(book, stride, m);
        if (continues) {
            if (anew) {
                for (int k = 0; k < 4; k++) AT(BORN + k) = k == 2 ? 0 : AT(LAST + k);
                AT(BORN_AT) = AT(READ_AT);
            }
            AT(ELAPSED) = before - was_before;
            AT(USED) = usage - from;
            AT(GAINED) = AT(USED) - earned(entitled, AT(ELAPSED));
            const double middles = (double)AT(ELAPSED) + (double)(after - before) / 2 - (double)(was_after - was_before) / 2;
            share[m] = percent(AT(USED), middles, entitled);
            AT(Z) = most(least(AT(Z) + AT(GAINED), FAR), -FAR);
            AT(Z + 1) = most(least(AT(Z + 1) + (AT(GAINED) - (steal - AT(LAST + 3))), FAR), -FAR);
        }
        lows(book, stride, m, allowed, number);
        AT(PAST + turn) = AT(Z);
        AT(WIDTH) = earned(entitled, after - before);
        const int64_t end = AT(Z) - AT(WIDTH);
        const int64_t plain = end - AT(LOW) - rule[3 * stride], less = AT(Z + 1) - AT(WIDTH) - AT(LOW + 1);
        AT(LEVEL) = most(less, plain);
        AT(SINCE) = AT(LOW_AT + (less >= plain));
        if (begun || before - AT(MARK + 1) >= period / 2) {
            const int64_t step = begun ? 0 : end - AT(MARK);
            newest(book, stride, m, LEVELS, KEPT + 1, AT(LEVEL));
            newest(book, stride, m, STEPS, KEPT, step);
            newest(book, stride, m, STOLEN, KEPT, begun ? 0 : steal - AT(MARK + 2));
            AT(UNQUIET) = step < -allowed ? UNQUIET_TICKS : AT(UNQUIET) - (AT(UNQUIET) > 0);
            AT(MARK) = AT(Z);
            AT(MARK + 1) = before;
            AT(MARK + 2) = steal;
            told[n + m] = convicts(book, stride, m, allowed, rule[2 * stride], rule[4 * stride]);
        }
        const int64_t reading[6] = {before, after, usage, steal, boot, epoch};
        for (int k = 0; k < 6; k++) AT(LAST + k) = reading[k];
        AT(READ_AT) = number;
    }
}
