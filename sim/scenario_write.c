/* A scenario as JSON, every value stated, in the form that scenario_load reads. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/scenario.h"

static void write_quantity(struct json_out *o, const char *key, double value, const char *unit)
{
    char number[32], text[48];
    text_shortest(number, value);
    snprintf(text, sizeof(text), "%s%s", number, unit);
    json_out_string(o, key, text);
}

/* The absolute path, so that the copy means the same file wherever it lies; a built-in stays. */
static void write_path(struct json_out *o, const char *key, const char *path)
{
    if (strncmp(path, "builtin:", 8) == 0) {
        json_out_string(o, key, path);
        return;
    }
    char *absolute = file_absolute(path);
    json_out_string(o, key, absolute);
    mem_free(absolute);
}

static void write_clients(const struct scenario *s, struct json_out *o)
{
    json_out_begin(o, "clients", '{');
    json_out_int(o, "count", (int64_t)s->n_clients);
    json_out_begin(o, "groups", '[');
    for (size_t i = 0; i < s->n_groups; i++) {
        const struct scenario_group *g = &s->group[i];
        json_out_begin(o, NULL, '{');
        json_out_string(o, "name", g->name);
        json_out_int(o, "count", (int64_t)g->count);
        device_write(o, "device", &g->device);
        if (g->has_network)
            topology_write(o, "network", &g->access);
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
    json_out_end(o, '}');
}

static void write_model(const struct scenario_model *m, struct json_out *o)
{
    json_out_begin(o, "model", '{');
    if (m->weights)
        write_path(o, "weights", m->weights);
    if (m->adapter)
        write_path(o, "adapter", m->adapter);
    if (m->costs_of)
        json_out_string(o, "costs_of", m->costs_of);
    json_out_string(o, "train", m->train == SCENARIO_LORA   ? "lora"
                                : m->train == SCENARIO_FULL ? "full"
                                                            : "none");
    json_out_begin(o, "lora", '{');
    json_out_int(o, "rank", m->lora.rank);
    json_out_float(o, "alpha", m->lora.alpha);
    json_out_float(o, "dropout", m->lora.dropout);
    json_out_begin_inline(o, "targets", '[');
    for (unsigned i = 0; i < N_LORA_TARGETS; i++)
        if (m->lora.targets & 1u << i)
            json_out_string(o, NULL, lora_target_names()[i]);
    json_out_end(o, ']');
    json_out_end(o, '}');
    json_out_float(o, "dropout", m->dropout);
    json_out_end(o, '}');
}

static void write_data(const struct scenario *s, struct json_out *o)
{
    const struct data_spec *d = &s->data;
    json_out_begin(o, "data", '{');
    write_path(o, "source", d->source);
    if (d->validation)
        write_path(o, "validation", d->validation);
    if (d->test)
        write_path(o, "test", d->test);
    json_out_string(o, "prefix", d->prefix);
    if (strncmp(d->source, "builtin:", 8) != 0)
        json_out_bool(o, "skip_empty", d->skips_empty);
    json_out_int(o, "max_input", d->max_input);
    json_out_int(o, "max_target", d->max_target);
    if (d->n_train > 0)
        json_out_int(o, "samples", (int64_t)d->n_train);
    if (!d->validation)
        json_out_int(o, "heldout", (int64_t)d->n_heldout);
    split_write(o, "split", &s->split);
    json_out_end(o, '}');
}

static void write_client(const struct train_hyper *h, struct json_out *o)
{
    json_out_begin(o, "client", '{');
    json_out_string(o, "optimizer", h->optimizer == LOCAL_SGD ? "sgd" : "adamw");
    if (h->optimizer == LOCAL_SGD) {
        json_out_float(o, "momentum", h->momentum);
    } else {
        json_out_float(o, "beta1", h->beta1);
        json_out_float(o, "beta2", h->beta2);
        json_out_float(o, "epsilon", h->epsilon);
        json_out_float(o, "weight_decay", h->weight_decay);
    }
    json_out_float(o, "prox_mu", h->prox_mu);
    json_out_float(o, "max_grad_norm", h->max_grad_norm);
    json_out_end(o, '}');
}

static void write_federation(const struct scenario_federation *f, struct json_out *o)
{
    json_out_begin(o, "federation", '{');
    json_out_int(o, "rounds", f->rounds);
    json_out_int(o, "clients_per_round", (int64_t)f->clients_per_round);
    if (isfinite(f->deadline_s))
        write_quantity(o, "deadline", f->deadline_s, "s");
    json_out_double(o, "failure_rate", f->failure_rate);
    if (f->dealing.n_epochs > 0)
        json_out_int(o, "local_epochs", (int64_t)f->dealing.n_epochs);
    else
        json_out_int(o, "local_steps", f->local.local_steps);
    json_out_int(o, "batch", f->batch);
    json_out_float(o, "client_lr", f->local.lr);
    write_client(&f->local, o);
    server_opt_write(o, "server", &f->server);
    if (f->payload == SCENARIO_PAYLOAD_GIVEN) {
        json_out_begin(o, "payload", '{');
        write_quantity(o, "down", f->payload_bytes[NET_DOWN], "B");
        write_quantity(o, "up", f->payload_bytes[NET_UP], "B");
        json_out_end(o, '}');
    } else {
        json_out_string(o, "payload", f->payload == SCENARIO_PAYLOAD_LORA ? "lora" : "full");
    }
    json_out_end(o, '}');
}

static void write_evaluate(const struct scenario *s, struct json_out *o)
{
    const struct scenario_evaluate *v = &s->evaluate;
    json_out_begin(o, "evaluate", '{');
    json_out_int(o, "every", v->every);
    json_out_int(o, "samples", (int64_t)v->samples);
    json_out_int(o, "test", (int64_t)s->data.n_test);
    json_out_bool(o, "rouge", v->has_rouge);
    json_out_int(o, "max_new_tokens", v->max_new_tokens);
    json_out_int(o, "batch", v->batch);
    json_out_int(o, "beams", v->beams.n_beams);
    if (v->beams.n_beams > 1) {
        json_out_float(o, "length_penalty", v->beams.length_penalty);
        json_out_bool(o, "early_stopping", v->beams.early_stopping);
    }
    json_out_end(o, '}');
}

static void write_rest(const struct scenario *s, struct json_out *o)
{
    const struct scenario_compute *c = &s->compute;
    json_out_begin(o, "compute", '{');
    json_out_string(o, "backend", c->backend);
    json_out_string(o, "precision", c->precision);
    if (c->is_profile)
        json_out_string(o, "time", "profile");
    else
        write_quantity(o, "time", c->fixed_s, "s");
    json_out_string(o, "profile_reading",
                    c->reading == DEVICE_PRINTED ? "printed" : "without-double-count");
    json_out_int(o, "gpus", c->n_gpus);
    json_out_int(o, "chunk", (int64_t)c->chunk);
    if (c->memory_bytes > 0)
        write_quantity(o, "memory", c->memory_bytes, "B");
    json_out_end(o, '}');
    write_evaluate(s, o);
    json_out_begin(o, "energy", '{');
    perbit_write(o, "per_bit", &s->energy.per_bit);
    json_out_string(o, "accounting", s->energy.accounting->name);
    json_out_double(o, "carbon_g_per_kwh", s->energy.carbon_g_per_kwh);
    json_out_end(o, '}');
}

void scenario_write(const struct scenario *s, struct json_out *o, bool with_output)
{
    json_out_string(o, "name", s->name);
    if (s->about[0])
        json_out_string(o, "about", s->about);
    json_out_int(o, "seed", (int64_t)s->seed);
    topology_write_root(o, "network", &s->network);
    write_clients(s, o);
    write_model(&s->model, o);
    write_data(s, o);
    write_federation(&s->federation, o);
    write_rest(s, o);
    json_out_begin(o, "output", '{');
    if (with_output)
        write_path(o, "dir", s->output.dir);
    json_out_int(o, "adapter_every", (int64_t)s->output.adapter_every);
    json_out_end(o, '}');
}

void scenario_write_learning(const struct scenario *s, struct json_out *o)
{
    json_out_int(o, "seed", (int64_t)s->seed);
    json_out_int(o, "clients", (int64_t)s->n_clients);
    json_out_int(o, "gpus", s->compute.n_gpus);
    json_out_int(o, "chunk", (int64_t)s->compute.chunk);
    write_model(&s->model, o);
    write_data(s, o);
    write_federation(&s->federation, o);
    write_evaluate(s, o);
}
