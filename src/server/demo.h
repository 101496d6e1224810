/*
 * demo.h: `weir demo`: a server with a simulated fleet, to look at.
 */
#ifndef WEIR_DEMO_H
#define WEIR_DEMO_H

#define DEMO_KEY "weir-demo-key" /* all rights; documented, therefore loopback only */

/* Its administrator. */
#define DEMO_USER "demo"
#define DEMO_PASSWORD "weir-demo"

int demo_main(int argc, char **argv);

#endif
