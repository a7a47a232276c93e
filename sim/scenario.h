/* sim/scenario.h: everything a run is asked to do, typed, in range, every default filled in.
 *
 * A scenario comes from a JSON file, over the files it `extends`, under the `--set` assignments of
 * the command line (sim/overlay.h). Reading it checks every key: type, unit, range, names, and how
 * the values fit together; what passes here cannot fail later for a reason that is visible in the
 * file. Messages name file, key, expectation and fact. scenarios/README.md lists every key with
 * type, unit, range and default.
 *
 * Quantities are SI: seconds, bytes, bits per second. Counts are exact. Strings, lists and specs
 * live as long as the scenario. Nothing here touches weights or data files: run does. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "energy/account.h"
#include "energy/device.h"
#include "energy/perbit.h"
#include "models/data.h"
#include "models/lora.h"
#include "models/split.h"
#include "models/t5.h"
#include "models/t5_config.h"
#include "models/trainer.h"
#include "net/topology.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/grid.h"
#include "sim/server_opt.h"

/* Limits of a scenario, inclusive; tested at both ends. */
#define SCENARIO_MAX_CLIENTS PLAN_MAX_CLIENTS /* 10,000,000 */
#define SCENARIO_MAX_SEED ((int64_t)1 << 53)
#define SCENARIO_MAX_PAYLOAD_BYTES 1e13
#define SCENARIO_MAX_TIME_S 1e9 /* of a deadline or a stated compute time */
#define SCENARIO_MIN_DEADLINE_S 1e-3
#define SCENARIO_MIN_LR 1e-9
#define SCENARIO_MAX_LR 1e3
#define SCENARIO_MIN_LORA_ALPHA 1e-6
#define SCENARIO_MAX_LORA_ALPHA 1e4
#define SCENARIO_MAX_DROPOUT 0.95
#define SCENARIO_MAX_DECAY 0.999999 /* momentum, beta1, beta2 of the local optimizer */
#define SCENARIO_MIN_EPSILON 1e-12
#define SCENARIO_MAX_EPSILON 1.0
#define SCENARIO_MAX_WEIGHT_DECAY 1.0
#define SCENARIO_MAX_GRAD_NORM 1e6
#define SCENARIO_MAX_PROX_MU 1e3
#define SCENARIO_MAX_LENGTH_PENALTY 10.0 /* and its negative */
#define SCENARIO_MAX_CARBON_G_PER_KWH 1e4
enum {
    SCENARIO_MAX_NAME = 64, /* letters of the scenario's and of a group's name */
    SCENARIO_MAX_GROUPS = 256,
    SCENARIO_MAX_ROUNDS = 1000000,
    SCENARIO_MAX_LOCAL_STEPS = 10000,
    SCENARIO_MAX_LOCAL_EPOCHS = 1000,
    SCENARIO_MAX_BATCH = 4096,
    SCENARIO_MAX_TOKENS = 8192, /* max_input, max_target */
    SCENARIO_MAX_SAMPLES = 10000000,
    SCENARIO_MAX_NEW_TOKENS = 1024,
};

/* Some clients that are alike. Groups follow each other in client order: 0 .. count-1 is the first.
 */
struct scenario_group {
    const char *name;    /* unique */
    size_t first, count; /* clients first .. first + count - 1, count >= 1 */
    struct device device;
    bool has_network;            /* it has a network of its own */
    struct topology_spec access; /* its own, or the scenario's */
};

enum scenario_train {
    SCENARIO_LORA, /* "lora": train an adapter for every client */
    SCENARIO_FULL, /* "full": train every weight; no adapter */
    SCENARIO_NONE, /* "none": network, times and energy only; sizes come from the architecture */
};

struct scenario_model {
    const char *weights;  /* "builtin:tiny", or a Hugging Face folder (resolved); NULL: train none,
                             and the  architecture is costs_of's */
    const char *costs_of; /* architecture whose payload, seconds and memory are charged
                             ("flan-t5-small"), or NULL: the weights' own */
    struct t5_config costs; /* of costs_of; all 0 when costs_of is NULL */
    enum scenario_train train;
    struct lora_spec lora; /* also sizes the payload under "none" */
    float dropout;         /* of the model while training */
    const char *adapter;   /* PEFT folder to start from (resolved), or NULL: PEFT's initial values;
                              lora's rank, alpha and targets are then the folder's */
};

enum scenario_payload {
    SCENARIO_PAYLOAD_LORA,  /* "lora": 4 bytes per value of an adapter */
    SCENARIO_PAYLOAD_FULL,  /* "full": 4 bytes per parameter of the model, and of its adapter unless
                               model.train is full */
    SCENARIO_PAYLOAD_GIVEN, /* sizes stated by direction */
};

struct scenario_federation {
    uint32_t rounds;
    size_t clients_per_round; /* 1 .. clients */
    double deadline_s;   /* of a round, from its start: whoever is not back then is late and counts
                            for   nothing; INFINITY: none */
    double failure_rate; /* probability that a selected client fails while it trains, 0 .. 1 */
    int batch;           /* samples per local step and client, at most */
    struct split_dealing dealing; /* batch, and local_steps or local_epochs */
    struct train_hyper
        local; /* local_steps (0 with local_epochs), optimizer, lr (client_lr), ..., dropout = model.dropout */
    struct server_hyper server;
    enum scenario_payload payload;
    double payload_bytes[N_NET_DIRS]; /* SCENARIO_PAYLOAD_GIVEN; whole bytes, >= 1 */
};

struct scenario_compute {
    const char *backend;   /* that trains: "auto", or a name of models/backend.h */
    const char *precision; /* one that the backend has: "float32", "bf16" */
    bool is_profile; /* "profile": seconds come from each client's device */
    double fixed_s;  /* otherwise: every client's fine-tuning seconds in a round, >= 0 */
    enum device_reading reading;
    size_t chunk; /* clients of one training pass (a job); 0: a whole part of the cohort */
    int n_gpus; /* parts of a cohort, 1 .. CREW_MAX_PARTS */
    double memory_bytes; /* at most, of one training pass, weights aside; 0: no such limit */
};

struct scenario_evaluate {
    uint32_t every; /* after every that many rounds, and after the last; 0: never */
    size_t samples; /* the first of the held-out set */
    bool has_rouge; /* summaries too, not the loss alone */
    int max_new_tokens;
    struct t5_beams beams; /* n_beams >= 1; 1: greedy, the rest is not looked at */
    int batch; /* sequences per pass */
};

struct scenario_energy {
    struct perbit_set per_bit; /* as stated */
    const struct account *accounting;
    struct perbit_set charged; /* per_bit as the accounting charges it */
    double carbon_g_per_kwh;
};

struct scenario_output {
    const char *dir;        /* resolved; default: runs/NAME beside the file */
    uint32_t adapter_every; /* the adapter after every that many rounds too; 0: at the end only */
};

struct scenario {
    const char *path;  /* the file, as it was given */
    const char *name;  /* default: the file's name without folder and ".json" */
    const char *about; /* one line for people, "about"; may be empty */
    uint64_t seed;
    struct topology_root network; /* common part, and the access of groups without their own */
    size_t n_clients, n_groups;
    struct scenario_group *group; /* in client order */
    struct scenario_model model;
    struct data_spec data;   /* source and validation resolved; seed = the scenario's */
    struct split_spec split; /* n_clients and seed filled in */
    struct scenario_federation federation;
    struct scenario_compute compute;
    struct scenario_evaluate evaluate;
    struct scenario_energy energy;
    struct scenario_output output;
    struct grid sweep;      /* what `sweep` varies; a run of the scenario itself ignores it */
    struct arena arena;     /* owns what the pointers above point to */
};

/* Reads path with what it extends, then the n_sets assignments ("a.b=c") in their order. Relative
 * paths in a file are relative to that file, in an assignment to the current folder. */
enum err_code scenario_load(struct scenario **out, const char *path, size_t n_sets,
                            const char *const *sets, struct err *e);
/* The same from a text without `extends`; name stands for the file in messages. */
enum err_code scenario_read(struct scenario **out, const char *name, const char *text,
                            struct err *e);
void scenario_close(struct scenario *s); /* NULL is fine */

/* The group that a client belongs to, client < n_clients. O(log n_groups). */
const struct scenario_group *scenario_group_of(const struct scenario *s, size_t client);

/* Bytes sent to a client (NET_DOWN) and back (NET_UP) for an architecture: the payload as asked
 * for. config is model.costs, or the weights' own configuration when costs_of is NULL; is_tied: its head is
 * the embedding, which is sent once. */
double scenario_payload_bytes(const struct scenario *s, const struct t5_config *config, bool is_tied,
                              enum net_dir dir);

/* Writes the members of the resolved scenario into an object that is already open; read again as a
 * scenario they give the same one. with_output false leaves output.dir out, so that the same
 * scenario gives the same text whatever folder it is written to. */
void scenario_write(const struct scenario *s, struct json_out *o, bool with_output);
/* Only what training depends on, and whatever is written beside it: two scenarios of which this is the same
 * train the same, unless their networks let other clients arrive. */
void scenario_write_learning(const struct scenario *s, struct json_out *o);

#endif
