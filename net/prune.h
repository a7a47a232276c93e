/* net/prune.h: finds the shared links that can never be the bottleneck.
 *
 * A link can never limit when all that can arrive at it fits:
 *   min( sum of the n_at_once fastest own rates among its clients, by direction,
 *        sum over its classes of min(clients x own rate, the narrowest other link of that class
 * alone) )
 *   <= capacity, the least over time where it changes.
 * Such a link stays out of the count of flows in startup.h and, unless the plan says otherwise, out
 * of the solver, whose times it cannot move; its bits are counted all the same. A link that gets in
 * here for want of a sharper bound costs time, not accuracy. */
#ifndef NET_PRUNE_H
#define NET_PRUNE_H

#include "net/plan.h"

/* Sets can_limit of every link, and nominal_bps of unlimited ones to at least what can arrive. */
void prune_mark(struct plan *p);

#endif
