/* tests/cuda_emu/emu_warp.h: what a warp does when its lanes have met. For the emulation's own files. */
#ifndef TESTS_CUDA_EMU_EMU_WARP_H
#define TESTS_CUDA_EMU_EMU_WARP_H

#include <vector>

#include "tests/cuda_emu/cuda_emu.h"

/* A copy that has been asked for and not waited for. */
struct emu_copy {
    void *to;
    unsigned char bytes[16];
    int group;
};

/* What a lane brings to a meeting. */
struct emu_meeting {
    enum cuda_emu_op op;
    unsigned mask, value;
    int at, width;
    void *out;         /* registers of mma, ldmatrix */
    const void *in[2]; /* registers, or the row's address */
};

struct emu_lane {
    struct emu_meeting with;
    unsigned result;                    /* what it takes away */
    std::vector<struct emu_copy> copies; /* of cuda_copy16, not yet waited for */
    int n_groups;                       /* of copies, closed */
};

/* lanes: the warp's 32; those of group have met. NULL, or what is wrong. */
const char *emu_warp_do(unsigned group, struct emu_lane *lanes);

/* A thread returns: its copies have arrived. */
void emu_lane_finish(struct emu_lane *lane);

/* Brings the running thread to a meeting; gives its result. */
unsigned emu_meet(const struct emu_meeting &with);
struct emu_lane *emu_lane_now(void);
[[noreturn]] void emu_give_up(const char *why);

#endif
