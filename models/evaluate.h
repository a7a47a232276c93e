/* models/evaluate.h: loss, summaries and ROUGE of one adapter over a fixed held-out slice, and over a
 * test slice that nothing else looks at. */
#ifndef MODELS_EVALUATE_H
#define MODELS_EVALUATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "models/data.h"
#include "models/lora.h"
#include "models/t5.h"
#include "models/tokens.h"
#include "sim/base/err.h"

struct eval_result {
    double loss;     /* mean over all target tokens, dropout off */
    size_t n_tokens; /* target tokens */
    bool has_rouge;
    double rouge1, rouge2, rougeL, rougeLsum; /* 100 * mean F1, stemmed, as Google's rouge_score */
    bool has_facts;     /* with texts, and every sample lists its facts (builtin:dialogues) */
    double fact_recall; /* mean over samples: share of the facts that the text holds word for word,
                           0 .. 1 */
};

struct eval_spec {
    size_t n_samples; /* the first n of the held-out set; 0: evaluator_test alone is asked */
    const struct dataset *test; /* all of it is judged by evaluator_test; NULL: there is none */
    bool wants_rouge;
    int max_new_tokens;    /* of a summary */
    struct t5_beams beams; /* how summaries are searched for; n_beams 0 or 1: greedy */
    int batch;             /* sequences per pass; cut so that memory stays bounded */
    const atomic_bool *is_stopped; /* may turn true at any time: ERR_INTERRUPTED before the next pass; NULL: never */
    bool is_full; /* what is judged is a flat vector of all weights, not an adapter; lora NULL */
};

struct evaluator;

/* The model, tokens and data are shared and only read; with is_full the evaluator has a copy. */
enum err_code evaluator_open(struct evaluator **out, const struct t5 *model,
                             const struct lora_spec *lora, const struct tokens *tokens,
                             const struct dataset *heldout, const struct eval_spec *spec,
                             int n_threads, struct err *e);
void evaluator_close(struct evaluator *v);
/* Backend memory that it holds: its pass, an adapter, with is_full a copy of the weights. NULL: 0. */
size_t evaluator_bytes(const struct evaluator *v);

/* One evaluation at a time per evaluator; call it from any thread. adapter [lora_size], or with
 * is_full [t5_n_flat], host; NULL: none, the model as it was opened (not with is_full). */
enum err_code evaluator_run(struct evaluator *v, const float *adapter, struct eval_result *out,
                            struct err *e);
/* The same over spec.test. */
enum err_code evaluator_test(struct evaluator *v, const float *adapter, struct eval_result *out,
                             struct err *e);

/* Texts of the last call with ROUGE, sample i of its slice; NULL without, and past its end. */
const char *evaluator_text(const struct evaluator *v, size_t i);

#endif
