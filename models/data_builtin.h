/* models/data_builtin.h: builtin:dialogues as a dataset (private to data*.c). */
#ifndef MODELS_DATA_BUILTIN_H
#define MODELS_DATA_BUILTIN_H

#include "models/data.h"

/* n dialogues of owner part (0 train, 1 held out, 2 test); sample i depends on (seed, part, i) alone. */
struct dataset *data_builtin_open(uint64_t seed, uint32_t part, size_t n);

#endif
