/* Section "federation": rounds, who takes part, local training, the server's step, what is sent. */
#include <math.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/scenario_parts.h"

#define DEFAULT_ROUNDS 100
#define DEFAULT_PER_ROUND 10
#define DEFAULT_LOCAL_STEPS 2
#define DEFAULT_BATCH 8
#define DEFAULT_CLIENT_LR 1.0
#define DEFAULT_BETA1 0.9
#define DEFAULT_BETA2 0.999
#define DEFAULT_EPSILON 1e-8

static enum err_code parse_adamw(struct json o, struct train_hyper *h, struct err *e)
{
    const double default_beta1 = DEFAULT_BETA1, default_beta2 = DEFAULT_BETA2;
    const double default_epsilon = DEFAULT_EPSILON, none = 0;
    double beta1 = 0, beta2 = 0, epsilon = 0, decay = 0;
    enum err_code code = json_double(o, "beta1", 0, SCENARIO_MAX_DECAY, &default_beta1, &beta1, e);
    if (!code)
        code = json_double(o, "beta2", 0, SCENARIO_MAX_DECAY, &default_beta2, &beta2, e);
    if (!code)
        code = json_double(o, "epsilon", SCENARIO_MIN_EPSILON, SCENARIO_MAX_EPSILON,
                           &default_epsilon, &epsilon, e);
    if (!code)
        code = json_double(o, "weight_decay", 0, SCENARIO_MAX_WEIGHT_DECAY, &none, &decay, e);
    h->beta1 = (float)beta1;
    h->beta2 = (float)beta2;
    h->epsilon = (float)epsilon;
    h->weight_decay = (float)decay;
    return code;
}

/* federation.client: the local optimizer; its learning rate is federation.client_lr. */
static enum err_code parse_client(struct json federation, struct train_hyper *h, struct err *e)
{
    static const char *const names[] = {"sgd", "adamw"};
    const size_t sgd = 0;
    const double none = 0;
    double momentum = 0, norm = 0, mu = 0;
    size_t which = 0;
    struct json o;
    enum err_code code = json_object_opt(federation, "client", &o, e);
    if (!code)
        code = json_choice(o, "optimizer", names, 2, &sgd, &which, e);
    h->optimizer = which == 0 ? LOCAL_SGD : LOCAL_ADAMW;
    if (!code && h->optimizer == LOCAL_SGD)
        code = json_double(o, "momentum", 0, SCENARIO_MAX_DECAY, &none, &momentum, e);
    if (!code && h->optimizer == LOCAL_ADAMW)
        code = parse_adamw(o, h, e);
    if (!code)
        code = json_double(o, "prox_mu", 0, SCENARIO_MAX_PROX_MU, &none, &mu, e);
    if (!code)
        code = json_double(o, "max_grad_norm", 0, SCENARIO_MAX_GRAD_NORM, &none, &norm, e);
    h->momentum = (float)momentum;
    h->prox_mu = (float)mu;
    h->max_grad_norm = (float)norm;
    return code ? code : json_finish(o, e);
}

static enum err_code parse_size(struct json o, const char *key, double *out, struct err *e)
{
    enum err_code code =
        json_quantity(o, key, UNIT_SIZE_BYTES, 1, SCENARIO_MAX_PAYLOAD_BYTES, NULL, out, e);
    if (!code && *out != floor(*out))
        code = json_fail(o, key, e, "expected whole bytes, got %.17g", *out);
    return code;
}

static enum err_code parse_payload(struct json federation, bool is_full,
                                   struct scenario_federation *f, struct err *e)
{
    static const char *const names[] = {"lora", "full"};
    size_t which = 0;
    struct json o;
    f->payload = is_full ? SCENARIO_PAYLOAD_FULL : SCENARIO_PAYLOAD_LORA;
    if (!json_has(federation, "payload"))
        return OK;
    enum err_code code = json_value(federation, "payload", &o, e);
    if (code)
        return code;
    if (!json_is_object(o)) {
        code = json_choice(federation, "payload", names, 2, NULL, &which, e);
        f->payload = which == 0 ? SCENARIO_PAYLOAD_LORA : SCENARIO_PAYLOAD_FULL;
        if (!code && is_full && f->payload == SCENARIO_PAYLOAD_LORA)
            code = json_fail(federation, "payload", e,
                             "expected \"full\" or sizes with model.train full, got \"lora\"");
        return code;
    }
    f->payload = SCENARIO_PAYLOAD_GIVEN;
    code = parse_size(o, "down", &f->payload_bytes[NET_DOWN], e);
    if (!code)
        code = parse_size(o, "up", &f->payload_bytes[NET_UP], e);
    return code ? code : json_finish(o, e);
}

static enum err_code parse_rounds(struct json o, struct scenario *s, struct err *e)
{
    struct scenario_federation *f = &s->federation;
    const int64_t default_rounds = DEFAULT_ROUNDS;
    const int64_t default_clients =
        s->n_clients < DEFAULT_PER_ROUND ? (int64_t)s->n_clients : DEFAULT_PER_ROUND;
    const double never = HUGE_VAL, none = 0;
    int64_t rounds = 0, clients = 0;
    enum err_code code = json_int(o, "rounds", 1, SCENARIO_MAX_ROUNDS, &default_rounds, &rounds, e);
    if (!code)
        code = json_int(o, "clients_per_round", 1, SCENARIO_MAX_CLIENTS, &default_clients, &clients,
                        e);
    if (!code && (size_t)clients > s->n_clients)
        code = json_fail(o, "clients_per_round", e, "expected at most clients.count, %zu, got %lld",
                         s->n_clients, (long long)clients);
    if (!code)
        code = json_quantity(o, "deadline", UNIT_TIME_S, SCENARIO_MIN_DEADLINE_S,
                             SCENARIO_MAX_TIME_S, &never, &f->deadline_s, e);
    if (!code)
        code = json_double(o, "failure_rate", 0, 1, &none, &f->failure_rate, e);
    f->rounds = (uint32_t)rounds;
    f->clients_per_round = (size_t)clients;
    return code;
}

/* How much of its data a client uses: local_steps mini-batches, or all of it local_epochs times. */
static enum err_code parse_dealing(struct json o, struct scenario *s, struct err *e)
{
    struct scenario_federation *f = &s->federation;
    const int64_t default_steps = DEFAULT_LOCAL_STEPS, default_batch = DEFAULT_BATCH;
    int64_t steps = 0, epochs = 0, batch = 0;
    bool has_epochs = json_has(o, "local_epochs");
    if (has_epochs && json_has(o, "local_steps"))
        return json_fail(o, "local_epochs", e, "expected no such key beside local_steps");
    if (has_epochs && s->model.train == SCENARIO_NONE)
        return json_fail(o, "local_epochs", e,
                         "expected local_steps with model.train none, where "
                         "there are no samples to count");
    enum err_code code =
        has_epochs
            ? json_int(o, "local_epochs", 1, SCENARIO_MAX_LOCAL_EPOCHS, NULL, &epochs, e)
            : json_int(o, "local_steps", 1, SCENARIO_MAX_LOCAL_STEPS, &default_steps, &steps, e);
    if (!code)
        code = json_int(o, "batch", 1, SCENARIO_MAX_BATCH, &default_batch, &batch, e);
    f->batch = (int)batch;
    f->local.local_steps = (int)steps;
    f->dealing = (struct split_dealing){
        .n_steps = (size_t)steps, .n_epochs = (size_t)epochs, .batch = (size_t)batch};
    return code;
}

enum err_code scenario_parse_federation(struct json root, struct scenario *s, struct err *e)
{
    struct scenario_federation *f = &s->federation;
    const double default_lr = DEFAULT_CLIENT_LR;
    const bool is_full = s->model.train == SCENARIO_FULL;
    double lr = 0;
    struct json o;
    enum err_code code = json_object_opt(root, "federation", &o, e);
    if (!code)
        code = parse_rounds(o, s, e);
    if (!code)
        code = parse_dealing(o, s, e);
    if (!code)
        code = json_double(o, "client_lr", SCENARIO_MIN_LR, SCENARIO_MAX_LR, &default_lr, &lr, e);
    if (!code)
        code = parse_client(o, &f->local, e);
    if (!code)
        code = server_opt_parse(o, "server", &f->server, e);
    if (!code && is_full && f->server.average == SERVER_PRODUCTS)
        code = json_fail(o, "server", e,
                         "expected average \"factors\" with model.train full, got \"products\"");
    if (!code)
        code = parse_payload(o, is_full, f, e);
    f->local.lr = (float)lr;
    f->local.dropout = s->model.dropout;
    return code ? code : json_finish(o, e);
}
