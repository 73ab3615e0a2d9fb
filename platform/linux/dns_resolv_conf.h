/* platform/linux/dns_resolv_conf.h: the method etc-resolv-conf (spec 30 §16): what becomes of the file and its backup.
 *
 *	                            the file is …      activate                      deactivate        recover (next start)
 *	somebody's                                     backup, rewrite               –                 left
 *	what we wrote                                  rewrite                       backup put back   backup put back
 *	ours by its first line, but edited since       left, logged                  left, logged      put back; the edited text is kept beside
 *	                                                                                               the backup as …-edited
 *	somebody's again, after ours                   backup, rewrite               left, logged      left
 *	missing, a symbolic link                       refused                       left, logged      refused
 *
 * What a killed run wrote is told from later edits by a sum in its second line.
 */
#pragma once

#include "core/ip/addr.h"
#include "platform/dns_control.h"
#include "platform/linux/textfile.h"

#define RESOLV_CONF_DEFAULT "/etc/resolv.conf"
#define RESOLV_CONF_BACKUP "/etc/resolv.conf.before-firezone"
#define RESOLV_CONF_LINES_MAX 256u

struct resolv_conf {
	const char *path, *backup; /* borrowed */
	struct textfile original;  /* what is to be put back */
	struct textfile written;   /* what we wrote; text NULL: the file is not ours */
	struct dns_control_stats *stats;
	char *why; /* DNS_CONTROL_WHY_BYTES, filled on error */
};

int resolv_conf_recover(struct resolv_conf *f) MUST_CHECK;
int resolv_conf_activate(struct resolv_conf *f, const struct ip *sentinels, size_t n, const char *search_domain) MUST_CHECK;
/* ERR_EXISTS: left alone. */
int resolv_conf_deactivate(struct resolv_conf *f) MUST_CHECK;
/* We wrote it, and now somebody else's file is there, without our first line. False when it cannot be read. */
bool resolv_conf_is_taken(const struct resolv_conf *f);
void resolv_conf_free(struct resolv_conf *f);

/* The servers of the file at `path`, or of `backup` while the first is ours. Symbolic links are followed. */
size_t resolv_conf_servers(const char *path, const char *backup, struct ip *out, size_t max);

/* The text that goes into the file: sentinels, search domain, and what `original` says besides servers, search list and ndots. ERR_MALFORMED:
 * *line is the number of the first line that is not understood. ERR_LIMIT: does not fit or has more than RESOLV_CONF_LINES_MAX lines. */
int resolv_conf_render(struct span original, const struct ip *sentinels, size_t n, const char *search_domain, const char *backup, char *out,
		       size_t cap, size_t *len, unsigned *line) MUST_CHECK;
/* Whether the first line is ours; *is_edited: by somebody else since. */
bool resolv_conf_is_ours(struct span text, bool *is_edited);
