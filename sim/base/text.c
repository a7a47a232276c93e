#include "sim/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

#define MAX_NUMBER 64 /* letters of one number; longer ones are refused */
#define MAX_NAME 64   /* letters compared by text_nearest */
#define MAX_EXPONENT 400

/* A unit is 10^exponent times scale of the inside unit. Decimal powers are applied in the text
 * itself, so that "2.3MB" is the double nearest to 2300000. The rows of one kind go from small to
 * large; those marked shown are the ones text_format chooses from. */
struct unit {
    const char *suffix;
    int exponent;
    double scale;
    bool is_shown;
};

struct unit_family {
    const char *example;
    const struct unit *unit;
    size_t n;
};

static const struct unit RATES[] = {
    {"bps", 0, 1, true},      {"kbps", 3, 1, true},    {"Mbps", 6, 1, true},
    {"Gbps", 9, 1, true},     {"Tbps", 12, 1, true},   {"bit/s", 0, 1, false},
    {"kbit/s", 3, 1, false},  {"Mbit/s", 6, 1, false}, {"Gbit/s", 9, 1, false},
    {"Tbit/s", 12, 1, false},
};
static const struct unit SIZES[] = {
    {"B", 0, 1, true},
    {"kB", 3, 1, true},
    {"MB", 6, 1, true},
    {"GB", 9, 1, true},
    {"TB", 12, 1, true},
    {"KiB", 0, 1024.0, false},
    {"MiB", 0, 1048576.0, false},
    {"GiB", 0, 1073741824.0, false},
    {"TiB", 0, 1099511627776.0, false},
};
static const struct unit TIMES[] = {
    {"ns", -9, 1, true},  {"us", -6, 1, true},  {"ms", -3, 1, true},   {"s", 0, 1, true},
    {"min", 0, 60, true}, {"h", 0, 3600, true}, {"d", 0, 86400, true},
};
static const struct unit POWERS[] = {
    {"uW", -6, 1, true}, {"mW", -3, 1, true}, {"W", 0, 1, true},
    {"kW", 3, 1, true},  {"MW", 6, 1, true},
};
static const struct unit FLOP_RATES[] = {
    {"FLOP/s", 0, 1, true},  {"kFLOP/s", 3, 1, true},  {"MFLOP/s", 6, 1, true},
    {"GFLOP/s", 9, 1, true}, {"TFLOP/s", 12, 1, true}, {"PFLOP/s", 15, 1, true},
};
static const struct unit BIT_ENERGIES[] = {
    {"pJ/bit", -12, 1, true}, {"nJ/bit", -9, 1, true}, {"uJ/bit", -6, 1, true},
    {"mJ/bit", -3, 1, true},  {"J/bit", 0, 1, true},
};

#define FAMILY(example, rows)                                                                      \
    {                                                                                              \
        example, rows, sizeof(rows) / sizeof((rows)[0])                                            \
    }
static const struct unit_family FAMILIES[N_UNIT_KINDS] = {
    [UNIT_RATE_BPS] = FAMILY("a rate such as 40Mbps", RATES),
    [UNIT_SIZE_BYTES] = FAMILY("a size such as 2.75MB", SIZES),
    [UNIT_TIME_S] = FAMILY("a time such as 50ms", TIMES),
    [UNIT_POWER_W] = FAMILY("a power such as 60W", POWERS),
    [UNIT_FLOP_PER_S] = FAMILY("a speed such as 5.3TFLOP/s", FLOP_RATES),
    [UNIT_ENERGY_J_PER_BIT] = FAMILY("an energy such as 31.7nJ/bit", BIT_ENERGIES),
};

static const struct unit_family *family_of(enum unit_kind kind)
{
    CHECK((unsigned)kind < N_UNIT_KINDS);
    return &FAMILIES[kind];
}

const char *text_unit_example(enum unit_kind kind)
{
    return family_of(kind)->example;
}

/* Letters of the decimal number that s starts with: [+-] digits [. digits] [e [+-] digits]; 0 if
 * none. */
static size_t number_length(const char *s)
{
    size_t i = s[0] == '+' || s[0] == '-';
    size_t first = i;
    while (isdigit((unsigned char)s[i]))
        i++;
    size_t n_digits = i - first;
    if (s[i] == '.') {
        size_t dot = i++;
        while (isdigit((unsigned char)s[i]))
            i++;
        n_digits += i - dot - 1;
    }
    if (n_digits == 0)
        return 0;
    if (s[i] == 'e' || s[i] == 'E') {
        size_t j = i + 1;
        j += s[j] == '+' || s[j] == '-';
        if (isdigit((unsigned char)s[j])) {
            while (isdigit((unsigned char)s[j]))
                j++;
            i = j;
        }
    }
    return i;
}

/* The first n letters of s as a number times 10^exponent, correctly rounded. False: not finite. */
static bool scaled_number(const char *s, size_t n, int exponent, double *out)
{
    char text[MAX_NUMBER + 16];
    long own = 0;
    if (n > MAX_NUMBER)
        return false;
    size_t n_mantissa = strcspn(s, "eE");
    if (n_mantissa < n)
        own = strtol(s + n_mantissa + 1, NULL, 10);
    else
        n_mantissa = n;
    if (own > MAX_EXPONENT || own < -MAX_EXPONENT)
        return false;
    snprintf(text, sizeof(text), "%.*se%ld", (int)n_mantissa, s, own + exponent);
    *out = strtod(text, NULL);
    return isfinite(*out);
}

static const struct unit *find_unit(const struct unit_family *f, const char *suffix)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->unit[i].suffix, suffix) == 0)
            return &f->unit[i];
    return NULL;
}

enum err_code text_quantity(const char *s, enum unit_kind kind, double lo, double hi, double *out,
                            struct err *e)
{
    const struct unit_family *f = family_of(kind);
    size_t n = number_length(s);
    const struct unit *u = n ? find_unit(f, s + n) : NULL;
    double value;
    if (!u || !scaled_number(s, n, u->exponent, &value))
        return err_set(e, ERR_INPUT, "expected %s, got \"%.60s\"", f->example, s);
    value *= u->scale;
    if (!(value >= lo && value <= hi)) {
        char low[32], high[32];
        text_format(low, sizeof(low), lo, kind);
        text_format(high, sizeof(high), hi, kind);
        if (isinf(hi))
            return err_set(e, ERR_INPUT, "expected at least %s, got \"%.60s\"", low, s);
        return err_set(e, ERR_INPUT, "expected %s..%s, got \"%.60s\"", low, high, s);
    }
    *out = value;
    return OK;
}

enum err_code text_double(const char *s, double lo, double hi, double *out, struct err *e)
{
    size_t n = number_length(s);
    double value;
    if (n == 0 || s[n] != 0 || !scaled_number(s, n, 0, &value))
        return err_set(e, ERR_INPUT, "expected a number, got \"%.60s\"", s);
    if (!(value >= lo && value <= hi)) {
        char low[32], high[32];
        text_shortest(low, lo);
        text_shortest(high, hi);
        return err_set(e, ERR_INPUT, "expected %s..%s, got %.60s", low, high, s);
    }
    *out = value;
    return OK;
}

enum err_code text_int(const char *s, int64_t lo, int64_t hi, int64_t *out, struct err *e)
{
    size_t sign = s[0] == '+' || s[0] == '-', n = sign;
    while (isdigit((unsigned char)s[n]))
        n++;
    if (n == sign || s[n] != 0)
        return err_set(e, ERR_INPUT, "expected a whole number, got \"%.60s\"", s);
    errno = 0;
    long long value = strtoll(s, NULL, 10);
    if (errno == ERANGE || value < lo || value > hi)
        return err_set(e, ERR_INPUT, "expected %" PRId64 "..%" PRId64 ", got %.60s", lo, hi, s);
    *out = value;
    return OK;
}

/* From this value on a unit is preferred to the one before it: 90s, but 2min. */
static double unit_from(const struct unit *u)
{
    double size = pow(10, u->exponent) * u->scale;
    return u->scale > 1 ? 2 * size : size;
}

void text_format(char *out, size_t n, double value, enum unit_kind kind)
{
    const struct unit_family *f = family_of(kind);
    const struct unit *best = find_unit(f, f->unit[0].suffix);
    double size = fabs(value);
    if (size == 0 || !isfinite(value))
        for (size_t i = 0; i < f->n; i++)
            if (f->unit[i].is_shown && f->unit[i].exponent == 0 && f->unit[i].scale == 1) {
                snprintf(out, n, "%g%s", value, f->unit[i].suffix);
                return;
            }
    for (size_t i = 0; i < f->n; i++)
        if (f->unit[i].is_shown && size >= unit_from(&f->unit[i]) * 0.99995)
            best = &f->unit[i];
    double shown = value / best->scale * pow(10, -best->exponent);
    if (fabs(shown) >= 9999.5)
        snprintf(out, n, "%.0f%s", shown, best->suffix);
    else
        snprintf(out, n, "%.4g%s", shown, best->suffix);
}

void text_shortest(char out[32], double value)
{
    if (value == floor(value) && fabs(value) < 1e15 && !(value == 0 && signbit(value))) {
        snprintf(out, 32, "%" PRId64, (int64_t)value);
        return;
    }
    /* %g drops trailing zeros, so 15 digits already give the shortest of everything that has up
     * to 15. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

static size_t least3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Insertions, deletions, changes and swaps of neighbours that turn a into b (optimal string
 * alignment), case ignored. Names over MAX_NAME letters are as far as their length. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    size_t row[3][MAX_NAME + 1];
    if (na > MAX_NAME || nb > MAX_NAME)
        return na > nb ? na : nb;
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            int p = tolower((unsigned char)a[i - 1]), q = tolower((unsigned char)b[j - 1]);
            now[j] = least3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (p != q));
            if (i > 1 && j > 1 && p == tolower((unsigned char)b[j - 2]) &&
                q == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return row[na % 3][nb];
}

const char *text_nearest(const char *s, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t length = strlen(s), best_distance = 0;
    size_t limit = length < 3 ? 1 : length / 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(s, names[i]);
        if (d <= limit && d < length && (!best || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    for (size_t i = 0; i < n && !best && length >= 3; i++)
        if (strncmp(names[i], s, length) == 0)
            best = names[i];
    return best;
}
