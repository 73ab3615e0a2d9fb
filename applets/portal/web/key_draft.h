/* applets/portal/web/key_draft.h: the key of an Okta directory between being made and being saved.
 *
 * The person pastes its public half into Okta before the directory can be tried, so the key is there before the directory is. It waits in the form, as a
 * hidden field that only this portal can open, and only for the session it was made in: the private half is never shown, nor kept by the portal until
 * it is saved.
 */
#pragma once

#include "applets/portal/sync/okta_key.h"
#include "applets/portal/web/web.h"

#define KEY_DRAFT_MAX 4096u /* bytes of the three texts */

/* The text of the hidden field; NULL without memory. */
const char *key_draft_seal(struct web *w, const struct okta_key_texts *t);
/* What key_draft_seal() closed in; texts live as long as the exchange. ERR_AUTH: of another session, or nothing of ours. */
int key_draft_open(struct web *w, const char *sealed, struct okta_key_texts *t) MUST_CHECK;
