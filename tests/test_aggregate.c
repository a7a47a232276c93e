#include <stdio.h>
#include <string.h>

#include "sim/aggregate.h"
#include "sim/base/json.h"
#include "sim/server_opt.h"
#include "tests/test.h"

static void equal_weights_give_the_plain_mean(void)
{
    const double a[] = {1, -2}, b[] = {3, 4}, c[] = {5, 1}, *all[] = {a, b, c};
    double mean[2];
    aggregate_mean(AGGREGATE_EQUAL, 3, all, NULL, 2, mean);
    CHECK_NEAR(mean[0], 3, 0);
    CHECK_NEAR(mean[1], 1, 0);
}

static void sample_weights_count_each_sample_once(void)
{
    const float a[] = {1, 8}, b[] = {5, 0}, *all[] = {a, b};
    const double samples[] = {3, 1};
    double mean[2];
    aggregate_mean_f32(AGGREGATE_SAMPLES, 2, all, samples, 2, mean);
    CHECK_NEAR(mean[0], 2, 0);
    CHECK_NEAR(mean[1], 6, 0);
}

static void agreeing_clients_give_their_value_to_the_bit(void)
{
    enum { N = 1300 }; /* more than two blocks */
    float a[N];
    const float *all[] = {a, a, a, a, a, a, a};
    const double samples[] = {279, 18, 82, 163, 7, 11, 13};
    double mean[N];
    for (int j = 0; j < N; j++)
        a[j] = (float)sin(j) * 1e-3f;
    aggregate_mean_f32(AGGREGATE_SAMPLES, 7, all, samples, N, mean);
    for (int j = 0; j < N; j++)
        if (mean[j] != (double)a[j])
            TEST_FAIL("element %d: %.17g is not %.17g", j, mean[j], (double)a[j]);
}

static void a_round_without_results_changes_nothing(void)
{
    for (size_t i = 0; i < server_opt_count(); i++) {
        struct server_hyper h = server_opt_defaults(server_opt_at(i));
        struct server_state s;
        const double x0[] = {0.5, -0.25}, a[] = {0.375, 1}, *all[] = {a}, samples[] = {4};
        server_state_init(&s, &h, 2, x0);
        server_opt_round(&h, &s, 1, all, samples);
        double x = s.x[0], m = s.m ? s.m[0] : 0, v = s.v ? s.v[0] : 0;
        CHECK_TRUE(x != x0[0]);
        server_opt_round(&h, &s, 0, NULL, NULL);
        server_opt_round_f32(&h, &s, 0, NULL, NULL);
        CHECK_INT(s.t, 1);
        CHECK_TRUE(s.x[0] == x && (!s.m || s.m[0] == m) && (!s.v || s.v[0] == v));
        server_state_fini(&s);
    }
}

static void clients_that_return_what_they_got_move_nothing_in_float32(void)
{
    struct server_hyper h = server_opt_defaults(server_opt_find("fedadam"));
    struct server_state s;
    const double x0[] = {1.0 / 3, -1e-3 / 7}; /* no float32 numbers */
    const double samples[] = {3, 5};
    float sent[2];
    const float *all[] = {sent, sent};
    server_state_init(&s, &h, 2, x0);
    server_state_get_f32(&s, sent);
    server_opt_round_f32(&h, &s, 2, all, samples);
    CHECK_TRUE(s.x[0] == x0[0] && s.x[1] == x0[1]);
    server_state_fini(&s);
}

static enum err_code parse(const char *text, struct server_hyper *h, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "s.json", text, strlen(text), e);
    if (!code)
        code = server_opt_parse(json_root(doc), "server", h, e);
    json_close(doc);
    return code;
}

static void absent_numbers_take_the_defaults_of_their_optimizer(void)
{
    struct server_hyper h;
    struct err e;
    CHECK_INT(parse("{}", &h, &e), OK);
    CHECK_STR(server_opt_name(h.opt), "fedadamw");
    CHECK_NEAR(h.weight_decay, 1e-3, 0);
    CHECK_INT(parse("{\"server\": {\"optimizer\": \"fedyogi\", \"tau\": 0.01}}", &h, &e), OK);
    CHECK_NEAR(h.v_init, 1e-4, 1e-15);
    CHECK_INT(h.weights, AGGREGATE_EQUAL);
    CHECK_INT(parse("{\"server\": {\"optimizer\": \"fedadam-flower13\"}}", &h, &e), OK);
    CHECK_NEAR(h.epsilon, 1e-9, 0);
    CHECK_TRUE(h.v_init == 0);
    CHECK_INT(h.weights, AGGREGATE_SAMPLES);
}

static void mistakes_in_the_optimizer_are_named(void)
{
    struct server_hyper h;
    struct err e;
    CHECK_INT(parse("{\"server\": {\"optimizer\": \"fedadm\"}}", &h, &e), ERR_INPUT);
    CHECK_HAS(e.text, "server.optimizer");
    CHECK_HAS(e.text, "fedadam");
    CHECK_INT(parse("{\"server\": {\"optimizer\": \"fedavg\", \"lr\": 1}}", &h, &e), ERR_INPUT);
    CHECK_HAS(e.text, "server.lr: optimizer \"fedavg\" has no such number");
    CHECK_INT(parse("{\"server\": {\"bata1\": 0.9}}", &h, &e), ERR_INPUT);
    CHECK_HAS(e.text, "beta1");
    CHECK_INT(parse("{\"server\": {\"beta1\": 1}}", &h, &e), ERR_INPUT);
    CHECK_INT(parse("{\"server\": {\"lr\": 0}}", &h, &e), ERR_INPUT);
    CHECK_HAS(e.text, "server.lr");
    CHECK_INT(parse("{\"server\": {\"weights\": \"sizes\"}}", &h, &e), ERR_INPUT);
}

static bool is_same(const struct server_hyper *a, const struct server_hyper *b)
{
    return a->opt == b->opt && a->weights == b->weights && a->lr == b->lr &&
           a->momentum == b->momentum && a->beta1 == b->beta1 && a->beta2 == b->beta2 &&
           a->epsilon == b->epsilon && a->weight_decay == b->weight_decay && a->v_init == b->v_init;
}

static void what_is_written_reads_back_the_same(void)
{
    for (size_t i = 0; i < server_opt_count(); i++) {
        struct server_hyper h = server_opt_defaults(server_opt_at(i)), back;
        struct json_out o;
        struct err e;
        if (h.lr != 0)
            h.lr = 1.0 / 3;
        json_out_init(&o);
        json_out_begin(&o, NULL, '{');
        server_opt_write(&o, "server", &h);
        json_out_end(&o, '}');
        enum err_code code = parse(o.text, &back, &e);
        CHECK_INT(code, OK);
        if (code)
            TEST_FAIL("%s", e.text);
        else
            CHECK_TRUE(is_same(&h, &back));
        json_out_fini(&o);
    }
}

int main(void)
{
    CASE(equal_weights_give_the_plain_mean);
    CASE(sample_weights_count_each_sample_once);
    CASE(agreeing_clients_give_their_value_to_the_bit);
    CASE(a_round_without_results_changes_nothing);
    CASE(clients_that_return_what_they_got_move_nothing_in_float32);
    CASE(absent_numbers_take_the_defaults_of_their_optimizer);
    CASE(mistakes_in_the_optimizer_are_named);
    CASE(what_is_written_reads_back_the_same);
    return test_end();
}
