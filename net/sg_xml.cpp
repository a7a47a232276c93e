#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <new>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <simgrid/s4u.hpp>

extern "C" {
#include "net/sg_xml.h"
#include "sim/base/mem.h"
}

namespace s4u = simgrid::s4u;

enum { SECONDS_AT_MOST = 60, GIB_AT_MOST = 4 };

/* --- in the child --- */

/* "n10" after "n9". */
static bool is_before(s4u::Host const *a, s4u::Host const *b)
{
    const char *x = a->get_cname(), *y = b->get_cname();
    while (*x && *y) {
        if (isdigit(static_cast<unsigned char>(*x)) && isdigit(static_cast<unsigned char>(*y))) {
            char *x_end, *y_end;
            unsigned long i = strtoul(x, &x_end, 10), j = strtoul(y, &y_end, 10);
            if (i != j)
                return i < j;
            x = x_end;
            y = y_end;
        } else if (*x != *y) {
            return *x < *y;
        } else {
            x++;
            y++;
        }
    }
    if (*x || *y)
        return !*x;
    return strcmp(a->get_cname(), b->get_cname()) < 0; /* "n01" and "n1" */
}

static const char *policy_of(s4u::Link const *l)
{
    switch (l->get_sharing_policy()) {
    case s4u::Link::SharingPolicy::FATPIPE:
        return "fatpipe";
    case s4u::Link::SharingPolicy::WIFI:
        return "wifi";
    default:
        return "shared";
    }
}

/* The property of a link; the halves NAME_UP and NAME_DOWN of a split-duplex one have lost theirs.
 */
static std::string element_of(s4u::Link const *l)
{
    const char *own = l->get_property("element");
    if (own)
        return own;
    std::string name = l->get_cname();
    for (std::string end : {"_UP", "_DOWN"}) {
        if (name.size() <= end.size() || name.substr(name.size() - end.size()) != end)
            continue;
        try {
            auto *whole = s4u::SplitDuplexLink::by_name(name.substr(0, name.size() - end.size()));
            const char *of_whole = whole->get_property("element");
            return of_whole ? of_whole : "";
        } catch (std::exception const &) { /* it only has such a name */
        }
    }
    return "";
}

struct writer {
    FILE *to;
    std::map<s4u::Link const *, size_t> number;
};

static void say(FILE *to, const char *what, std::string const &text)
{
    fprintf(to, "%s\t%s\t\n", what, text.c_str());
    fflush(to);
}

static void write_route(writer &w, const char *direction, s4u::Host const *from,
                        s4u::Host const *to)
{
    std::vector<s4u::Link *> links;
    double latency_s = 0;
    bool is_down = strcmp(direction, "down") == 0;
    s4u::Host const *client = is_down ? to : from, *server = is_down ? from : to;
    say(w.to, "stage",
        client->get_name() + "\t" + server->get_name()); /* SimGrid may crash on it */
    from->route_to(to, links, &latency_s);
    std::string line;
    for (s4u::Link const *l : links) {
        if (w.number.find(l) == w.number.end()) {
            size_t n = w.number.size();
            w.number[l] = n;
            fprintf(w.to, "link\t%s\t%.17g\t%s\t%s\t\n", l->get_cname(), 8 * l->get_bandwidth(),
                    policy_of(l), element_of(l).c_str());
        }
        line += std::to_string(w.number[l]) + "\t";
    }
    fprintf(w.to, "route\t%s\t%.17g\t%s\n", direction, latency_s, line.c_str());
}

static void write_host(FILE *to, s4u::Host const *h)
{
    const char *element = h->get_property("element");
    fprintf(to, "host\t%s\t%s\t\n", h->get_cname(), element ? element : "");
}

static void describe(FILE *to, const char *path, const char *server_name)
{
    std::vector<std::string> words = {"veryedge",
                                      "--log=root.thres:critical",
                                      "--log=no_loc",
                                      "--log=root.fmt:%m%n",
                                      "--cfg=network/model:CM02",
                                      "--cfg=network/crosstraffic:0"};
    std::vector<char *> argv;
    for (std::string &word : words)
        argv.push_back(&word[0]);
    int argc = static_cast<int>(argv.size());
    argv.push_back(nullptr);
    auto *engine = new s4u::Engine(&argc, argv.data());
    engine->load_platform(path);
    engine->get_netzone_root()->seal();
    s4u::Host const *server = s4u::Host::by_name_or_null(server_name);
    if (!server) {
        say(to, "error",
            std::string("no host \"") + server_name + "\" for the server: name it in server_at");
        return;
    }
    writer w = {to, {}};
    write_host(to, server);
    std::vector<s4u::Host *> hosts = engine->get_all_hosts();
    std::sort(hosts.begin(), hosts.end(), is_before);
    for (s4u::Host const *h : hosts) {
        if (h == server)
            continue;
        write_host(to, h);
        write_route(w, "down", server, h);
        write_route(w, "up", h, server);
    }
    say(to, "end", "");
}

/* The whole life of the child. */
static void child(FILE *to, FILE *errors, const char *path, const char *server)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef VERYEDGE_SANITIZED /* sanitizers map terabytes */
    struct rlimit memory = {static_cast<rlim_t>(GIB_AT_MOST) << 30, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &memory);
#endif
    for (int s : {SIGINT, SIGTERM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM})
        signal(s, SIG_DFL);
    dup2(fileno(errors), STDERR_FILENO);
    dup2(fileno(errors), STDOUT_FILENO);
    alarm(SECONDS_AT_MOST);
    say(to, "stage", "");
    try {
        describe(to, path, server);
    } catch (std::bad_alloc const &) {
        say(to, "error", "it needs more than " + std::to_string(GIB_AT_MOST) + " GiB");
    } catch (std::exception const &x) {
        say(to, "error", std::string(x.what()).substr(0, std::string(x.what()).find('\n')));
    } catch (...) {
        say(to, "error", "unknown exception");
    }
    fflush(to);
    _exit(0);
}

/* --- in the parent --- */

static std::string all_of(FILE *f)
{
    std::string text;
    char block[65536];
    rewind(f);
    for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;)
        text.append(block, n);
    return text;
}

/* The words of the last line of this kind, without its tabs at the end; "" where there is none. */
static std::string last_of(std::string const &text, std::string const &kind)
{
    size_t at = text.rfind("\n" + kind + "\t");
    if (at == std::string::npos)
        return "";
    at += kind.size() + 2;
    std::string line = text.substr(at, text.find('\n', at) - at);
    return line.substr(0, line.find_last_not_of('\t') + 1);
}

/* Why a child ended before it was through. */
static enum err_code explain(std::string const &text, std::string errors, int status, struct err *e)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return err_set(e, ERR_INPUT, "SimGrid took more than %d s to read it", SECONDS_AT_MOST);
    std::string stage = last_of(text, "stage");
    size_t tab = stage.find('\t');
    if (tab != std::string::npos)
        return err_set(e, ERR_INPUT,
                       "no route between '%s' and '%s', SimGrid crashed looking for it",
                       stage.substr(0, tab).c_str(), stage.substr(tab + 1).c_str());
    errors = errors.substr(0, errors.find('\n'));
    if (errors.empty() || errors.find("Segmentation fault") != std::string::npos)
        return err_set(e, ERR_INPUT,
                       "SimGrid crashed reading it; one reason is a route that is there twice");
    return err_set(e, ERR_INPUT, "%s", errors.c_str());
}

static enum err_code run_child(std::string &text, std::string &errors, int *status,
                               const char *path, const char *server, struct err *e)
{
    FILE *to = tmpfile(), *said = tmpfile();
    enum err_code code = OK;
    if (!to || !said) {
        code = err_set(e, ERR_IO, "temporary file: %s", strerror(errno));
    } else {
        fflush(nullptr); /* or the child would write it once more */
        pid_t pid = fork();
        if (pid == 0)
            child(to, said, path, server);
        if (pid < 0)
            code = err_set(e, ERR_IO, "fork: %s", strerror(errno));
        while (!code && waitpid(pid, status, 0) < 0)
            if (errno != EINTR)
                code = err_set(e, ERR_IO, "waitpid: %s", strerror(errno));
        if (!code) {
            text = "\n" + all_of(to);
            errors = all_of(said);
        }
    }
    if (to)
        fclose(to);
    if (said)
        fclose(said);
    return code;
}

extern "C" enum err_code sg_xml_read(char **out, const char *path, const char *server,
                                     struct err *e)
{
    std::string text, errors;
    int status = 0;
    if (s4u::Engine::has_instance())
        return err_set(e, ERR_INTERNAL,
                       "simgrid: a platform must be read before the network opens");
    enum err_code code = run_child(text, errors, &status, path, server, e);
    if (code)
        return code;
    std::string error = last_of(text, "error");
    if (!error.empty())
        return err_set(e, ERR_INPUT, "%s", error.c_str());
    if (text.find("\nend\t") == std::string::npos)
        return explain(text, errors, status, e);
    size_t cap = 0;
    char *copy = nullptr;
    mem_grow(reinterpret_cast<void **>(&copy), &cap, text.size() + 1, 1);
    memcpy(copy, text.c_str(), text.size() + 1);
    *out = copy;
    return OK;
}
