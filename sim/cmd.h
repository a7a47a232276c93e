/* sim/cmd.h: the subcommands, one file sim/cmd_*.c each: parse arguments, call, print.
 *
 * argv[0] is the command's name. Results go to stdout; main prints errors and turns codes into exit
 * statuses. */
#ifndef SIM_CMD_H
#define SIM_CMD_H

#include "sim/base/err.h"

enum err_code cmd_run(int argc, char **argv, struct err *e);
enum err_code cmd_compare(int argc, char **argv, struct err *e);
enum err_code cmd_sweep(int argc, char **argv, struct err *e);
enum err_code cmd_plan(int argc, char **argv, struct err *e);
enum err_code cmd_check(int argc, char **argv, struct err *e);
enum err_code cmd_pretrain(int argc, char **argv, struct err *e);
enum err_code cmd_merge(int argc, char **argv, struct err *e);
enum err_code cmd_bench(int argc, char **argv, struct err *e);
enum err_code cmd_samples(int argc, char **argv, struct err *e);
enum err_code cmd_report(int argc, char **argv, struct err *e);
enum err_code cmd_plot(int argc, char **argv, struct err *e);
enum err_code cmd_tensorboard(int argc, char **argv, struct err *e);
enum err_code cmd_paper(int argc, char **argv, struct err *e);

#endif
