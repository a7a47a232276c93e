/* spiece.model. The option chooses a text to encode. Oracle: ids are pieces of the model, and text
 * comes back. */
#include "models/tokens.h"
#include "tests/fuzz.h"

static const char *const texts[] = {
    "",
    "summarize: Ruth: can we meet at 5? Howard: I can't :(",
    "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80",
    "\xff\xfe not utf-8 \xc3",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    " \t\r\n ",
    "\xe2\x96\x81\xe2\x96\x81 <unk> </s> <pad>",
    "\xef\xbc\xa1\xef\xac\x81\xe3\x8e\x8f\xe2\x91\xa0"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokens *t = NULL;
    struct arena a = {0};
    struct err e = {0};
    int32_t *ids;
    size_t n;
    if (size == 0)
        return 0;
    enum err_code code = tokens_open(&t, fuzz_write("spiece.model", data + 1, size - 1), &e);
    if (code) {
        fuzz_refused(code, &e, "spiece.model");
        return 0;
    }
    FUZZ_CHECK(tokens_count(t) > TOKEN_UNK);
    code = tokens_encode(t, texts[data[0] % 8], &a, &ids, &n, &e);
    FUZZ_CHECK(code == OK || (code == ERR_INTERNAL && e.text[0]));
    for (size_t i = 0; !code && i < n; i++)
        FUZZ_CHECK(ids[i] >= 0 && ids[i] < tokens_count(t));
    if (!code)
        FUZZ_CHECK(tokens_decode(t, ids, n, &a) != NULL);
    tokens_close(t);
    arena_free(&a);
    return 0;
}
