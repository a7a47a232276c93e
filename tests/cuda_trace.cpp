/* tests/cuda_trace.cpp: which kernel takes how long on the GPU, and how long the GPU waits between them.
 *
 * A library to be loaded before a program, which need not know of it:
 *   LD_PRELOAD=.../libcuda_trace.so CUDA_TRACE_LAST=0.5 veryedge bench train --backend cuda
 * At the program's end it prints a table on stderr, made of the last share of all work (CUDA_TRACE_LAST,
 * default 0.5), so that warm-up and set-up stay out. Times are the device's own (CUPTI activities). A kernel
 * may begin while the one before it ends; its time counts from there, so that all times add up to the wall's. */
#include <cupti.h>
#include <cxxabi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

struct span {
    std::string name;
    uint64_t start_ns, end_ns;
};

/* CUPTI's callbacks carry no pointer of ours: the one place for what they bring. */
std::vector<span> &spans()
{
    static std::vector<span> all;
    return all;
}

/* A kernel's name without namespaces, arguments and long template lists. */
std::string short_name(const char *mangled)
{
    int status = 0;
    char *plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string s = plain ? plain : mangled;
    free(plain);
    if (s.rfind("void ", 0) == 0)
        s = s.substr(5);
    size_t end = s.find('(');
    if (end != std::string::npos && end > 0)
        s = s.substr(0, end);
    return s.size() > 64 ? s.substr(0, 61) + "..." : s;
}

void CUPTIAPI give_buffer(uint8_t **buffer, size_t *size, size_t *n_records)
{
    *size = 8u << 20;
    *buffer = static_cast<uint8_t *>(aligned_alloc(8, *size));
    *n_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t *buffer, size_t, size_t valid)
{
    CUpti_Activity *r = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid, &r) == CUPTI_SUCCESS) {
        if (r->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL || r->kind == CUPTI_ACTIVITY_KIND_KERNEL) {
            auto *k = reinterpret_cast<CUpti_ActivityKernel10 *>(r);
            spans().push_back({short_name(k->name), k->start, k->end});
        } else if (r->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
            auto *m = reinterpret_cast<CUpti_ActivityMemcpy6 *>(r);
            spans().push_back({"(copy)", m->start, m->end});
        } else if (r->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
            auto *m = reinterpret_cast<CUpti_ActivityMemset4 *>(r);
            spans().push_back({"(clear)", m->start, m->end});
        }
    }
    free(buffer);
}

struct sum {
    size_t n = 0;
    double us = 0, idle_us = 0; /* of the work; the GPU's before it */
};

void print_table()
{
    cuptiActivityFlushAll(1);
    auto &all = spans();
    std::sort(all.begin(), all.end(), [](const span &a, const span &b) { return a.start_ns < b.start_ns; });
    const char *text = getenv("CUDA_TRACE_LAST");
    double last = text ? atof(text) : 0.5;
    size_t from = static_cast<size_t>(static_cast<double>(all.size()) * (1 - last));
    if (from >= all.size())
        return;
    std::map<std::string, sum> by_name;
    uint64_t busy_ns = 0, until = all[from].start_ns;
    for (size_t i = from; i < all.size(); i++) {
        struct sum &s = by_name[all[i].name];
        s.n++;
        if (all[i].end_ns > std::max(until, all[i].start_ns))
            s.us += static_cast<double>(all[i].end_ns - std::max(until, all[i].start_ns)) * 1e-3;
        if (all[i].start_ns > until)
            s.idle_us += static_cast<double>(all[i].start_ns - until) * 1e-3;
        if (all[i].end_ns > until) {
            busy_ns += all[i].end_ns - std::max(until, all[i].start_ns);
            until = all[i].end_ns;
        }
    }
    double wall_us = static_cast<double>(until - all[from].start_ns) * 1e-3;
    double busy_us = static_cast<double>(busy_ns) * 1e-3;
    std::vector<std::pair<std::string, sum>> rows(by_name.begin(), by_name.end());
    std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) { return a.second.us > b.second.us; });
    fprintf(stderr, "%zu pieces of work in %.3f ms: busy %.3f ms, idle %.1f %%\n", all.size() - from,
            wall_us * 1e-3, busy_us * 1e-3, 100 * (1 - busy_us / wall_us));
    for (const auto &r : rows)
        fprintf(stderr, "%6.2f %% %10.3f ms %7zu x %9.2f us, idle before %8.3f ms  %s\n",
                100 * r.second.us / wall_us, r.second.us * 1e-3, r.second.n,
                r.second.us / static_cast<double>(r.second.n), r.second.idle_us * 1e-3, r.first.c_str());
}

} // namespace

/* Before main, and so before the program first uses CUDA. */
__attribute__((constructor)) static void begin()
{
    cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET);
    spans().reserve(1 << 16);
}

/* veryedge leaves by _exit, so no destructor would be called. */
extern "C" __attribute__((noreturn)) void _exit(int status)
{
    fflush(nullptr);
    print_table();
    for (;;)
        syscall(SYS_exit_group, status);
}
