/*
 * inspect.h: `weir inspect DIR`: what is in a data directory.
 */
#ifndef WEIR_INSPECT_H
#define WEIR_INSPECT_H

int inspect_main(int argc, char **argv);

#endif
