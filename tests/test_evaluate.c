/* Evaluation: against itself in other packings, and its scores against what they are defined to be.
 */
#include "models/backend.h"
#include "models/evaluate.h"
#include "models/rouge.h"
#include "sim/base/file.h"
#include "tests/test.h"

enum { N_SAMPLES = 24 };

struct fixture {
    struct t5 *model;
    struct tokens *tokens;
    struct dataset *train, *heldout;
};

static const struct lora_spec LORA = {.rank = 4, .alpha = 8.0f, .targets = LORA_Q | LORA_V};

static bool open_fixture(struct fixture *f)
{
    struct data_spec data = {.source = "builtin:dialogues",
                             .prefix = "summarize: ",
                             .max_input = 160,
                             .max_target = 64,
                             .seed = 3,
                             .n_train = 1,
                             .n_heldout = N_SAMPLES};
    struct err e = {0};
    *f = (struct fixture){0};
    if (t5_open(&f->model, backend_find("cpu"), "builtin:tiny", &e) ||
        tokens_open(&f->tokens, TEST_SOURCE "/models/tiny/spiece.model", &e) ||
        data_open(&f->train, &f->heldout, &data, &e) ||
        data_tokenise(f->heldout, f->tokens, &data, &e)) {
        TEST_FAIL("%s", e.text);
        return false;
    }
    return true;
}

static void close_fixture(struct fixture *f)
{
    t5_close(f->model);
    tokens_close(f->tokens);
    data_close(f->train);
    data_close(f->heldout);
}

static struct eval_result evaluate(const struct fixture *f, int batch, int n_threads,
                                   bool wants_rouge, const float *adapter, struct evaluator **keep)
{
    struct eval_spec spec = {
        .n_samples = 1000, .wants_rouge = wants_rouge, .max_new_tokens = 40, .batch = batch};
    struct evaluator *v = NULL;
    struct eval_result r = {0};
    struct err e = {0};
    if (evaluator_open(&v, f->model, &LORA, f->tokens, f->heldout, &spec, n_threads, &e) ||
        evaluator_run(v, adapter, &r, &e))
        TEST_FAIL("%s", e.text);
    if (keep)
        *keep = v;
    else
        evaluator_close(v);
    return r;
}

static void threads_and_repetition_change_no_bit(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct eval_result a = evaluate(&f, 8, 1, true, NULL, NULL);
    struct eval_result b = evaluate(&f, 8, 3, true, NULL, NULL);
    CHECK_TRUE(a.loss == b.loss && a.rouge1 == b.rouge1 && a.rougeLsum == b.rougeLsum);
    struct evaluator *v = NULL;
    struct eval_result c = evaluate(&f, 8, 1, true, NULL, &v), d;
    CHECK_INT(evaluator_run(v, NULL, &d, NULL), OK);
    CHECK_TRUE(a.loss == c.loss && c.loss == d.loss && c.rouge2 == d.rouge2);
    evaluator_close(v);
    close_fixture(&f);
}

static void the_loss_does_not_depend_on_how_samples_are_packed(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct eval_result one = evaluate(&f, 1, 1, false, NULL, NULL);
    struct eval_result seven = evaluate(&f, 7, 1, false, NULL, NULL);
    struct eval_result all = evaluate(&f, 64, 2, false, NULL, NULL);
    size_t n_tokens = 0;
    for (int i = 0; i < N_SAMPLES; i++)
        n_tokens += (size_t)f.heldout->sample[i].n_target;
    CHECK_INT(one.n_tokens, n_tokens);
    CHECK_REL(seven.loss, one.loss, 1e-5);
    CHECK_REL(all.loss, one.loss, 1e-5);
    CHECK_TRUE(!one.has_rouge && one.loss > 0.0);
    close_fixture(&f);
}

static void an_adapter_with_b_zero_is_no_adapter_and_another_one_is(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct lora_layout layout;
    lora_layout_init(&layout, t5_config_of(f.model), &LORA);
    float *adapter = malloc(layout.size * sizeof(float));
    lora_init(&layout, 1, adapter);
    struct eval_result none = evaluate(&f, 8, 1, false, NULL, NULL);
    struct eval_result zero = evaluate(&f, 8, 1, false, adapter, NULL);
    CHECK_REL(zero.loss, none.loss, 1e-6);
    for (size_t i = 0; i < layout.size; i++)
        adapter[i] = 0.05f;
    struct eval_result some = evaluate(&f, 8, 1, false, adapter, NULL);
    CHECK_TRUE(fabs(some.loss - none.loss) > 1e-3 * none.loss);
    free(adapter);
    lora_layout_fini(&layout);
    close_fixture(&f);
}

static void scores_are_means_over_samples_of_their_texts(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct evaluator *v = NULL;
    struct eval_result r = evaluate(&f, 8, 1, true, NULL, &v);
    double rouge1 = 0.0, recall = 0.0;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const struct sample *s = &f.heldout->sample[i];
        const char *text = evaluator_text(v, i);
        CHECK_TRUE(text && *text);
        if (!text)
            continue;
        struct rouge_scores scores;
        rouge_score(s->summary, text, true, &scores);
        rouge1 += 100.0 * scores.rouge1.f / N_SAMPLES;
        int n = 0;
        for (int k = 0; k < s->n_facts; k++)
            n += strstr(text, s->fact[k]) != NULL;
        recall += (double)n / s->n_facts / N_SAMPLES;
    }
    CHECK_TRUE(r.has_rouge && r.has_facts);
    CHECK_NEAR(r.rouge1, rouge1, 1e-12);
    /* as words, "at 1" is not in "at 11": strstr may count more, rarely */
    CHECK_TRUE(r.fact_recall <= recall + 1e-12 && r.fact_recall > recall - 0.05);
    CHECK_TRUE(!evaluator_text(v, N_SAMPLES));
    evaluator_close(v);
    close_fixture(&f);
}

/* Each slice gives what it gives alone, whichever was judged before, and may be the only one. */
static void held_out_and_test_samples_are_judged_apart(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct eval_result whole = evaluate(&f, 8, 1, true, NULL, NULL), r[3];
    struct dataset few = *f.heldout;
    few.n = 11;
    struct eval_spec spec = {.n_samples = N_SAMPLES,
                             .test = &few,
                             .wants_rouge = true,
                             .max_new_tokens = 40,
                             .batch = 8};
    struct evaluator *v = NULL;
    CHECK_INT(evaluator_open(&v, f.model, NULL, f.tokens, f.heldout, &spec, 1, NULL), OK);
    CHECK_INT(evaluator_test(v, NULL, &r[0], NULL), OK);
    CHECK_TRUE(evaluator_text(v, 10) && !evaluator_text(v, 11));
    CHECK_INT(evaluator_run(v, NULL, &r[1], NULL), OK);
    CHECK_TRUE(evaluator_text(v, 11) != NULL);
    evaluator_close(v);
    spec.n_samples = 0;
    CHECK_INT(evaluator_open(&v, f.model, NULL, f.tokens, f.heldout, &spec, 1, NULL), OK);
    CHECK_INT(evaluator_test(v, NULL, &r[2], NULL), OK);
    evaluator_close(v);
    CHECK_TRUE(r[1].loss == whole.loss && r[1].fact_recall == whole.fact_recall);
    CHECK_TRUE(r[0].n_tokens < whole.n_tokens && r[0].loss != whole.loss);
    CHECK_TRUE(r[0].loss == r[2].loss && r[0].rouge1 == r[2].rouge1);
    spec = (struct eval_spec){.n_samples = 11, .wants_rouge = true, .max_new_tokens = 40, .batch = 8};
    CHECK_INT(evaluator_open(&v, f.model, NULL, f.tokens, f.heldout, &spec, 1, NULL), OK);
    CHECK_INT(evaluator_run(v, NULL, &r[2], NULL), OK);
    evaluator_close(v);
    CHECK_TRUE(r[0].loss == r[2].loss && r[0].rouge1 == r[2].rouge1);
    close_fixture(&f);
}

static void nothing_to_evaluate_on_is_refused(void)
{
    struct fixture f;
    if (!open_fixture(&f))
        return;
    struct dataset none = {0};
    struct eval_spec spec = {.n_samples = 5, .batch = 4};
    struct evaluator *v = NULL;
    struct err e = {0};
    CHECK_INT(evaluator_open(&v, f.model, NULL, f.tokens, &none, &spec, 1, &e), ERR_INPUT);
    CHECK_TRUE(!v);
    close_fixture(&f);
}

/* Beams of one sequence see nothing of another's: passes of 1, 5 and 12 sequences, 1 and 3 threads.
 */
static void an_evaluation_that_is_stopped_ends(void)
{
    struct fixture f;
    struct err e = {0};
    struct evaluator *v;
    struct eval_result r = {.loss = 77};
    atomic_bool is_stopped = false;
    if (!open_fixture(&f))
        return;
    const struct eval_spec spec = {.n_samples = 4, .batch = 2, .is_stopped = &is_stopped};
    CHECK_INT(evaluator_open(&v, f.model, NULL, f.tokens, f.heldout, &spec, 1, NULL), OK);
    atomic_store(&is_stopped, true);
    CHECK_INT(evaluator_run(v, NULL, &r, &e), ERR_INTERRUPTED);
    CHECK_NEAR(r.loss, 77, 0);
    atomic_store(&is_stopped, false);
    CHECK_INT(evaluator_run(v, NULL, &r, &e), OK);
    evaluator_close(v);
    close_fixture(&f);
}

static void beams_find_the_same_texts_in_any_company(void)
{
    struct fixture f;
    struct err e = {0};
    const int batch[] = {12, 5, 1};
    char *first[12];
    if (!open_fixture(&f))
        return;
    size_t n_other = 0;
    for (int i = 0; i < 4; i++) {
        struct eval_spec spec = {.n_samples = 12,
                                 .wants_rouge = true,
                                 .max_new_tokens = 20,
                                 .batch = batch[i % 3],
                                 .beams = {i < 3 ? 4 : 1, 1, false}};
        struct evaluator *v = NULL;
        struct eval_result r;
        if (evaluator_open(&v, f.model, NULL, f.tokens, f.heldout, &spec, i ? 3 : 1, &e) ||
            evaluator_run(v, NULL, &r, &e))
            TEST_FAIL("%s", e.text);
        for (size_t k = 0; v && k < 12; k++) {
            if (i == 0)
                first[k] = strdup(evaluator_text(v, k));
            else if (i < 3)
                CHECK_STR(evaluator_text(v, k), first[k]);
            else
                n_other += strcmp(evaluator_text(v, k), first[k]) != 0;
        }
        evaluator_close(v);
    }
    CHECK_TRUE(n_other > 0); /* than greedy's */
    for (size_t k = 0; k < 12; k++)
        free(first[k]);
    close_fixture(&f);
}

int main(void)
{
    CASE(threads_and_repetition_change_no_bit);
    CASE(the_loss_does_not_depend_on_how_samples_are_packed);
    CASE(an_adapter_with_b_zero_is_no_adapter_and_another_one_is);
    CASE(scores_are_means_over_samples_of_their_texts);
    CASE(held_out_and_test_samples_are_judged_apart);
    CASE(nothing_to_evaluate_on_is_refused);
    CASE(an_evaluation_that_is_stopped_ends);
    CASE(beams_find_the_same_texts_in_any_company);
    return test_end();
}
