#include "core/dns/blocklist.h"

#include "core/base/siphash.h"
#include "core/base/text.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024u
#define EMPTY 0u /* no fingerprint */

/* Open addressing, linear probing, at most three quarters full. */
struct blocklist {
	struct siphash_key key;
	u64 *slots;
	u32 capacity; /* a power of two */
	u32 count;
};

struct blocklist *blocklist_new(struct rng *rng)
{
	struct blocklist *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->key = siphash_key_draw(rng);
	b->capacity = SLOTS_FIRST;
	b->slots = calloc(b->capacity, sizeof(*b->slots));
	if (!b->slots) {
		free(b);
		return NULL;
	}
	return b;
}

void blocklist_free(struct blocklist *b)
{
	if (!b)
		return;
	free(b->slots);
	free(b);
}

static u64 fingerprint(const struct blocklist *b, const u8 *folded, size_t n)
{
	u64 h = siphash(&b->key, folded, n);
	return h == EMPTY ? 1 : h;
}

/* The slot that has it, or the free one where it would be. */
static u64 *slot_of(u64 *slots, u32 capacity, u64 h)
{
	u32 i = (u32)h & (capacity - 1);

	while (slots[i] != EMPTY && slots[i] != h)
		i = (i + 1) & (capacity - 1);
	return &slots[i];
}

static int grow(struct blocklist *b)
{
	u64 *slots = calloc((size_t)b->capacity * 2, sizeof(*slots));

	if (!slots)
		return ERR_NOMEM;
	for (u32 i = 0; i < b->capacity; i++)
		if (b->slots[i] != EMPTY)
			*slot_of(slots, b->capacity * 2, b->slots[i]) = b->slots[i];
	free(b->slots);
	b->slots = slots;
	b->capacity *= 2;
	return 0;
}

int blocklist_add(struct blocklist *b, const struct dns_name *name)
{
	u8 folded[DNS_NAME_MAX];

	if (name->len <= 1)
		return ERR_INVAL;
	dns_octets_fold(folded, name->wire, name->len);
	u64 h = fingerprint(b, folded, name->len), *slot = slot_of(b->slots, b->capacity, h);
	if (*slot == h)
		return 0;
	if (b->count == BLOCKLIST_NAMES_MAX)
		return ERR_LIMIT;
	if (b->count >= b->capacity / 4 * 3) {
		if (grow(b) != 0)
			return ERR_NOMEM;
		slot = slot_of(b->slots, b->capacity, h);
	}
	*slot = h;
	b->count++;
	return 0;
}

bool blocklist_has(const struct blocklist *b, const struct dns_name *name)
{
	u8 folded[DNS_NAME_MAX];

	if (b->count == 0)
		return false;
	dns_octets_fold(folded, name->wire, name->len);
	for (unsigned at = 0; at + 1 < name->len; at += 1u + folded[at])
		if (*slot_of(b->slots, b->capacity, fingerprint(b, folded + at, name->len - at)) != EMPTY)
			return true;
	return false;
}

u32 blocklist_count(const struct blocklist *b)
{
	return b->count;
}

size_t blocklist_bytes(const struct blocklist *b)
{
	return sizeof(*b) + (size_t)b->capacity * sizeof(*b->slots);
}

/* --- text --- */

/* Strips `*.` and the marks of filter lists. */
static int name_of_word(struct span w, struct dns_name *out)
{
	char text[DNS_NAME_STRLEN];

	if (w.n > 2 && w.p[0] == '*' && w.p[1] == '.')
		w = SPAN(w.p + 2, w.n - 2);
	if (w.n > 3 && w.p[0] == '|' && w.p[1] == '|' && w.p[w.n - 1] == '^')
		w = SPAN(w.p + 2, w.n - 3);
	if (w.n == 0 || w.n >= sizeof(text) || memchr(w.p, 0, w.n) || memchr(w.p, '/', w.n) || memchr(w.p, '*', w.n))
		return ERR_INVAL;
	memcpy(text, w.p, w.n);
	text[w.n] = '\0';
	return dns_name_from_text(text, out);
}

static int add_line(struct blocklist *b, struct span line)
{
	struct span word = text_word(&line), next = text_word(&line);
	struct dns_name name;
	struct ip ip;

	if (word.n == 0)
		return 0;
	if (next.n == 0)
		return name_of_word(word, &name) == 0 ? blocklist_add(b, &name) : ERR_INVAL;
	if (ip_parse(word, &ip) != 0)
		return ERR_INVAL;
	for (; next.n > 0; next = text_word(&line)) {
		if (name_of_word(next, &name) != 0)
			return ERR_INVAL;
		int rc = dns_name_labels(&name) > 1 ? blocklist_add(b, &name) : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}

int blocklist_add_text(struct blocklist *b, struct span text, u32 *bad, u32 *first_bad)
{
	struct span line;

	*bad = *first_bad = 0;
	for (u32 number = 1; text_line(&text, &line); number++) {
		line = text_uncommented(line, '#');
		if (line.n > 0 && line.p[0] == '!')
			continue;
		int rc = add_line(b, line);
		if (rc == ERR_INVAL) {
			*first_bad = *bad ? *first_bad : number;
			(*bad)++;
		} else if (rc != 0) {
			return rc;
		}
	}
	return 0;
}
