/* Stands in for doh.c, doh_h1.c and doh_h2.c in builds without DNS over HTTPS: there is never a connection. */
#include "core/dns/doh.h"

bool doh_is_available(void)
{
	return false;
}

int doh_new(const struct doh_config *cfg, u64 now, struct doh **out)
{
	(void)cfg, (void)now;
	*out = NULL;
	return ERR_UNSUPPORTED;
}

void doh_free(struct doh *d)
{
	(void)d;
}

enum doh_state doh_state(const struct doh *d)
{
	(void)d;
	return DOH_FAILED;
}

bool doh_is_willing(const struct doh *d)
{
	(void)d;
	return false;
}

int doh_error(const struct doh *d)
{
	(void)d;
	return ERR_UNSUPPORTED;
}

const char *doh_reason(const struct doh *d)
{
	(void)d;
	return DOH_MISSING;
}

int doh_ask(struct doh *d, u64 now, u32 id, struct span message)
{
	(void)d, (void)now, (void)id, (void)message;
	return ERR_STATE;
}

void doh_cancel(struct doh *d, u64 now, u32 id)
{
	(void)d, (void)now, (void)id;
}

void doh_close(struct doh *d, u64 now)
{
	(void)d, (void)now;
}

void doh_input(struct doh *d, u64 now, struct span in)
{
	(void)d, (void)now, (void)in;
}

void doh_input_eof(struct doh *d, u64 now)
{
	(void)d, (void)now;
}

void doh_fail(struct doh *d, u64 now, int error, const char *reason)
{
	(void)d, (void)now, (void)error, (void)reason;
}

struct span doh_output(struct doh *d)
{
	(void)d;
	return SPAN_NONE;
}

void doh_output_done(struct doh *d, size_t n)
{
	(void)d, (void)n;
}

bool doh_poll_answer(struct doh *d, struct doh_answer *out)
{
	(void)d, (void)out;
	return false;
}

void doh_timeout(struct doh *d, u64 now)
{
	(void)d, (void)now;
}

u64 doh_next_timeout(const struct doh *d)
{
	(void)d;
	return TIME_NEVER;
}

const struct doh_stats *doh_stats(const struct doh *d)
{
	static const struct doh_stats none;

	(void)d;
	return &none;
}
