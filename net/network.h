/* net/network.h: the network as the simulation sees it: send bytes, be called when they are there,
 * let virtual time pass.
 *
 * Everything happens inside network_run, on the calling thread, in the order of virtual time;
 * callbacks may send, cancel, set timers and stop. A send at virtual time t waits as startup.h says
 * (all flows that are sent at the same instant count before any wait is fixed), then its bytes
 * share the links max-min fairly in SimGrid. Events at one instant come in a fixed order that is
 * otherwise arbitrary: keep results by client index and reduce them in index order.
 *
 * One network per process (SimGrid's engine is a static object): a second network_open in the same
 * process is refused. SimGrid's log is silenced, and signal handlers are as before after
 * network_open. */
#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/plan.h"
#include "sim/base/err.h"

struct network;

/* Sends and sends within so many seconds of virtual time are one instant for the count of flows. */
#define NETWORK_INSTANT_S 1e-7

/* The end of a transfer: ok and 0 bytes left, or not ok (the network failed) and what did not
 * arrive. */
typedef void network_done(void *user, bool ok, double bytes_left);
/* A moment has come. */
typedef void network_tick(void *user);

/* Opens the network of a plan that is marked and outlives it. client_used [p->n_clients]: only
 * these clients will ever send or receive, only they cost time and memory; NULL: all of them.
 * ERR_INTERNAL when SimGrid fails or the process had a network before. */
enum err_code network_open(struct network **out, const struct plan *p, const bool *client_used,
                           struct err *e);
/* Frees what is ours. SimGrid's own objects live until the process ends: tearing down a million
 * hosts takes longer than simulating them. NULL is fine. */
void network_close(struct network *n);

/* Sends bytes (0 is fine: it takes the one-way latency) between the server and a used client. done
 * comes exactly once, unless the transfer is cancelled or the network stopped. Returns a handle,
 * never 0. */
uint64_t network_send(struct network *n, size_t client, enum net_dir dir, uint64_t bytes,
                      network_done *done, void *user);
/* Ends a transfer now: done will not be called. Returns the bytes that had not arrived (all of them
 * while it waits in start-up); the others are counted. A handle that is over returns 0 and does
 * nothing. */
double network_cancel(struct network *n, uint64_t send);

/* Calls tick at virtual time t_s (not before now) or dt_s >= 0 from now. Returns a handle, never 0.
 */
uint64_t network_at(struct network *n, double t_s, network_tick *tick, void *user);
uint64_t network_after(struct network *n, double dt_s, network_tick *tick, void *user);
/* Takes a timer back; one that has fired is ignored. */
void network_cancel_timer(struct network *n, uint64_t timer);

/* Virtual seconds since network_open. */
double network_now_s(const struct network *n);

/* Runs until nothing is left to happen, or network_stop. May be called again after more sends.
 * ERR_INTERNAL when SimGrid fails. */
enum err_code network_run(struct network *n, struct err *e);
/* From a callback: no callback comes any more, network_run returns soon, virtual time stands still.
 * Sends and timers after it are ignored. */
void network_stop(struct network *n);

/* Transfers that are neither done nor cancelled. */
size_t network_active(const struct network *n);

/* --- what crossed the network --- */

/* Payload bits that arrived over a path (index into plan->paths) in a direction, cancelled
 * transfers' part included. */
double network_bits(const struct network *n, size_t path, enum net_dir dir);
/* The path of a client. */
size_t network_path_of(const struct network *n, size_t client);
const struct plan *network_plan(const struct network *n);

#endif
