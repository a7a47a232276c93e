#include "sim/goals.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "sim/base/text.h"

#define MAX_LOSS 1e3
#define MAX_ROUGE 100

static enum err_code add(struct goals *g, const char *option, struct goal goal, struct err *e)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct goal *o = &g->goal[i];
        bool is_same = o->is_rouge == goal.is_rouge && o->is_last == goal.is_last &&
                       (goal.is_last || o->bound == goal.bound);
        if (is_same)
            return err_set(e, ERR_INPUT, "%s: expected every goal once", option);
    }
    if (g->n == GOALS_MAX)
        return err_set(e, ERR_LIMIT, "%s: expected at most %d goals", option, GOALS_MAX);
    g->goal[g->n++] = goal;
    return OK;
}

static enum err_code add_all(struct goals *g, const char *option, const struct cli_list *texts,
                             bool is_rouge, struct err *e)
{
    for (size_t i = 0; i < texts->n; i++) {
        struct goal goal = {.is_rouge = is_rouge, .bound = (double)NAN};
        goal.is_last = !is_rouge && strcmp(texts->value[i], "last") == 0;
        enum err_code code = OK;
        if (!goal.is_last && !is_rouge && isalpha((unsigned char)texts->value[i][0]))
            code = err_set(e, ERR_INPUT, "expected a number or \"last\", got \"%.60s\"",
                           texts->value[i]);
        else if (!goal.is_last)
            code = text_double(texts->value[i], 0, is_rouge ? MAX_ROUGE : MAX_LOSS, &goal.bound, e);
        if (code)
            return err_in(e, code, "%s", option);
        code = add(g, option, goal, e);
        if (code)
            return code;
    }
    return OK;
}

enum err_code goals_parse(struct goals *g, const struct cli_list *losses,
                          const struct cli_list *rouges, struct err *e)
{
    static const struct cli_list DEFAULT = {1, {"last"}};
    *g = (struct goals){0};
    enum err_code code = add_all(g, "--to-loss", losses->n ? losses : &DEFAULT, false, e);
    return code ? code : add_all(g, "--to-rouge", rouges, true, e);
}

size_t goals_count(const struct goals *g, bool is_rouge)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        n += g->goal[i].is_rouge == is_rouge;
    return n;
}
