#include "models/cost.h"
#include "models/t5_config.h"
#include "tests/test.h"

static struct cost_shape shape_of(const char *name)
{
    struct t5_config c;
    struct err e;
    if (t5_config_named(&c, name, &e))
        TEST_FAIL("%s", e.text);
    return (struct cost_shape){c.d_model, c.d_kv,  c.d_ff, c.n_heads, c.n_enc,
                               c.n_dec,   c.vocab, 16,     2};
}

static void parameters_are_those_of_the_published_models(void)
{
    static const struct {
        const char *name;
        double base, lora;
    } want[] = {{"flan-t5-small", 76961152, 688128},
                {"flan-t5-base", 247577856, 1769472},
                {"flan-t5-large", 783150080, 4718592},
                {"flan-t5-xl", 2849757184, 9437184}};
    for (int i = 0; i < 4; i++) {
        struct cost_shape s = shape_of(want[i].name);
        CHECK_NEAR(cost_parameters(&s), want[i].base, 0);
        CHECK_NEAR(cost_lora_parameters(&s), want[i].lora, 0);
    }
}

/* d_model 2, d_kv 1, d_ff 3, 2 heads, 1 + 1 layers, vocabulary 5; 2 input tokens, 1 target token.
 */
static const struct cost_shape small = {2, 1, 3, 2, 1, 1, 5, 0, 2};
static const struct cost_batch one = {1, 2, 1};

static void forward_flop_add_up_by_hand(void)
{
    /* encoder: q k v o, scores and sums, gate, up and down */
    double encoder = 4 * (2 * 2 * 2 * 2) + 4 * 2 * 2 * 2 + 3 * (2 * 2 * 2 * 3);
    double decoder_self = 4 * (2 * 1 * 2 * 2) + 4 * 1 * 1 * 2;
    double cross = 2 * (2 * 1 * 2 * 2) + 2 * (2 * 2 * 2 * 2) + 4 * 1 * 2 * 2;
    double rest = 3 * (2 * 1 * 2 * 3) + 2 * 1 * 2 * 5; /* decoder's feed-forward, head */
    struct cost c = cost_step(&small, &one, true);
    CHECK_NEAR(c.forward_flop, encoder + decoder_self + cross + rest, 0);
    CHECK_NEAR(c.forward_flop, 328, 0);
}

static void full_training_takes_twice_the_forward_flop_on_the_way_back(void)
{
    struct cost c = cost_step(&small, &one, true);
    CHECK_NEAR(c.backward_flop, 2 * c.forward_flop, 0);
    CHECK_NEAR(c.flop, 3 * c.forward_flop, 0);
}

static void frozen_weights_need_only_the_inputs_gradient(void)
{
    /* attention's own products twice; other products once, but not the first q, k, v of both stacks
     */
    double scores = 32 + 8 + 16, first_qkv = 3 * 16 + 3 * 8;
    struct cost c = cost_step(&small, &one, false);
    CHECK_NEAR(c.backward_flop, 2 * scores + (328 - scores) - first_qkv, 0);
}

static void adapters_add_their_own_products(void)
{
    struct cost_shape with = small;
    with.lora_rank = 4;
    struct cost a = cost_step(&with, &one, false), b = cost_step(&small, &one, false);
    /* rows of q and v: encoder 2 + 2, decoder 1 + 1, cross 1 + 2; down and up */
    double product = 2.0 * (4 + 2 + 3) * (2 * 4 + 4 * 2);
    CHECK_NEAR(a.forward_flop - b.forward_flop, product, 0);
    /* back: twice, without the input's gradient of A at the bottom of both stacks */
    CHECK_NEAR(a.backward_flop - b.backward_flop, 2 * product - 2.0 * (4 + 2) * (2 * 4), 0);
}

static void cost_grows_in_proportion_to_the_mini_batch(void)
{
    struct cost_shape s = shape_of("flan-t5-small");
    struct cost_batch b1 = {1, 512, 95}, b8 = {8, 512, 95};
    struct cost a = cost_step(&s, &b1, false), b = cost_step(&s, &b8, false);
    CHECK_REL(b.flop, 8 * a.flop, 1e-12);
    CHECK_TRUE(b.bytes < 8 * a.bytes && b.bytes > 6 * a.bytes); /* the weights are read once */
    CHECK_TRUE(b.memory_bytes < 8 * a.memory_bytes);
}

static void flop_are_near_two_per_weight_and_token(void)
{
    struct cost_shape s = shape_of("flan-t5-large");
    struct cost_batch b = {4, 512, 95};
    double inner = 1024, per_ff = 3.0 * 1024 * 2816;
    double encoder = 24 * (4 * 1024 * inner + per_ff), decoder = 24 * (6 * 1024 * inner + per_ff);
    double cross_kv = 24 * 2 * 1024 * inner, head = 1024.0 * 32128;
    double floor_flop = 2 * 4 * (512 * (encoder + cross_kv) + 95 * (decoder + head));
    double got = cost_step(&s, &b, true).forward_flop;
    CHECK_TRUE(got > floor_flop && got < 1.1 * floor_flop); /* the rest is attention */
}

static void memory_tells_most_of_the_studys_runs_apart(void)
{
    struct cost_shape base = shape_of("flan-t5-base"), small_t5 = shape_of("flan-t5-small");
    struct cost_batch b128 = {128, 512, 95}, b32 = {32, 512, 95}, b64 = {64, 512, 95};
    CHECK_TRUE(cost_step(&small_t5, &b128, false).memory_bytes < 64e9);
    CHECK_TRUE(cost_step(&base, &b32, false).memory_bytes < 64e9);
    CHECK_TRUE(cost_step(&base, &b64, false).memory_bytes > 64e9);
}

/* Sequences of one length: the same as the step's, which counts masked places too. */
static void packed_flop_of_equal_lengths_are_those_of_the_step(void)
{
    struct cost_shape s = shape_of("flan-t5-base");
    s.lora_rank = 0;
    struct cost_batch b = {.sequences = 6, .input_tokens = 50, .target_tokens = 20};
    struct cost_lengths l = {6 * 50, 6 * 20, 6 * 2500, 6 * 400, 6 * 1000};
    double masked = 12 * s.n_heads * s.d_kv * s.n_decoder * 6 * (20 * 19 / 2);
    CHECK_REL(cost_packed_flop(&s, &l), cost_step(&s, &b, false).flop - masked, 1e-12);
}

int main(void)
{
    CASE(parameters_are_those_of_the_published_models);
    CASE(forward_flop_add_up_by_hand);
    CASE(full_training_takes_twice_the_forward_flop_on_the_way_back);
    CASE(frozen_weights_need_only_the_inputs_gradient);
    CASE(adapters_add_their_own_products);
    CASE(cost_grows_in_proportion_to_the_mini_batch);
    CASE(flop_are_near_two_per_weight_and_token);
    CASE(memory_tells_most_of_the_studys_runs_apart);
    CASE(packed_flop_of_equal_lengths_are_those_of_the_step);
    return test_end();
}
