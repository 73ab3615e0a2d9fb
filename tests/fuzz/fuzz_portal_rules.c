/* What operators type: whatever is accepted must be accepted again, unchanged. */
#include "applets/portal/model/rules.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void resource(int type, const char *text)
{
	struct resource r;
	struct complaint c;

	entity_init(KIND_RESOURCE, &r);
	r.type = type;
	r.site_id.b[0] = 1;
	if (text_set(&r.address, text) == 0 && check_resource(&r, &c) == 0) {
		char *once = r.address ? strdup(r.address) : NULL;
		if (check_resource(&r, &c) || (once && strcmp(once, r.address) != 0))
			abort();
		free(once);
	}
	entity_deinit(KIND_RESOURCE, &r);
}

static void filters(const char *text)
{
	struct filter list[FILTERS_MAX];
	struct complaint c;
	int n = filters_parse(text, list, &c);

	for (int i = 0; i < n; i++)
		if (list[i].has_ports && (list[i].first == 0 || list[i].first > list[i].last))
			abort();
}

static void conditions(const char *text)
{
	struct day_range ranges[DAY_RANGES_MAX];
	struct span word, zone;
	struct complaint c;
	struct condition one;
	struct policy p;
	int weekday;

	entity_init(KIND_POLICY, &p);
	p.resource_id.b[0] = 1;
	if (text_set(&p.conditions, text) == 0 && check_policy(&p, &c) == 0 && p.conditions)
		for (const char *at = p.conditions; condition_next(&at, &one);)
			while (one.property == PROP_TIME && word_next(&one.values, &word))
				if (day_ranges_parse(word, &weekday, ranges, &zone) <= 0)
					abort();
	entity_deinit(KIND_POLICY, &p);
}

static void people(const char *text)
{
	struct complaint c;
	struct account a;
	struct actor u;

	entity_init(KIND_ACCOUNT, &a);
	if (text_set(&a.name, text) == 0 && text_set(&a.slug, text) == 0 && text_set(&a.search_domain, text) == 0 &&
	    text_set(&a.dns_addresses, text) == 0)
		(void)check_account(&a, &c);
	entity_deinit(KIND_ACCOUNT, &a);
	entity_init(KIND_ACTOR, &u);
	if (text_set(&u.name, text) == 0 && text_set(&u.email, text) == 0)
		(void)check_actor(&u, &c);
	entity_deinit(KIND_ACTOR, &u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = size > 0 && size < 4096 ? malloc(size) : NULL;

	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 6) {
	case 0:
		resource(RESOURCE_DNS, text);
		break;
	case 1:
		resource(RESOURCE_CIDR, text);
		break;
	case 2:
		resource(RESOURCE_IP, text);
		break;
	case 3:
		filters(text);
		break;
	case 4:
		conditions(text);
		break;
	case 5:
		people(text);
		break;
	}
	free(text);
	return 0;
}
