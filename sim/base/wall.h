/* sim/base/wall.h: the wall clock, for performance.json, progress and benchmarks; no result depends on it. */
#ifndef SIM_BASE_WALL_H
#define SIM_BASE_WALL_H

/* Seconds since some moment before the program started; never goes back. */
double wall_s(void);

#endif
