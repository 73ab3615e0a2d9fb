/* applets/applet.h: what the multi-call binary knows of each applet: its name, its one line of help, its entry.
 *
 * An applet lives in applets/NAME/ and provides `int NAME_main(int argc, char **argv)`, which gets the arguments as if it were a
 * program of its own (argv[0] names it) and returns the exit code. Where NAME has `_`, users write `-`. A new applet adds its two lines here and its name to
 * APPLETS_KNOWN in the Makefile, which generates the list of those that this build links (applets.h: APPLETS(X)).
 */
#pragma once

#define HELP_client "connect this machine to its resources"
#define HELP_gateway "tunnel server in front of resources"
#define HELP_relay "STUN and TURN server for hole punching and relaying"
#define HELP_portal "control plane: accounts, policies, sockets of client, gateway and relay"
#define HELP_quickstart "portal, relay and gateway on one host, ready to use"
#define HELP_dns_proxy "split DNS forwarder with a cache, for a router or laptop"

int client_main(int argc, char **argv);
int gateway_main(int argc, char **argv);
int relay_main(int argc, char **argv);
int portal_main(int argc, char **argv);
int quickstart_main(int argc, char **argv);
int dns_proxy_main(int argc, char **argv);
