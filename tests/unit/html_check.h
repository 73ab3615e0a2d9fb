/* tests/unit/html_check.h: reads HTML back as a browser would, for tests of pages.
 *
 * The reader is the tokenizer of the HTML standard as far as our pages use it: elements with quoted and unquoted attributes, text-only elements
 * (title, textarea, script), no CDATA, no comments (pages have none: one is an error).
 */
#pragma once

#include "core/base/strbuf.h"

/* What is there: "<a href class>" for each tag, with the names of its attributes in order, "</a>" for each end. No values, no text. So what a
 * hostile value could not change. */
void html_skeleton(struct span html, struct strbuf *out);

/* The value of attribute `attr` of the n-th element `name`, decoded into out; false when there is none. */
bool html_attribute(struct span html, const char *name, u32 nth, const char *attr, struct strbuf *out);

/* The first thing wrong in a whole page, NULL when nothing is: elements unbalanced, attributes or ids twice, references (for, aria-describedby,
 * aria-labelledby, aria-controls, href="#…") to ids that are not there, other than one <h1>, no <main>, no <title>, heading levels left out,
 * controls without a name, images without alt, inline events or styles, a URL of a scheme that is not ours, over 60 KB. */
const char *html_page_fault(struct span html);
/* The same for a part of a page: without what only a whole page has. */
const char *html_part_fault(struct span html);
