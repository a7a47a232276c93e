#include "tests/cuda_emu/emu_warp.h"

#define NAN_BITS 0xffffffffu

/* The lane whose value a lane of a shuffle gets, or -1: its own. */
static int source_of(const struct emu_meeting *l, int lane)
{
    int first = lane / l->width * l->width, at = lane - first;
    switch (l->op) {
    case CUDA_EMU_SHUFFLE:
        return first + (l->at & (l->width - 1));
    case CUDA_EMU_SHUFFLE_XOR:
        /* lanes of earlier groups may be read, later ones not */
        return (lane ^ l->at) < first + l->width ? lane ^ l->at : -1;
    case CUDA_EMU_SHUFFLE_UP:
        return at - l->at >= 0 ? lane - l->at : -1;
    default:
        return at + l->at < l->width ? lane + l->at : -1;
    }
}

static const char *shuffle(unsigned group, struct emu_lane *lanes)
{
    for (unsigned left = group; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        struct emu_lane *l = &lanes[lane];
        int width = l->with.width;
        if (width < 1 || width > 32 || (width & (width - 1)))
            return "a shuffle's width is no power of 2 up to 32";
        int from = source_of(&l->with, lane);
        from = from < 0 ? lane : from;
        l->result = from < 32 && (group >> from & 1) ? lanes[from].with.value : NAN_BITS;
    }
    return nullptr;
}

static float wide(uint32_t bits)
{
    return __uint_as_float(bits << 16);
}

/* Lane 4 g + q holds two columns of rows g and g + 8 in a register; see models/cuda_mma.cuh. */
static void mma(struct emu_lane *lanes)
{
    float a[16][16], b[8][16]; /* b by columns */
    for (int lane = 0; lane < 32; lane++) {
        const uint32_t *ra = static_cast<const uint32_t *>(lanes[lane].with.in[0]);
        const uint32_t *rb = static_cast<const uint32_t *>(lanes[lane].with.in[1]);
        int g = lane / 4, q = lane % 4;
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 2; j++)
                a[g + i % 2 * 8][2 * q + i / 2 * 8 + j] = wide(j ? ra[i] >> 16 : ra[i] & 0xffff);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                b[g][2 * q + i * 8 + j] = wide(j ? rb[i] >> 16 : rb[i] & 0xffff);
    }
    for (int lane = 0; lane < 32; lane++) {
        float *c = static_cast<float *>(lanes[lane].with.out);
        for (int i = 0; i < 4; i++) {
            const float *x = a[lane / 4 + i / 2 * 8], *y = b[lane % 4 * 2 + i % 2];
            float sum = 0;
            for (int k = 0; k < 16; k++)
                sum += x[k] * y[k];
            c[i] += sum;
        }
    }
}

static const char *ldmatrix(struct emu_lane *lanes, bool is_transposed)
{
    uint16_t all[4][8][8];
    for (int lane = 0; lane < 32; lane++) {
        if ((uintptr_t)lanes[lane].with.in[0] & 15)
            return "cuda_ldmatrix4: a row's address is not aligned to 16 bytes";
        const uint16_t *row = static_cast<const uint16_t *>(lanes[lane].with.in[0]);
        for (int i = 0; i < 8; i++)
            all[lane / 8][lane % 8][i] = row[i];
    }
    for (int lane = 0; lane < 32; lane++) {
        uint32_t *r = static_cast<uint32_t *>(lanes[lane].with.out);
        int g = lane / 4, q = lane % 4;
        for (int i = 0; i < 4; i++) {
            uint32_t low = is_transposed ? all[i][2 * q][g] : all[i][g][2 * q];
            uint32_t high = is_transposed ? all[i][2 * q + 1][g] : all[i][g][2 * q + 1];
            r[i] = low | high << 16;
        }
    }
    return nullptr;
}

const char *emu_warp_do(unsigned group, struct emu_lane *lanes)
{
    enum cuda_emu_op op = lanes[__builtin_ctz(group)].with.op;
    unsigned votes = 0, sum = 0;
    bool is_matrix = op == CUDA_EMU_MMA || op == CUDA_EMU_LDMATRIX || op == CUDA_EMU_LDMATRIX_T;
    if (is_matrix && group != 0xffffffffu)
        return "a matrix operation needs all 32 lanes of the warp";
    switch (op) {
    case CUDA_EMU_SYNC:
        break;
    case CUDA_EMU_SHUFFLE: case CUDA_EMU_SHUFFLE_XOR: case CUDA_EMU_SHUFFLE_UP: case CUDA_EMU_SHUFFLE_DOWN:
        return shuffle(group, lanes);
    case CUDA_EMU_MMA:
        mma(lanes);
        break;
    case CUDA_EMU_LDMATRIX: case CUDA_EMU_LDMATRIX_T:
        return ldmatrix(lanes, op == CUDA_EMU_LDMATRIX_T);
    default:
        for (unsigned left = group; left; left &= left - 1) {
            int lane = __builtin_ctz(left);
            votes |= (lanes[lane].with.value & 1) << lane;
            sum += lanes[lane].with.value;
        }
        for (unsigned left = group; left; left &= left - 1)
            lanes[__builtin_ctz(left)].result = op == CUDA_EMU_BALLOT ? votes : sum;
    }
    return nullptr;
}

void cuda_mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    emu_meet({CUDA_EMU_MMA, 0xffffffffu, 0, 0, 32, c, {a, b}});
}

void cuda_ldmatrix4(uint32_t r[4], const void *row)
{
    emu_meet({CUDA_EMU_LDMATRIX, 0xffffffffu, 0, 0, 32, r, {row, nullptr}});
}

void cuda_ldmatrix4_t(uint32_t r[4], const void *row)
{
    emu_meet({CUDA_EMU_LDMATRIX_T, 0xffffffffu, 0, 0, 32, r, {row, nullptr}});
}

/* --- copies --- */

void cuda_copy16(void *to, const void *from, bool is_there)
{
    struct emu_lane *lane = emu_lane_now();
    struct emu_copy c = {to, {0}, lane->n_groups};
    if ((uintptr_t)to & 15)
        emu_give_up("cuda_copy16: `to` is not aligned to 16 bytes");
    if ((uintptr_t)from & 15)
        emu_give_up("cuda_copy16: `from` is not aligned to 16 bytes");
    if (is_there)
        memcpy(c.bytes, from, 16);
    memset(to, 0xff, 16);
    lane->copies.push_back(c);
}

void cuda_copy_commit(void)
{
    emu_lane_now()->n_groups++;
}

/* Copies of groups below `until` arrive. */
static void arrive(struct emu_lane *lane, int until)
{
    size_t kept = 0;
    for (size_t i = 0; i < lane->copies.size(); i++)
        if (lane->copies[i].group < until)
            memcpy(lane->copies[i].to, lane->copies[i].bytes, 16);
        else
            lane->copies[kept++] = lane->copies[i];
    lane->copies.resize(kept);
}

void cuda_emu_copy_wait(int n_groups)
{
    struct emu_lane *lane = emu_lane_now();
    arrive(lane, lane->n_groups - n_groups);
}

void emu_lane_finish(struct emu_lane *lane)
{
    if (!lane->copies.empty())
        arrive(lane, lane->n_groups + 1);
    lane->n_groups = 0;
}
