/* applets/client/sign_in.h: getting a token by a browser somewhere, and giving it up (spec 30 §18.1, §18.2).
 *
 *   sign-in:   URL and QR code ──▶ the person signs in, copies the token ──▶ pasted here without echo ──▶ the token file, root:root, mode 0600
 *   sign-out:  asks, removes the file. Neither asks the portal; a running client is not told.
 */
#pragma once

/* argv[0] is the command's name. `token_path` is what was said before it. The exit status. */
int client_sign_in(const char *token_path, int argc, char **argv);
int client_sign_out(const char *token_path, int argc, char **argv);
