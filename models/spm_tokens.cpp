#include <sentencepiece_processor.h>

#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "models/spm_check.h"
#include "models/tokens.h"
#include "sim/base/file.h"
}

struct tokens {
    sentencepiece::SentencePieceProcessor spm;
    int n_pieces = 0;
};

namespace
{

/* The library words its errors in its own way ("src/x.cc(92) [expr] text"); one line of it is
 * enough. */
std::string one_line(const char *text)
{
    std::string s = text ? text : "";
    for (char &c : s)
        if (static_cast<unsigned char>(c) < 0x20)
            c = ' ';
    return s.substr(0, 200);
}

enum err_code load(struct tokens *t, const struct file *f, struct err *e)
{
    const char *bytes = reinterpret_cast<const char *>(f->bytes);
    const auto status = t->spm.LoadFromSerializedProto(absl::string_view(bytes, f->n_bytes));
    if (!status.ok())
        return err_set(e, ERR_INPUT,
                       "expected a sentencepiece model, got %zu bytes that are none (%s)",
                       f->n_bytes, one_line(status.error_message()).c_str());
    if (t->spm.pad_id() != TOKEN_PAD || t->spm.eos_id() != TOKEN_EOS ||
        t->spm.unk_id() != TOKEN_UNK)
        return err_set(e, ERR_INPUT,
                       "expected <pad> 0, </s> 1 and <unk> 2 as in T5, got %d, %d and %d",
                       t->spm.pad_id(), t->spm.eos_id(), t->spm.unk_id());
    t->n_pieces = t->spm.GetPieceSize();
    return OK;
}

} // namespace

extern "C" enum err_code tokens_open(struct tokens **out, const char *path, struct err *e)
{
    struct file f = {};
    enum err_code code = file_map(&f, path, e);
    if (code)
        return code; /* the message has the path */
    try {
        auto t = std::make_unique<struct tokens>();
        code = spm_check(f.bytes, f.n_bytes, e);
        if (!code)
            code = load(t.get(), &f, e);
        if (!code)
            *out = t.release();
    } catch (const std::exception &x) {
        code = err_set(e, ERR_INPUT, "expected a sentencepiece model (%s)",
                       one_line(x.what()).c_str());
    } catch (...) {
        code = err_set(e, ERR_INPUT, "expected a sentencepiece model");
    }
    file_unmap(&f);
    return code ? err_in(e, code, "%s", path) : OK;
}

extern "C" void tokens_close(struct tokens *t)
{
    delete t;
}

extern "C" int tokens_count(const struct tokens *t)
{
    return t->n_pieces;
}

extern "C" enum err_code tokens_encode(const struct tokens *t, const char *text,
                                       struct arena *arena, int32_t **ids, size_t *n, struct err *e)
{
    try {
        std::vector<int> found;
        const auto status = t->spm.Encode(text, &found);
        if (!status.ok())
            return err_set(e, ERR_INTERNAL, "sentencepiece: %s",
                           one_line(status.error_message()).c_str());
        auto *to = static_cast<int32_t *>(arena_alloc(arena, found.size(), sizeof(int32_t)));
        for (size_t i = 0; i < found.size(); i++)
            to[i] = found[i];
        *ids = to;
        *n = found.size();
        return OK;
    } catch (const std::exception &x) {
        return err_set(e, ERR_INTERNAL, "sentencepiece: %s", one_line(x.what()).c_str());
    } catch (...) {
        return err_set(e, ERR_INTERNAL, "sentencepiece failed");
    }
}

extern "C" char *tokens_decode(const struct tokens *t, const int32_t *ids, size_t n,
                               struct arena *arena)
{
    std::string text;
    try {
        std::vector<int> known;
        for (size_t i = 0; i < n; i++)
            if (ids[i] > TOKEN_EOS && ids[i] < t->n_pieces)
                known.push_back(ids[i]);
        if (!t->spm.Decode(known, &text).ok())
            text.clear();
    } catch (...) {
        text.clear();
    }
    return arena_strdup(arena, text.c_str());
}
