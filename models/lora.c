#include "models/lora.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

static const char *const target_names[N_LORA_TARGETS + 1] = {"q",    "k",    "v",  "o",
                                                             "wi_0", "wi_1", "wo", NULL};

const char *const *lora_target_names(void)
{
    return target_names;
}

enum err_code lora_check(const struct lora_spec *s, struct err *e)
{
    if (s->rank < 1 || s->rank > LORA_MAX_RANK)
        return err_set(e, ERR_INPUT, "rank: expected 1..%d, got %d", LORA_MAX_RANK, s->rank);
    if (!(s->alpha > 0 && s->alpha <= 65536))
        return err_set(e, ERR_INPUT, "alpha: expected more than 0, at most 65536, got %g",
                       (double)s->alpha);
    if (!(s->dropout >= 0 && s->dropout < 1))
        return err_set(e, ERR_INPUT, "dropout: expected 0 to less than 1, got %g",
                       (double)s->dropout);
    if (s->targets == 0 || s->targets >> N_LORA_TARGETS)
        return err_set(e, ERR_INPUT, "targets: expected some of q k v o wi_0 wi_1 wo, got none");
    return OK;
}

/* Which target's name a matrix goes by. */
static int target_of(enum lora_matrix m)
{
    if (m <= LORA_AT_O)
        return (int)m;
    if (m <= LORA_AT_CO)
        return (int)m - LORA_AT_CQ;
    return (int)m - LORA_AT_WI_0 + 4;
}

static void shape_of(const struct t5_config *c, enum lora_matrix m, int *d_in, int *d_out)
{
    bool is_feed = m >= LORA_AT_WI_0;
    int inside = is_feed ? c->d_ff : t5_inner(c);
    bool is_out = m == LORA_AT_O || m == LORA_AT_CO || m == LORA_AT_WO;
    *d_in = is_out ? inside : c->d_model;
    *d_out = is_out ? c->d_model : inside;
}

static bool is_site(const struct t5_config *c, const struct lora_spec *s, int layer,
                    enum lora_matrix m)
{
    if (layer < c->n_enc && m >= LORA_AT_CQ && m <= LORA_AT_CO)
        return false;
    return s->targets >> target_of(m) & 1u;
}

size_t lora_size(const struct t5_config *c, const struct lora_spec *s)
{
    size_t n = 0;
    for (int layer = 0; layer < c->n_enc + c->n_dec; layer++) {
        for (int m = 0; m < N_LORA_MATRICES; m++) {
            int d_in, d_out;
            shape_of(c, (enum lora_matrix)m, &d_in, &d_out);
            if (is_site(c, s, layer, (enum lora_matrix)m))
                n += (size_t)s->rank * (size_t)(d_in + d_out);
        }
    }
    return n;
}

void lora_layout_init(struct lora_layout *l, const struct t5_config *c, const struct lora_spec *s)
{
    size_t cap_site = 0, cap_layer = 0;
    *l = (struct lora_layout){.spec = *s, .n_layers = c->n_enc + c->n_dec};
    mem_grow((void **)&l->site_of, &cap_layer, (size_t)l->n_layers, sizeof(*l->site_of));
    for (int layer = 0; layer < l->n_layers; layer++) {
        for (int m = 0; m < N_LORA_MATRICES; m++) {
            l->site_of[layer][m] = -1;
            if (!is_site(c, s, layer, (enum lora_matrix)m))
                continue;
            struct lora_site site = {.layer = layer, .matrix = (enum lora_matrix)m};
            shape_of(c, site.matrix, &site.d_in, &site.d_out);
            site.a = l->size;
            site.b = site.a + (size_t)s->rank * (size_t)site.d_in;
            l->size = site.b + (size_t)s->rank * (size_t)site.d_out;
            mem_grow((void **)&l->site, &cap_site, (size_t)l->n_sites + 1, sizeof(*l->site));
            l->site_of[layer][m] = l->n_sites;
            l->site[l->n_sites++] = site;
        }
    }
    CHECK(l->size == lora_size(c, s));
}

void lora_layout_fini(struct lora_layout *l)
{
    if (!l)
        return;
    mem_free(l->site);
    mem_free(l->site_of);
    *l = (struct lora_layout){0};
}

void lora_init(const struct lora_layout *l, uint64_t seed, float *adapter)
{
    memset(adapter, 0, l->size * sizeof(float));
    for (int i = 0; i < l->n_sites; i++) {
        const struct lora_site *s = &l->site[i];
        double bound = 1 / sqrt((double)s->d_in);
        for (size_t j = 0; j < s->b - s->a; j++) {
            double u = rng_uniform(seed, RNG_INIT_LORA, (uint32_t)i, j);
            adapter[s->a + j] = (float)(bound * (2 * u - 1));
        }
    }
}

void lora_site_name(const struct lora_layout *l, const struct t5_config *c, int site, char which,
                    char *out, size_t n)
{
    static const char *const blocks[] = {"SelfAttention", "EncDecAttention", "DenseReluDense"};
    const struct lora_site *s = &l->site[site];
    bool is_decoder = s->layer >= c->n_enc;
    int block = s->matrix >= LORA_AT_WI_0 ? 2 : s->matrix >= LORA_AT_CQ ? 1 : 0;
    int sublayer = is_decoder || block == 0 ? block : 1;
    snprintf(out, n, "base_model.model.%s.block.%d.layer.%d.%s.%s.lora_%c.weight",
             is_decoder ? "decoder" : "encoder", is_decoder ? s->layer - c->n_enc : s->layer,
             sublayer, blocks[block], target_names[target_of(s->matrix)], which);
}
