#include "sim/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROUND(field, type, unit, meaning)                                                          \
    {                                                                                              \
        #field, unit, meaning, type, offsetof(struct round_record, field)                          \
    }
#define CLIENT(field, type, unit, meaning)                                                         \
    {                                                                                              \
        #field, unit, meaning, type, offsetof(struct client_record, field)                         \
    }
#define ELEMENT(field, type, unit, meaning)                                                        \
    {                                                                                              \
        #field, unit, meaning, type, offsetof(struct element_record, field)                        \
    }

static const struct column ROUNDS[] = {
    ROUND(round, COLUMN_INT, "", "number of the round, from 1"),
    ROUND(start_s, COLUMN_DOUBLE, "s", "virtual time at which the cohort was picked"),
    ROUND(end_s, COLUMN_DOUBLE, "s", "virtual time at which the last upload or the deadline came"),
    ROUND(duration_s, COLUMN_DOUBLE, "s", "end_s - start_s"),
    ROUND(t_comp_s, COLUMN_DOUBLE, "s", "fine-tuning seconds of the slowest arrived client"),
    ROUND(t_comm_s, COLUMN_DOUBLE, "s", "duration_s - t_comp_s: sending, waiting, receiving"),
    ROUND(granularity, COLUMN_DOUBLE, "",
          "G = t_comp_s / t_comm_s; above 1 computing dominates; empty when nothing took time"),
    ROUND(selected, COLUMN_INT, "", "clients picked"),
    ROUND(arrived, COLUMN_INT, "", "clients whose adapter was aggregated"),
    ROUND(bytes_down, COLUMN_INT, "B", "payload received by clients, broken transfers included"),
    ROUND(bytes_up, COLUMN_INT, "B", "payload received by the server, broken transfers included"),
    ROUND(comm_kwh, COLUMN_DOUBLE, "kWh", "energy of all network elements for the round's bits"),
    ROUND(device_kwh, COLUMN_DOUBLE, "kWh", "energy of the selected devices, training and waiting"),
    ROUND(carbon_g, COLUMN_DOUBLE, "g", "CO2 equivalent of comm_kwh + device_kwh"),
    ROUND(train_loss, COLUMN_DOUBLE, "nat",
          "mean over arrived clients of their mean loss per target token; empty without training"),
    ROUND(eval_loss, COLUMN_DOUBLE, "nat",
          "mean loss per target token of held-out samples; empty where not evaluated"),
    ROUND(rouge1, COLUMN_DOUBLE, "", "100 x ROUGE-1 F1 of greedy summaries, stemmed"),
    ROUND(rouge2, COLUMN_DOUBLE, "", "100 x ROUGE-2 F1"),
    ROUND(rougeL, COLUMN_DOUBLE, "", "100 x ROUGE-L F1"),
    ROUND(rougeLsum, COLUMN_DOUBLE, "", "100 x ROUGE-Lsum F1"),
    ROUND(fact_recall, COLUMN_DOUBLE, "",
          "share of the reference's facts in the summaries, 0 .. 1; only where data lists facts"),
    ROUND(accounting, COLUMN_TEXT, "",
          "how T_comp, T_comm and network energy were counted: literal, or not physical"),
};

static const struct column CLIENTS[] = {
    CLIENT(round, COLUMN_INT, "", "number of the round"),
    CLIENT(client, COLUMN_INT, "", "index in the population, from 0"),
    CLIENT(group, COLUMN_TEXT, "", "the client's group in the scenario"),
    CLIENT(device, COLUMN_TEXT, "", "its device"),
    CLIENT(samples, COLUMN_INT, "", "samples it trained on in this round, repeats counted"),
    CLIENT(download_start_s, COLUMN_DOUBLE, "s", "virtual time at which the server sent"),
    CLIENT(download_end_s, COLUMN_DOUBLE, "s", "virtual time at which the client had it all"),
    CLIENT(train_end_s, COLUMN_DOUBLE, "s", "virtual time at which training ended, upload began"),
    CLIENT(upload_end_s, COLUMN_DOUBLE, "s", "virtual time at which the server had it all"),
    CLIENT(bytes_down, COLUMN_INT, "B", "payload received"),
    CLIENT(bytes_up, COLUMN_INT, "B", "payload sent"),
    CLIENT(comm_j, COLUMN_DOUBLE, "J", "energy of all elements of its path for these bytes"),
    CLIENT(device_j, COLUMN_DOUBLE, "J", "watts x training seconds + idle watts x the rest of the round"),
    CLIENT(train_loss, COLUMN_DOUBLE, "nat", "mean over local steps; empty when it did not train"),
    CLIENT(time_source, COLUMN_TEXT, "", "where its training seconds come from"),
    CLIENT(status, COLUMN_TEXT, "",
           "ok, late (deadline), dropped (it failed), out_of_memory (it cannot train this)"),
    CLIENT(accounting, COLUMN_TEXT, "", "how comm_j was counted; only where it is not literal"),
};

static const struct column ELEMENTS[] = {
    ELEMENT(element, COLUMN_TEXT, "", "kind of network element"),
    ELEMENT(direction, COLUMN_TEXT, "", "down (to clients) or up"),
    ELEMENT(count, COLUMN_INT, "", "elements of this kind that each bit passes"),
    ELEMENT(bits, COLUMN_DOUBLE, "bit", "payload bits that came this way, each counted once"),
    ELEMENT(joules, COLUMN_DOUBLE, "J", "bits x count x joules per bit"),
    ELEMENT(per_bit, COLUMN_TEXT, "",
            "the set of joules per bit that was charged; only where accounting is not literal"),
};

#define SAMPLE(field, type, unit, meaning)                                                         \
    {                                                                                              \
        #field, unit, meaning, type, offsetof(struct sample_record, field)                         \
    }

static const struct column SAMPLES[] = {
    SAMPLE(round, COLUMN_INT, "", "round after which the model wrote it; 0 before the first"),
    SAMPLE(sample, COLUMN_INT, "", "index among the held-out samples, from 0"),
    SAMPLE(dialogue, COLUMN_TEXT, "", "what it was given"),
    SAMPLE(reference, COLUMN_TEXT, "", "the summary it is compared with"),
    SAMPLE(summary, COLUMN_TEXT, "", "what it wrote, greedily"),
};

#define SUMMARY(field, type, unit, meaning)                                                        \
    {                                                                                              \
        #field, unit, meaning, type, offsetof(struct summary_record, field)                        \
    }

static const struct column SUMMARIES[] = {
    SUMMARY(name, COLUMN_TEXT, "", "the scenario's name"),
    SUMMARY(outcome, COLUMN_TEXT, "", "complete, interrupted, or diverged: a training loss was no finite number"),
    SUMMARY(trained, COLUMN_TEXT, "", "the model that was really trained, or none"),
    SUMMARY(backend, COLUMN_TEXT, "", "the compute backend that trained: cpu or cuda, or none"),
    SUMMARY(precision, COLUMN_TEXT, "", "of its products: float32, or bf16 with float32 sums"),
    SUMMARY(costs_of, COLUMN_TEXT, "", "the architecture whose payload and step times were charged"),
    SUMMARY(accounting, COLUMN_TEXT, "", "how T_comp, T_comm and joules were counted"),
    SUMMARY(per_bit, COLUMN_TEXT, "", "the set of joules per bit"),
    SUMMARY(rounds, COLUMN_INT, "", "rounds that are in rounds.csv"),
    SUMMARY(clients, COLUMN_INT, "", "population"),
    SUMMARY(clients_per_round, COLUMN_INT, "", "cohort"),
    SUMMARY(payload_down_bytes, COLUMN_INT, "B", "sent to each client in a round"),
    SUMMARY(payload_up_bytes, COLUMN_INT, "B", "sent back by each client"),
    SUMMARY(virtual_s, COLUMN_DOUBLE, "s", "virtual time at the end of the last round"),
    SUMMARY(mean_duration_s, COLUMN_DOUBLE, "s", "mean duration of a round"),
    SUMMARY(mean_t_comp_s, COLUMN_DOUBLE, "s", "mean of t_comp_s"),
    SUMMARY(mean_t_comm_s, COLUMN_DOUBLE, "s", "mean of t_comm_s"),
    SUMMARY(mean_granularity, COLUMN_DOUBLE, "", "mean of the rounds' granularity, where there is one"),
    SUMMARY(selected, COLUMN_INT, "", "participations"),
    SUMMARY(arrived, COLUMN_INT, "", "results aggregated"),
    SUMMARY(rounds_without_result, COLUMN_INT, "", "rounds that left the model as it was"),
    SUMMARY(bytes_down, COLUMN_INT, "B", "payload received by clients"),
    SUMMARY(bytes_up, COLUMN_INT, "B", "payload received by the server"),
    SUMMARY(comm_kwh, COLUMN_DOUBLE, "kWh", "energy of all network elements"),
    SUMMARY(device_kwh, COLUMN_DOUBLE, "kWh", "energy of the devices, training and waiting"),
    SUMMARY(total_kwh, COLUMN_DOUBLE, "kWh", "comm_kwh + device_kwh"),
    SUMMARY(carbon_g, COLUMN_DOUBLE, "g", "CO2 equivalent of total_kwh"),
    SUMMARY(last_train_loss, COLUMN_DOUBLE, "nat", "of the last round with a result"),
    SUMMARY(first_eval_loss, COLUMN_DOUBLE, "nat", "before the first round"),
    SUMMARY(last_eval_loss, COLUMN_DOUBLE, "nat", "at the last evaluation"),
    SUMMARY(best_eval_loss, COLUMN_DOUBLE, "nat", "the lowest"),
    SUMMARY(best_eval_round, COLUMN_INT, "", "its round; 0 before the first; -1 without evaluation"),
    SUMMARY(first_rouge1, COLUMN_DOUBLE, "", "100 x F1 before the first round"),
    SUMMARY(last_rouge1, COLUMN_DOUBLE, "", "at the last evaluation"),
    SUMMARY(first_rouge2, COLUMN_DOUBLE, "", "100 x ROUGE-2 F1, before the first round"),
    SUMMARY(last_rouge2, COLUMN_DOUBLE, "", "100 x ROUGE-2 F1, last"),
    SUMMARY(first_rougeL, COLUMN_DOUBLE, "", "100 x ROUGE-L F1, before the first round"),
    SUMMARY(last_rougeL, COLUMN_DOUBLE, "", "100 x ROUGE-L F1, last"),
    SUMMARY(first_rougeLsum, COLUMN_DOUBLE, "", "100 x ROUGE-Lsum F1, before the first round"),
    SUMMARY(last_rougeLsum, COLUMN_DOUBLE, "", "100 x ROUGE-Lsum F1, last"),
    SUMMARY(first_fact_recall, COLUMN_DOUBLE, "", "share of facts found, before the first round"),
    SUMMARY(last_fact_recall, COLUMN_DOUBLE, "", "share of facts found, last"),
    SUMMARY(test_loss, COLUMN_DOUBLE, "nat", "on the test set, judged once, after the last round"),
    SUMMARY(test_rouge1, COLUMN_DOUBLE, "", "100 x ROUGE-1 F1, test set"),
    SUMMARY(test_rouge2, COLUMN_DOUBLE, "", "100 x ROUGE-2 F1, test set"),
    SUMMARY(test_rougeL, COLUMN_DOUBLE, "", "100 x ROUGE-L F1, test set"),
    SUMMARY(test_rougeLsum, COLUMN_DOUBLE, "", "100 x ROUGE-Lsum F1, test set"),
    SUMMARY(test_fact_recall, COLUMN_DOUBLE, "", "share of facts found, test set"),
};

static const struct table ROUNDS_TABLE = {"rounds", COUNT(ROUNDS), ROUNDS, false};
/* Without and with the label in the last column. */
static const struct table CLIENTS_TABLE[] = {{"clients", COUNT(CLIENTS) - 1, CLIENTS, false},
                                             {"clients", COUNT(CLIENTS), CLIENTS, false}};
static const struct table ELEMENTS_TABLE[] = {{"elements", COUNT(ELEMENTS) - 1, ELEMENTS, false},
                                              {"elements", COUNT(ELEMENTS), ELEMENTS, false}};
static const struct table SAMPLES_TABLE = {"samples", COUNT(SAMPLES), SAMPLES, false};
static const struct table SUMMARY_TABLE = {"summary", COUNT(SUMMARIES), SUMMARIES, true};

const struct table *record_samples(void)
{
    return &SAMPLES_TABLE;
}

const struct table *record_summary(void)
{
    return &SUMMARY_TABLE;
}

const struct table *record_rounds(void)
{
    return &ROUNDS_TABLE;
}

bool record_is_labelled(const char *accounting)
{
    return strcmp(accounting, "literal") != 0;
}

const struct table *record_clients(bool is_labelled)
{
    return &CLIENTS_TABLE[is_labelled];
}

const struct table *record_elements(bool is_labelled)
{
    return &ELEMENTS_TABLE[is_labelled];
}

const char *record_cell(const struct column *c, const void *row, char out[64])
{
    const char *at = (const char *)row + c->offset;
    switch (c->type) {
    case COLUMN_INT:
        snprintf(out, 64, "%" PRId64, *(const int64_t *)(const void *)at);
        return out;
    case COLUMN_DOUBLE: {
        double v = *(const double *)(const void *)at;
        if (isnan(v))
            return "";
        text_shortest(out, v);
        return out;
    }
    case COLUMN_TEXT:
        break;
    }
    return *(const char *const *)(const void *)at;
}
