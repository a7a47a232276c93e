/* models/rouge.h: ROUGE-1, -2, -L and -Lsum as Google's rouge_score package counts them.
 *
 * Tokens: lower-case; every run of bytes outside [a-z0-9] is a blank (so letters beyond ASCII
 * separate); with stemming, tokens longer than 3 characters go through stem_porter.
 *
 *   rouge1, rouge2  n-grams that match, each as often as both texts have it, over the n-grams of
 *                   the prediction (P) and of the target (R)
 *   rougeL          longest common subsequence of the two token lists
 *   rougeLsum       both texts split on '\n'; for each target sentence the union of its LCS
 *                   positions with all predicted sentences; a token counts at most as often as it
 *                   occurs in both texts
 *
 * F = 2PR / (P + R); an empty text, or no match, gives 0. All values are 0 .. 1. */
#ifndef MODELS_ROUGE_H
#define MODELS_ROUGE_H

#include <stdbool.h>

struct rouge_prf {
    double precision, recall, f;
};

struct rouge_scores {
    struct rouge_prf rouge1, rouge2, rougeL, rougeLsum;
};

/* Scores one prediction against one target; zero-terminated UTF-8. No state: call it from any
 * thread. Time is the product of the two lengths. */
void rouge_score(const char *target, const char *prediction, bool has_stemming,
                 struct rouge_scores *out);

#endif
