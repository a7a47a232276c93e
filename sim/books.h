/* sim/books.h: the one place where bits, seconds and watts meet.
 *
 * net counts payload bits by path, energy knows joules per bit by element name; books joins them:
 *   E(path, direction) = sum over the path's elements of count x J/bit       (the study's section 3).
 * Joules are summed twice, by client and by element, and must agree. */
#ifndef SIM_BOOKS_H
#define SIM_BOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "energy/ledger.h"
#include "energy/perbit.h"
#include "net/network.h"
#include "sim/record.h"

struct books {
    const struct plan *plan;
    const struct perbit_set *per_bit;
    double carbon_g_per_kwh;
    double (*j_per_bit)[N_NET_DIRS]; /* by path */
    double (*bits)[N_NET_DIRS];      /* by path, at the end of the last complete round */
    struct ledger_sum comm_j, device_j; /* of the run */
    struct ledger_sum bytes[N_NET_DIRS];
};

/* The plan and the set outlive the books. */
void books_init(struct books *b, const struct plan *plan, const struct perbit_set *per_bit,
                double carbon_g_per_kwh);
void books_fini(struct books *b);

/* J/bit of all elements between a client of this class and the server. */
double books_j_per_bit(const struct books *b, size_t class_index, enum net_dir dir);

/* Books what a client received or sent in a round, and what its device used; returns the joules of the
 * network. */
double books_transfer(struct books *b, size_t class_index, enum net_dir dir, double bytes);
void books_device(struct books *b, double joules);

/* Ends a round: takes over what crossed the network up to now. Rounds that do not end are not in the books. */
void books_end_round(struct books *b, const struct network *net);

/* Calls row for every element, direction and count that any bit passed, by element then direction then count. */
typedef enum err_code books_row(void *user, const struct element_record *r, struct err *e);
enum err_code books_elements(const struct books *b, books_row *row, void *user, struct err *e);

/* Aborts unless bits by path equal bytes by client, and joules by element joules by client, to 1e-9
 * relative: a conservation law of ours, so a broken one is our mistake. */
void books_check(const struct books *b);

#endif
