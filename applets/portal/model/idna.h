/* applets/portal/model/idna.h: domain names with letters beyond ASCII, as DNS and mail know them: "Bücher.example" is "xn--bcher-kva.example"
 * (RFC 3492; UTS #46 without its transitional part, so that ß stays ß).
 *
 * Of UTS #46's mapping it does what people type: case of Latin, Greek, Cyrillic and Armenian, fullwidth forms, the three other full stops, soft
 * hyphens. What would need its whole tables is refused, not guessed at: combining accents (to be written as one character with their letter),
 * compatibility forms, symbols, capital letters of other kinds. Not checked: the rules for scripts from right to left, and whether what comes as
 * xn-- is the encoding of something.
 */
#pragma once

#include "core/base/types.h"

#define DOMAIN_MAX 253 /* RFC 1035, as text */
#define EMAIL_MAX 160	/* spec 60 §1.3 */

/* ERR_INVAL: a label is empty, too long or holds what no name holds, or the whole is longer than cap - 1. */
int idna_to_ascii(struct span domain, char *out, size_t cap) MUST_CHECK;

/* "Jo@Bücher.Example" becomes "Jo@xn--bcher-kva.example", in EMAIL_MAX bytes. ERR_INVAL: no address, or its domain has no dot. */
int email_normalise(const char *address, char out[static EMAIL_MAX + 1]) MUST_CHECK;

/* Whether somebody who gives that address means the one that is known, whatever the case: `known` is normalised. */
bool email_means(const char *given, const char *known);
