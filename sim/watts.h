/* sim/watts.h: watts that this machine draws while something is measured, where it says so.
 *
 * A thread reads a source at 10 Hz: NVIDIA's management library for a GPU, the processor packages' energy
 * counters (RAPL, /sys/class/powercap) for the CPU. Neither counts the rest of the machine. Where there is no
 * source, or it may not be read, there are no watts; nothing is guessed. */
#ifndef SIM_WATTS_H
#define SIM_WATTS_H

#include <stdbool.h>

struct watts;

/* What is known of the machine that is read; texts are empty and numbers NaN where it does not say. */
struct watts_about {
    char source[64];  /* "NVML", "RAPL package-0" */
    char device[96];  /* "NVIDIA H200" */
    char driver[64];
    double clock_mhz; /* now */
    double limit_w;   /* what it may draw */
};

/* is_gpu: of the first GPU, else of the processors. NULL, and why (a line of up to 159 letters), when there is no
 * source here. */
struct watts *watts_open(bool is_gpu, char why[160]);
void watts_close(struct watts *w); /* NULL is fine */
void watts_about(struct watts *w, struct watts_about *out);

/* From here on. */
void watts_begin(struct watts *w);
/* The mean since watts_begin, NaN before the first reading; n_readings may be NULL. */
double watts_mean(struct watts *w, int *n_readings);

#endif
