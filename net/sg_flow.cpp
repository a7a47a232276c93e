#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <simgrid/kernel/Timer.hpp>
#include <simgrid/s4u.hpp>

extern "C" {
#include "net/sg_flow.h"
}

namespace s4u = simgrid::s4u;
using simgrid::kernel::timer::Timer;

struct sg_link {
    s4u::Link *link;
    double max_byte_per_s, now_byte_per_s; /* of a varying link */
};

struct sg_host {
    s4u::Host *host;
    std::vector<s4u::Link *> down, up; /* what its flows cross */
};

struct sg_flow {
    sg *owner;
    sg_done *done;
    void *user;
    s4u::CommPtr comm;
};

struct sg_timer {
    sg *owner;
    sg_tick *tick;
    void *user;
    Timer *timer;
};

struct sg {
    s4u::Engine *engine = nullptr; /* the library's, for the rest of the process */
    s4u::NetZone *zone = nullptr;
    s4u::Host *server = nullptr;
    std::vector<std::unique_ptr<sg_link>> links;
    std::vector<std::unique_ptr<sg_host>> hosts;
    std::vector<std::unique_ptr<sg_flow>> flows; /* all that were ever made, live and free */
    std::vector<sg_flow *> free_flows;
    std::vector<sg_flow *> ended[2]; /* SimGrid still looks at them: free two steps of time later */
    std::vector<std::unique_ptr<sg_timer>> timers;
    std::vector<sg_timer *> free_timers;
    std::string failure; /* the first one inside a callback; sg_run reports it */
};

template <class F> static enum err_code guard(struct err *e, const char *what, F f)
{
    try {
        f();
        return OK;
    } catch (std::exception const &x) {
        return err_set(e, ERR_INTERNAL, "simgrid: %s: %s", what, x.what());
    } catch (...) {
        return err_set(e, ERR_INTERNAL, "simgrid: %s: unknown exception", what);
    }
}

/* Takes a flow out of play. SimGrid touches the activity after its callback, so the flow keeps it
 * for now. */
static void retire(sg_flow *f)
{
    f->comm->set_data(nullptr); /* a cancelled flow is reported again, later */
    f->owner->ended[0].push_back(f);
}

static void reap(sg *s)
{
    for (sg_flow *f : s->ended[1]) {
        f->comm = nullptr;
        s->free_flows.push_back(f);
    }
    s->ended[1].clear();
    s->ended[1].swap(s->ended[0]);
}

static void on_completion(s4u::Activity const &a)
{
    auto *f = a.get_data<sg_flow>();
    if (f == nullptr)
        return;
    bool ok = a.get_state() == s4u::Activity::State::FINISHED;
    double left = ok ? 0 : a.get_remaining();
    retire(f);
    f->done(f->user, ok, left);
}

/* SimGrid's log and options, through an argv of its own: it would eat the user's. */
static s4u::Engine *start_engine(bool is_full_solver, double precision_s)
{
    char precision[64];
    snprintf(precision, sizeof(precision), "--cfg=surf/precision:%.3g", precision_s);
    std::vector<std::string> words = {"veryedge",
                                      "--log=root.thres:critical",
                                      "--log=no_loc",
                                      "--cfg=network/model:CM02",
                                      "--cfg=network/crosstraffic:0",
                                      is_full_solver ? "--cfg=network/optim:Full"
                                                     : "--cfg=network/optim:Lazy",
                                      precision};
    std::vector<char *> argv;
    for (std::string &w : words)
        argv.push_back(&w[0]);
    int argc = static_cast<int>(argv.size());
    argv.push_back(nullptr);
    return new s4u::Engine(&argc, argv.data());
}

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE};
enum { N_SIGNALS = sizeof(SIGNALS) / sizeof(SIGNALS[0]) };

extern "C" enum err_code sg_open(struct sg **out, bool is_full_solver, double precision_s,
                                 struct err *e)
{
    if (s4u::Engine::has_instance())
        return err_set(e, ERR_INTERNAL, "simgrid: one network per process, this is the second");
    struct sigaction old[N_SIGNALS];
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(SIGNALS[i], nullptr, &old[i]);
    std::terminate_handler terminate = std::get_terminate();
    std::unique_ptr<sg> s;
    enum err_code code = guard(e, "start", [&] {
        s = std::make_unique<sg>();
        s->engine = start_engine(is_full_solver, precision_s);
        sg *raw = s.get();
        s4u::Activity::on_completion_cb(on_completion);
        s4u::Engine::on_time_advance_cb([raw](double) { reap(raw); });
        s->zone = s4u::create_star_zone("net");
        s->server = s->zone->create_host("server", 1e9);
        simgrid::kernel::routing::NetPoint *point = s->server->get_netpoint();
        s->zone->add_route(point, nullptr, nullptr, nullptr, {}, false);
        s->zone->add_route(nullptr, point, nullptr, nullptr, {}, false);
    });
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(SIGNALS[i], &old[i], nullptr);
    std::set_terminate(terminate);
    if (!code)
        *out = s.release();
    return code;
}

extern "C" void sg_close(struct sg *s)
{
    delete s;
}

extern "C" enum err_code sg_add_link(struct sg *s, double goodput_bps, struct sg_link **out,
                                     struct err *e)
{
    return guard(e, "link", [&] {
        auto l = std::make_unique<sg_link>();
        std::string name = "l" + std::to_string(s->links.size());
        l->link = s->zone->create_link(name, goodput_bps / 8)->set_latency(0.0)->seal();
        s->links.push_back(std::move(l));
        *out = s->links.back().get();
    });
}

/* SimGrid freezes a flow's bound at the smallest capacity seen when it starts, so a later rise
 * would be lost. Hence the nominal capacity is the greatest, and the present one comes from a
 * callback. */
extern "C" enum err_code sg_add_varying_link(struct sg *s, double max_bps, struct sg_link **out,
                                             struct err *e)
{
    return guard(e, "link", [&] {
        auto l = std::make_unique<sg_link>();
        sg_link *raw = l.get();
        std::string name = "l" + std::to_string(s->links.size());
        l->max_byte_per_s = l->now_byte_per_s = max_bps / 8;
        l->link = s->zone->create_link(name, l->max_byte_per_s)->set_latency(0.0);
        l->link->set_sharing_policy(s4u::Link::SharingPolicy::NONLINEAR,
                                    [raw](double, int) { return raw->now_byte_per_s; });
        l->link->seal();
        s->links.push_back(std::move(l));
        *out = raw;
    });
}

extern "C" void sg_set_rate(struct sg *s, struct sg_link *l, double goodput_bps)
{
    struct err e = {};
    enum err_code code = guard(&e, "rate", [&] {
        l->now_byte_per_s = goodput_bps / 8;
        l->link->set_bandwidth(l->max_byte_per_s); /* the same, but the shares are found again */
    });
    if (code && s->failure.empty())
        s->failure = e.text;
}

extern "C" enum err_code sg_add_host(struct sg *s, size_t n_down, struct sg_link *const *down,
                                     size_t n_up, struct sg_link *const *up, struct sg_host **out,
                                     struct err *e)
{
    return guard(e, "host", [&] {
        auto h = std::make_unique<sg_host>();
        std::vector<s4u::LinkInRoute> to, from;
        for (size_t i = 0; i < n_down; i++) {
            h->down.push_back(down[i]->link);
            from.emplace_back(down[i]->link);
        }
        for (size_t i = 0; i < n_up; i++) {
            h->up.push_back(up[i]->link);
            to.emplace_back(up[i]->link);
        }
        h->host = s->zone->create_host("h" + std::to_string(s->hosts.size()), 1e9);
        simgrid::kernel::routing::NetPoint *point = h->host->get_netpoint();
        s->zone->add_route(point, nullptr, nullptr, nullptr, to, false);
        s->zone->add_route(nullptr, point, nullptr, nullptr, from, false);
        h->host->seal();
        s->hosts.push_back(std::move(h));
        *out = s->hosts.back().get();
    });
}

extern "C" enum err_code sg_seal(struct sg *s, struct err *e)
{
    return guard(e, "seal", [&] { s->zone->seal(); });
}

static sg_flow *take_flow(sg *s)
{
    if (s->free_flows.empty()) {
        s->flows.push_back(std::make_unique<sg_flow>());
        s->free_flows.push_back(s->flows.back().get());
    }
    sg_flow *f = s->free_flows.back();
    s->free_flows.pop_back();
    return f;
}

/* SimGrid aborts on a flow to a host that is off, and never reports one over a link that is off. */
static bool is_open(sg_host const *h, std::vector<s4u::Link *> const &route)
{
    if (!h->host->is_on())
        return false;
    for (s4u::Link const *l : route)
        if (!l->is_on())
            return false;
    return true;
}

extern "C" struct sg_flow *sg_send(struct sg *s, struct sg_host *client, bool is_down,
                                   uint64_t bytes, sg_done *done, void *user)
{
    if (!s->server->is_on() || !is_open(client, is_down ? client->down : client->up))
        return nullptr;
    sg_flow *f = nullptr;
    struct err e = {};
    enum err_code code = guard(&e, "send", [&] {
        f = take_flow(s);
        f->owner = s;
        f->done = done;
        f->user = user;
        f->comm = s4u::Comm::sendto_init();
        f->comm->set_data(f);
        f->comm->set_payload_size(bytes ? bytes : 1);
        f->comm->set_source(is_down ? s->server : client->host);
        f->comm->set_destination(is_down ? client->host : s->server); /* starts here */
    });
    if (!code)
        return f;
    if (s->failure.empty())
        s->failure = e.text;
    return nullptr;
}

extern "C" double sg_cancel(struct sg *s, struct sg_flow *f)
{
    double left = 0;
    struct err e = {};
    enum err_code code = guard(&e, "cancel", [&] {
        left = f->comm->get_remaining();
        retire(f);
        f->comm->cancel();
    });
    if (code && s->failure.empty())
        s->failure = e.text;
    return left;
}

static sg_timer *take_timer(sg *s)
{
    if (s->free_timers.empty()) {
        s->timers.push_back(std::make_unique<sg_timer>());
        s->free_timers.push_back(s->timers.back().get());
    }
    sg_timer *t = s->free_timers.back();
    s->free_timers.pop_back();
    return t;
}

static void fire(sg_timer *t)
{
    sg_timer now = *t;
    t->owner->free_timers.push_back(t); /* the callback may take it again */
    now.tick(now.user);
}

extern "C" struct sg_timer *sg_at(struct sg *s, double t_s, sg_tick *tick, void *user)
{
    sg_timer *t = nullptr;
    struct err e = {};
    enum err_code code = guard(&e, "timer", [&] {
        t = take_timer(s);
        *t = {s, tick, user, nullptr};
        /* SimGrid aborts on a date in the past. */
        double now_s = s4u::Engine::get_clock();
        t->timer = Timer::set(t_s > now_s ? t_s : now_s, [t] { fire(t); });
    });
    if (!code)
        return t;
    if (s->failure.empty())
        s->failure = e.text;
    return nullptr;
}

extern "C" void sg_cancel_timer(struct sg *s, struct sg_timer *t)
{
    t->timer->remove();
    s->free_timers.push_back(t);
}

extern "C" double sg_now_s(const struct sg *s)
{
    (void)s;
    return s4u::Engine::get_clock();
}

extern "C" enum err_code sg_run(struct sg *s, struct err *e)
{
    enum err_code code = guard(e, "run", [&] { s->engine->run(); });
    if (!code && !s->failure.empty())
        code = err_set(e, ERR_INTERNAL, "%s", s->failure.c_str());
    return code;
}
