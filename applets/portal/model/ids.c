#include "applets/portal/model/ids.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024u

/* Where it is or belongs. */
static struct uuid *place_of(const struct ids *x, const struct uuid *id)
{
	u64 half[2];

	memcpy(half, id->b, sizeof(half));
	for (u32 i = (u32)((half[0] ^ half[1]) * 0x9e3779b97f4a7c15u >> 32);; i++) {
		struct uuid *at = &x->at[i & (x->cap - 1)];
		if (uuid_eq(at, id) || uuid_is_null(at))
			return at;
	}
}

static int grow(struct ids *x)
{
	struct ids more = { .n = x->n, .cap = x->cap ? x->cap * 4 : FIRST_CAPACITY };

	more.at = calloc(more.cap, sizeof(*more.at));
	if (!more.at)
		return ERR_NOMEM;
	for (u32 i = 0; i < x->cap; i++)
		if (!uuid_is_null(&x->at[i]))
			*place_of(&more, &x->at[i]) = x->at[i];
	free(x->at);
	*x = more;
	return 0;
}

int ids_add(struct ids *x, const struct uuid *id)
{
	if (x->n >= x->cap / 4 * 3 && grow(x))
		return ERR_NOMEM;
	struct uuid *at = place_of(x, id);
	if (uuid_is_null(at) && !uuid_is_null(id)) {
		*at = *id;
		x->n++;
	}
	return 0;
}

bool ids_has(const struct ids *x, const struct uuid *id)
{
	return x->n > 0 && !uuid_is_null(id) && uuid_eq(place_of(x, id), id);
}

void ids_free(struct ids *x)
{
	free(x->at);
	*x = (struct ids){ 0 };
}
