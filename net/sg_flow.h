/* net/sg_flow.h: the only door to SimGrid 3.32: a star of hosts around a server, flows between them
 * and timers, without actors. extern "C"; no exception leaves it.
 *
 * Flows are started on behalf of SimGrid's maestro and call back when they end, so everything runs
 * inside sg_run on the caller's thread and stack. Model: CM02, no cross-traffic, link latency 0
 * (with latency the Lazy solver gives wrong times): plain max-min fairness. Latency is the
 * caller's, as a timer.
 *
 * The engine is a static object of the library: one per process, never torn down. Rates are bits
 * per second here; bits become bytes in sg_flow.cpp and nowhere else. */
#ifndef NET_SG_FLOW_H
#define NET_SG_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

struct sg;
struct sg_host;
struct sg_link;
struct sg_flow;
struct sg_timer;

/* ok false: a host or link failed. left_bytes: what did not arrive. The flow is gone after the
 * call. */
typedef void sg_done(void *user, bool ok, double left_bytes);
typedef void sg_tick(void *user);

/* Starts SimGrid with a private argv, silences its log, puts signal and terminate handlers back.
 * precision_s: events nearer than this are one instant to the solver. ERR_INTERNAL on the second
 * call in a process. */
enum err_code sg_open(struct sg **out, bool is_full_solver, double precision_s, struct err *e);
/* Frees what is ours, not the engine. */
void sg_close(struct sg *s);

/* A link of latency 0, capacity in bits of payload per second, > 0. Names are made here. */
enum err_code sg_add_link(struct sg *s, double goodput_bps, struct sg_link **out, struct err *e);
/* A link whose capacity changes: at most max_bps, now that much. A flow gains from a rise, too. */
enum err_code sg_add_varying_link(struct sg *s, double max_bps, struct sg_link **out,
                                  struct err *e);
/* Its capacity from now on, 0 < goodput_bps <= its maximum. May be called before sg_run and from
 * callbacks; a failure comes out of sg_run. */
void sg_set_rate(struct sg *s, struct sg_link *l, double goodput_bps);
/* A client and the links that its flows cross: from the server (down) and to it (up), at least one
 * each. */
enum err_code sg_add_host(struct sg *s, size_t n_down, struct sg_link *const *down, size_t n_up,
                          struct sg_link *const *up, struct sg_host **out, struct err *e);
/* Ends construction; nothing can be added after it. */
enum err_code sg_seal(struct sg *s, struct err *e);

/* Starts a flow now. NULL when it cannot start (an end or a link is off, or SimGrid refuses: sg_run
 * then says why): done is not called. bytes 0 counts as 1, because SimGrid never ends an empty
 * flow. */
struct sg_flow *sg_send(struct sg *s, struct sg_host *client, bool is_down, uint64_t bytes,
                        sg_done *done, void *user);
/* Ends a flow without calling done; returns the bytes that had not arrived. */
double sg_cancel(struct sg *s, struct sg_flow *f);

/* Calls tick at t_s, or now if that is past. NULL when SimGrid refuses: sg_run then says why. */
struct sg_timer *sg_at(struct sg *s, double t_s, sg_tick *tick, void *user);
/* Takes back a timer that has not fired. */
void sg_cancel_timer(struct sg *s, struct sg_timer *t);

double sg_now_s(const struct sg *s);
/* Runs until no flow and no timer is left. */
enum err_code sg_run(struct sg *s, struct err *e);

#endif
