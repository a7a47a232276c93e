/* models/trainer.h: local training of a whole cohort: adapters in one pass, full weights one after
 * another.
 *
 * A training job is a pure function: (frozen weights, adapter in, samples, hyper-parameters, seed)
 * -> (adapters out, losses). All members share the frozen weights, so a step packs the tokens of
 * all members' mini-batches end to end and makes one product per frozen matrix for the whole
 * cohort, beside small products for each member's own adapter. What a member gets does not depend
 * on who shares its pass (1e-5 relative, tested) nor on the number of threads (to the bit, tested).
 *
 * Full fine-tuning trains every weight: members come one after another, each in the trainer's own
 * copy of the model, so memory holds one set of weights, gradients and optimizer slots whatever the
 * size of the cohort. "Adapter" below then means the flat vector of all weights (t5_n_flat values,
 * models/t5.h). */
#ifndef MODELS_TRAINER_H
#define MODELS_TRAINER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "models/data.h"
#include "models/lora.h"
#include "models/t5.h"
#include "sim/base/err.h"

enum local_optimizer { LOCAL_SGD, LOCAL_ADAMW };

struct train_hyper {
    int local_steps;
    enum local_optimizer optimizer;
    float lr;
    float momentum;                            /* SGD; 0: plain */
    float beta1, beta2, epsilon, weight_decay; /* AdamW; its state starts at 0 in every job */
    float prox_mu; /* FedProx (Li et al. 2020, eq. 2): gradient += prox_mu (x - adapter_in), before
                      clipping; 0: none */
    float max_grad_norm; /* per member; 0: no clipping */
    float dropout;       /* of the model, 0 .. <1 */
};

/* One member's part of a job: for each local step its mini-batch. */
struct train_member {
    uint32_t client;                    /* owner of its random draws */
    const struct sample *const *sample; /* all steps' samples, one after the other */
    const int *n_per_step; /* [local_steps], the first >= 1; from the first 0 on the member rests:
                              its adapter and optimizer slots stay as they are */
};

struct train_job {
    int n_members;
    const struct train_member *member;
    struct train_hyper hyper;
    uint64_t seed;           /* dropout masks: differs from round to round */
    const float *adapter_in; /* [trainer_size], host; out of the backend's host_alloc it is handed over faster */
    float *adapter_out;      /* [n_members * trainer_size], host, written */
    double *loss; /* [n_members]: mean over its local steps of the mean loss per target token */
    const atomic_bool *is_stopped; /* may turn true at any time: ERR_INTERRUPTED before the next step; NULL: never */
};

/* Planned from the largest job that will come, so that memory is allocated once per run. */
struct train_limits {
    int max_members;
    int max_batch;             /* sequences per member and step */
    int max_input, max_target; /* tokens of the longest sample */
    size_t max_input_rows,
        max_target_rows; /* tokens of the largest step; 0: the product of the above */
};

/* What a pass on the CPU may take when nobody says otherwise: a larger one is not faster. */
#define TRAINER_CPU_BYTES (1.5 * 0x1p30)

struct trainer;

/* Backend memory that a trainer of these limits and its jobs would take, the model's weights aside; 0: more
 * than can be counted. */
size_t trainer_plan(const struct t5 *model, const struct lora_spec *lora,
                    const struct train_limits *limits, const struct train_hyper *hyper, int n_threads);
/* Whether a pass is small enough when nobody says how much it may take: on the CPU TRAINER_CPU_BYTES, planned for one
 * thread, so that neither the machine nor its threads cut a cohort, or one client's, whatever that takes; elsewhere
 * always. */
bool trainer_is_small(const struct t5 *model, const struct lora_spec *lora, const struct train_limits *limits,
                      const struct train_hyper *hyper);

/* The model is shared and only read. n_threads work inside a pass. lora NULL: full fine-tuning,
 * where limits' max_members and rows count for the jobs, and a pass is planned for one member.
 * Refuses with ERR_MEMORY and the size needed. */
enum err_code trainer_open(struct trainer **out, const struct t5 *model,
                           const struct lora_spec *lora, const struct train_limits *limits,
                           int n_threads, struct err *e);
void trainer_close(struct trainer *t);         /* NULL is fine */
size_t trainer_bytes(const struct trainer *t); /* memory planned for one pass, the backend's scratch included */
size_t trainer_size(const struct trainer *t);  /* values of one adapter */

/* Where it computes, for whoever watches that. */
struct backend *trainer_backend(const struct trainer *t);

/* Who is told about the parts of every step from now on, see models/t5.h; NULL: nobody. marks outlives its
 * use. */
void trainer_mark(struct trainer *t, const struct t5_marks *marks);

/* Runs the job. One job at a time per trainer; call it from any thread. */
enum err_code trainer_run(struct trainer *t, const struct train_job *job, struct err *e);

#endif
