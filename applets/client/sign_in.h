/* applets/client/sign_in.h: `emberbox client sign-in` and `sign-out` (spec 30 §18.1, §18.2): a token by way of a browser, kept in the token file.
 *
 * sign-in prints an address (and, on a terminal, its QR code for a phone), asks for the token that the page shows, without echo, and writes the file: root:root,
 * mode 0600, all or nothing. sign-out removes it. Neither talks to the portal nor to a running client.
 */
#pragma once

/* argv[0] is the word; the exit status. */
int client_sign_in(const char *token_path, int argc, char **argv);
int client_sign_out(const char *token_path, int argc, char **argv);
