#include "sim/sink.h"

#include <string.h>

#include "sim/base/mem.h"

static const struct sink_ops *const SINKS[] = {&sink_csv, &sink_json, &sink_columns, &sink_trace};
enum { N_SINKS = sizeof(SINKS) / sizeof(SINKS[0]) };

struct sinks {
    struct sink *sink[N_SINKS];
};

enum err_code sinks_open(struct sinks **out, const char *folder, bool is_labelled, struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct sinks), "the outputs", e);
    if (code)
        return code;
    struct sinks *s = memory;
    for (int i = 0; i < N_SINKS && !code; i++)
        code = SINKS[i]->open(&s->sink[i], folder, is_labelled, e);
    if (code)
        sinks_abandon(s);
    else
        *out = s;
    return code;
}

enum err_code sinks_row(struct sinks *s, const struct table *t, const void *record, struct err *e)
{
    enum err_code code = OK;
    for (int i = 0; i < N_SINKS && !code; i++)
        code = s->sink[i]->ops->row(s->sink[i], t, record, e);
    return code;
}

enum err_code sinks_close(struct sinks *s, struct err *e)
{
    enum err_code code = OK;
    for (int i = 0; i < N_SINKS; i++) {
        if (!code)
            code = s->sink[i]->ops->close(s->sink[i], e);
        else
            s->sink[i]->ops->abandon(s->sink[i]);
    }
    mem_free(s);
    return code;
}

void sinks_abandon(struct sinks *s)
{
    if (!s)
        return;
    for (int i = 0; i < N_SINKS; i++)
        if (s->sink[i])
            s->sink[i]->ops->abandon(s->sink[i]);
    mem_free(s);
}
