#include "sim/books.h"

#include <math.h>
#include <stdbool.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

void books_init(struct books *b, const struct plan *plan, const struct perbit_set *per_bit,
                double carbon_g_per_kwh)
{
    *b = (struct books){.plan = plan, .per_bit = per_bit, .carbon_g_per_kwh = carbon_g_per_kwh};
    size_t cap = 0, cap_bits = 0;
    mem_grow((void **)&b->bits, &cap_bits, plan->paths.n + 1, sizeof(b->bits[0]));
    mem_grow((void **)&b->j_per_bit, &cap, plan->paths.n + 1, sizeof(b->j_per_bit[0]));
    for (size_t p = 0; p < plan->paths.n; p++)
        for (int dir = 0; dir < N_NET_DIRS; dir++) {
            const struct element_path *path = &plan->paths.path[p];
            double sum = 0;
            for (size_t i = 0; i < path->n_steps; i++) {
                double j = 0;
                CHECK(perbit_j_per_bit(per_bit, element_name(path->step[i].kind), dir, &j));
                sum += path->step[i].count * j;
            }
            b->j_per_bit[p][dir] = sum;
            b->bits[p][dir] = 0;
        }
}

void books_fini(struct books *b)
{
    mem_free(b->j_per_bit);
    mem_free(b->bits);
    *b = (struct books){0};
}

double books_j_per_bit(const struct books *b, size_t class_index, enum net_dir dir)
{
    return b->j_per_bit[b->plan->class[class_index].path][dir];
}

double books_transfer(struct books *b, size_t class_index, enum net_dir dir, double bytes)
{
    double joules = 8.0 * bytes * books_j_per_bit(b, class_index, dir);
    ledger_sum_add(&b->comm_j, joules);
    ledger_sum_add(&b->bytes[dir], bytes);
    return joules;
}

void books_device(struct books *b, double joules)
{
    ledger_sum_add(&b->device_j, joules);
}

void books_end_round(struct books *b, const struct network *net)
{
    for (size_t p = 0; p < b->plan->paths.n; p++)
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            b->bits[p][dir] = network_bits(net, p, (enum net_dir)dir);
}

/* Bits that passed exactly `count` elements of this kind, or -1 when no path has that count. */
static double bits_at(const struct books *b, enum element_kind kind, int count, enum net_dir dir)
{
    struct ledger_sum bits = {0};
    bool is_there = false;
    for (size_t p = 0; p < b->plan->paths.n; p++)
        if (element_count_on(&b->plan->paths.path[p], kind) == count) {
            is_there = true;
            ledger_sum_add(&bits, b->bits[p][dir]);
        }
    return is_there ? ledger_sum_value(&bits) : -1.0;
}

/* The next larger count of this kind on any path, or 0. */
static int next_count(const struct books *b, enum element_kind kind, int after)
{
    int next = 0;
    for (size_t p = 0; p < b->plan->paths.n; p++) {
        int c = element_count_on(&b->plan->paths.path[p], kind);
        if (c > after && (next == 0 || c < next))
            next = c;
    }
    return next;
}

enum err_code books_elements(const struct books *b, books_row *row, void *user, struct err *e)
{
    for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            for (int count = next_count(b, (enum element_kind)kind, 0); count;
                 count = next_count(b, (enum element_kind)kind, count)) {
                double j = 0;
                const char *name = element_name((enum element_kind)kind);
                CHECK(perbit_j_per_bit(b->per_bit, name, dir, &j));
                double bits = bits_at(b, (enum element_kind)kind, count, (enum net_dir)dir);
                struct element_record r = {.element = name,
                                           .direction = net_dir_name((enum net_dir)dir),
                                           .count = count,
                                           .bits = bits,
                                           .joules = bits * count * j,
                                           .per_bit = b->per_bit->name};
                enum err_code code = row(user, &r, e);
                if (code)
                    return code;
            }
    return OK;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static enum err_code add_joules(void *user, const struct element_record *r, struct err *e)
{
    (void)e;
    ledger_sum_add(user, r->joules);
    return OK;
}

void books_check(const struct books *b)
{
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        struct ledger_sum bits = {0};
        for (size_t p = 0; p < b->plan->paths.n; p++)
            ledger_sum_add(&bits, b->bits[p][dir]);
        CHECK(is_near(ledger_sum_value(&bits), 8.0 * ledger_sum_value(&b->bytes[dir])));
    }
    struct ledger_sum joules = {0};
    books_elements(b, add_joules, &joules, NULL);
    CHECK(is_near(ledger_sum_value(&joules), ledger_sum_value(&b->comm_j)));
}
