/* models/peft.h: one adapter as a folder of Hugging Face PEFT, in and out.
 *
 * The folder holds adapter_config.json and adapter_model.safetensors (float32), as PEFT 0.18 writes
 * and reads them, so that a trained adapter works in Python and one from Python works here. */
#ifndef MODELS_PEFT_H
#define MODELS_PEFT_H

#include "models/lora.h"
#include "models/t5_config.h"
#include "sim/base/err.h"

/* Makes the folder if it is not there. base_model: name or path of the base model, or "".
 * adapter [lora_size], host. */
enum err_code peft_save(const char *folder, const struct t5_config *c, const struct lora_spec *s,
                        const char *base_model, const float *adapter, struct err *e);

/* Writes README.md, the model card of such a folder: what Hugging Face's hub shows of it, and how
 * to load it. about: sentences for people, without a line end at the end. */
enum err_code peft_save_card(const char *folder, const char *base_model, const char *about,
                             struct err *e);

/* The spec of a folder's adapter. What we do not do (DoRA, rank patterns, biases, a regular
 * expression as target_modules) is refused by key. */
enum err_code peft_load_spec(const char *folder, struct lora_spec *out, struct err *e);
/* Its values, which must fit the layout of (c, s); the message of one that does not says for which
 * base it was made. adapter [lora_size], host, written. */
enum err_code peft_load(const char *folder, const struct t5_config *c, const struct lora_spec *s,
                        float *adapter, struct err *e);

#endif
