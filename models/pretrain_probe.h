/* models/pretrain_probe.h: can LoRA teach a base model the reference style at all? All data in one
 * place, AdamW, no network: the upper bound of every federated run with the same adapter. */
#ifndef MODELS_PRETRAIN_PROBE_H
#define MODELS_PRETRAIN_PROBE_H

#include <stdint.h>

#include "models/evaluate.h"
#include "models/lora.h"
#include "sim/base/err.h"

struct probe_spec {
    const char *weights; /* a folder or "builtin:tiny" */
    struct lora_spec lora;
    int n_steps, batch, n_warmup; /* linear warm-up, then a linear fall to 0 */
    float lr;
    int n_train, n_heldout; /* dialogues of builtin:dialogues */
    int eval_every;         /* steps; also before the first and after the last */
    uint64_t seed;
    int n_threads;
    /* after every evaluation: step 0 is zero-shot, train_loss the mean since the last one */
    void (*report)(void *to, int step, double train_loss, const struct eval_result *r);
    void *to;
    int n_texts; /* samples shown before and after: dialogue, reference, text */
    void (*show)(void *to, int step, const struct sample *s, const char *text);
};

/* Rank 16, alpha 32, dropout 0.05 on q and v; 1000 steps of 16, lr 3e-3; 4000 dialogues, 200 held
 * out. */
struct probe_spec probe_defaults(void);
enum err_code probe_run(const struct probe_spec *s, struct err *e);

#endif
