#include "core/phoenix/frame.h"

#include <string.h>

static int read_ref(const struct cJSON *v, struct phx_ref *out)
{
	const char *text = json_value_str(v);

	memset(out, 0, sizeof(*out));
	if (!v || json_is_null(v))
		return 0;
	if (text) {
		if (strlen(text) >= sizeof(out->string))
			return ERR_LIMIT;
		out->kind = PHX_REF_STRING;
		memcpy(out->string, text, strlen(text) + 1);
		return 0;
	}
	out->kind = PHX_REF_NUMBER;
	return json_value_uint(v, JSON_UINT_MAX, &out->number);
}

int phx_frame_parse(struct span text, const struct json_limits *lim, struct phx_frame *out, struct json_get *why)
{
	struct json_get g = JSON_GET;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = json_parse(text, lim, &out->root);
	if (rc) {
		json_fail(&g, rc, "frame", "must be a JSON text");
	} else {
		out->topic = json_str(&g, out->root, "topic");
		out->event = json_str(&g, out->root, "event");
		out->payload = json_member(&g, out->root, "payload");
		if (read_ref(json_member(&g, out->root, "ref"), &out->ref))
			json_fail(&g, ERR_MALFORMED, "ref", "must be an unsigned number");
	}
	if (why)
		*why = g;
	if (g.err)
		phx_frame_free(out);
	return g.err;
}

void phx_frame_free(struct phx_frame *f)
{
	json_free(f->root);
	memset(f, 0, sizeof(*f));
}

void phx_out_begin(struct json_out *o, const char *topic, const char *event)
{
	json_open(o, NULL);
	json_put_str(o, "topic", topic);
	json_put_str(o, "event", event);
}

void phx_out_end(struct json_out *o, u64 ref)
{
	json_put_u64(o, "ref", ref);
	json_close(o);
}

void phx_push_begin(struct json_out *o, const char *event)
{
	json_open(o, NULL);
	json_put_str(o, "event", event);
}

void phx_push_end(struct json_out *o, const struct phx_ref *ref, const char *topic)
{
	if (!ref || ref->kind == PHX_REF_NONE)
		json_put_null(o, "ref");
	else if (ref->kind == PHX_REF_NUMBER)
		json_put_u64(o, "ref", ref->number);
	else
		json_put_str(o, "ref", ref->string);
	json_put_str(o, "topic", topic);
	json_close(o);
}

void phx_reply(struct json_out *o, const char *topic, const struct phx_ref *ref, const char *reason)
{
	phx_push_begin(o, "phx_reply");
	json_open(o, "payload");
	json_open(o, "response");
	if (reason)
		json_put_str(o, "reason", reason);
	json_close(o);
	json_put_str(o, "status", reason ? "error" : "ok");
	json_close(o);
	phx_push_end(o, ref, topic);
}
