#include "applets/portal/model/version.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char **p, u32 *out)
{
	u32 v = 0;
	int digits = 0;

	while (isdigit((unsigned char)**p) && digits < 9) {
		v = v * 10 + (u32)(**p - '0');
		(*p)++;
		digits++;
	}
	*out = v;
	return digits > 0;
}

static bool parse(struct version *v)
{
	const char *p = v->text;

	if (!parse_number(&p, &v->major) || *p++ != '.' || !parse_number(&p, &v->minor))
		return false;
	if (*p == '.') {
		p++;
		if (!parse_number(&p, &v->patch))
			return false;
	}
	return *p == '\0' || *p == '-' || *p == '+';
}

struct version version_read(const char *text)
{
	struct version v = { .is_known = text[0] != '\0' };

	snprintf(v.text, sizeof(v.text), "%s", text);
	v.is_parsable = parse(&v);
	return v;
}

bool version_is_compatible(const struct version *client, const struct version *gateway)
{
	if (!client->is_known)
		return true;
	if (!client->is_parsable || !gateway->is_parsable)
		return false;
	return gateway->major == client->major && gateway->minor + 1 >= client->minor && gateway->minor < client->minor + 2;
}

bool version_can_change_sites(const struct version *v, const char *user_agent)
{
	if (!v->is_parsable)
		return true;
	if (strncmp(user_agent, "Android", 7) == 0)
		return version_cmp(v, 1, 5, 5) >= 0;
	return version_cmp(v, 1, 5, 9) >= 0;
}

/* Since which 1.5.x each component can do something; others are taken for the GUI. */
static bool has_since(const struct version *v, const char *user_agent, u32 headless, u32 apple, u32 android, u32 gui)
{
	u32 patch = strstr(user_agent, "headless-client/") ? headless :
		    strstr(user_agent, "gui-client/")	   ? gui :
		    strstr(user_agent, "apple-client/")	   ? apple :
		    strstr(user_agent, "android-client/")  ? android :
							     gui;
	return v->is_parsable && version_cmp(v, 1, 5, patch) >= 0;
}

bool version_has_pools(const struct version *v, const char *user_agent)
{
	return has_since(v, user_agent, 9, 16, 11, 13);
}

bool version_has_device_access(const struct version *v, const char *user_agent)
{
	return has_since(v, user_agent, 7, 14, 9, 11);
}

void user_agent_os(const char *user_agent, char *name, size_t name_size, char *version, size_t version_size)
{
	const char *slash = strchr(user_agent, '/');
	size_t n = slash ? (size_t)(slash - user_agent) : strlen(user_agent);

	snprintf(name, name_size, "%.*s", (int)n, user_agent);
	snprintf(version, version_size, "%.*s", slash ? (int)strcspn(slash + 1, " ") : 0, slash ? slash + 1 : "");
}
