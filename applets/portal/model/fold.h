/* applets/portal/model/fold.h: text as people look for it: lower case, without accents.
 *
 * Latin, Greek and Cyrillic letters lose case and marks ("Łódź" and "lodz", "Ёлка" and "елка" are one), combining marks vanish, ligatures
 * become letters ("Straße", "strasse"), fullwidth forms become plain ones; white space and control characters become spaces. All else is
 * kept. Folding what is folded changes nothing. Bytes that are not UTF-8 become '?'.
 */
#pragma once

#include "core/base/strbuf.h"

void fold(struct span text, struct strbuf *out);
