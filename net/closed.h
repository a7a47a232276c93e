/* net/closed.h: transfer times in closed form, for `veryedge check` and for tests.
 *
 * n_at_once clients of one class begin a transfer of the same size at one instant and nothing else
 * is on the network: by symmetry every share stays min(own rate, C / n over the shared links that
 * can limit), so T = wait + S / R    with wait and R of startup.h is exact. n_at_once = 1 is a
 * client alone. Rates that change (plan.h) are taken at their mean over time, which is
 * an estimate; closed_alone_s is exact for a client's own. */
#ifndef NET_CLOSED_H
#define NET_CLOSED_H

#include "net/plan.h"

struct closed_time {
    double goodput_bps;     /* the share, payload bits per second */
    double wait_s;          /* one-way latency and slow start */
    double transfer_s;      /* bytes at the share */
    double total_s;         /* wait + transfer */
    const char *bottleneck; /* name of the link that gives the share; "own link", "own link's
                               mean" */
};

/* class < p->n_classes, 1 <= n_at_once <= its clients, bytes > 0; the plan is marked. */
struct closed_time closed_time(const struct plan *p, size_t class_index, enum net_dir dir,
                               double bytes, size_t n_at_once);

/* Seconds of a client alone whose own rate changes, if it sends at that moment of its rates: the
 * wait at the rate of that moment, then until the integral of the rate, cut at the narrowest shared
 * link, has reached bytes. The class has rates in this direction. */
double closed_alone_s(const struct plan *p, size_t class_index, enum net_dir dir, double bytes,
                      double moment_s);

#endif
