/*
 * tools.h: the commands of this room, for the program's command table.
 *
 * argv[0] is the command's name. Results go to stdout, messages and progress to stderr. Exit codes:
 * 0 done, 1 failed, 2 wrong usage. `--help` prints the command's help and returns 0.
 */
#ifndef WEIR_TOOLS_H
#define WEIR_TOOLS_H

/* `weir simulate`: a fleet of simulated gateways against a server. Catches SIGINT and SIGTERM. */
int tools_simulate_main(int argc, char **argv);

/* `weir bench`: measures this binary: starts servers of its own on loopback. */
int tools_bench_main(int argc, char **argv);

#endif
