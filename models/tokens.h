/* models/tokens.h: text to token ids and back, by a SentencePiece model (spm_tokens.cpp).
 *
 * Ids hold no end mark; the caller appends TOKEN_EOS. T5's conventions: pad 0, </s> 1, <unk> 2; the
 * sentinels <extra_id_0> .. <extra_id_n-1> are not in the file and take the last rows of the
 * model's table, counted down. Thread safe once open. No exception escapes. */
#ifndef MODELS_TOKENS_H
#define MODELS_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"

enum { TOKEN_PAD = 0, TOKEN_EOS = 1, TOKEN_UNK = 2 };

struct tokens;

/* path: a spiece.model. A broken file is ERR_INPUT with the path. */
enum err_code tokens_open(struct tokens **out, const char *path, struct err *e);
void tokens_close(struct tokens *t);
/* Pieces in the file (32000 for T5), without sentinels. */
int tokens_count(const struct tokens *t);

/* Ids of UTF-8 text, in the arena. */
enum err_code tokens_encode(const struct tokens *t, const char *text, struct arena *arena,
                            int32_t **ids, size_t *n, struct err *e);
/* Text of ids, in the arena; ids outside the file's pieces, pad and </s> are left out. */
char *tokens_decode(const struct tokens *t, const int32_t *ids, size_t n, struct arena *arena);

#endif
