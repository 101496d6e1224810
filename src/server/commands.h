/*
 * commands.h: the program's commands: `weir COMMAND …`.
 */
#ifndef WEIR_COMMANDS_H
#define WEIR_COMMANDS_H

/* What main() returns: 0 done, 1 failed, 2 wrong usage. */
int commands_main(int argc, char **argv);

#endif
