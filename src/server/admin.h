/*
 * admin.h: `weir admin`: what an administrator does on the server's machine.
 */
#ifndef WEIR_ADMIN_H
#define WEIR_ADMIN_H

int admin_main(int argc, char **argv);

#endif
