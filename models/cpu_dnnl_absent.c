#include "models/cpu_dnnl.h"

#include <stdio.h>

#include "sim/base/check.h"

/* Nothing but open is ever called: it never gives anything. */
enum err_code cpu_dnnl_open(struct cpu_dnnl **out, int n_threads, struct err *e)
{
    (void)out;
    (void)n_threads;
    return err_set(e, ERR_DEVICE,
                   "this build has no bf16 on the CPU: it takes oneDNN, apt-get install libdnnl-dev, and a new "
                   "build");
}

void cpu_dnnl_close(struct cpu_dnnl *d)
{
    (void)d;
}

void cpu_dnnl_describe(char *out, size_t n)
{
    snprintf(out, n, "no oneDNN");
}

void cpu_dnnl_product(struct cpu_dnnl *d, int thread, const struct cpu_product *p)
{
    (void)d;
    (void)thread;
    (void)p;
    CHECK(false);
}

enum err_code cpu_dnnl_failure(struct cpu_dnnl *d, struct err *e)
{
    (void)d;
    (void)e;
    return OK;
}
