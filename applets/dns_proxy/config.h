/* applets/dns_proxy/config.h: the configuration of dns-proxy: lines of words, from its file and from the command line alike.
 *
 *	# a comment
 *	listen 192.168.1.1                    # port 53
 *	upstream 9.9.9.9 https://dns.quad9.net/dns-query
 *	rule **.corp.example 10.0.0.53 tcp://10.0.0.54:5353
 *	record nas.lan A 192.168.1.5
 *	record nas.lan 60 TXT "a text"        # with its TTL in seconds
 *
 * Each line is a directive and its values; `#` at the start of a word begins a comment; "…" keeps spaces, `\"` and `\\` stand for themselves in
 * it. Every directive is also an option: `--rule '**.corp.example 10.0.0.53'` is the line `rule **.corp.example 10.0.0.53`. The table
 * config_words says which there are. Whatever is wrong is told with its place; reading goes on, so that all of it is told at once.
 *
 *      config_new ──▶ config_text, config_line ──▶ config_finish ──▶ values, split, clients ──▶ config_free
 *
 * Nothing here opens a file: texts come in, the names of blocklist files come out.
 */
#pragma once

#include "core/dns/clients.h"
#include "core/dns/proxy.h"
#include "core/http/url.h"

#define CONFIG_LISTEN_MAX 16u
#define CONFIG_BLOCKLISTS_MAX 16u
#define CONFIG_BOOTSTRAP_MAX 8u
#define CONFIG_PATH_MAX 108u /* with its NUL; a Unix socket's name has no more */
#define CONFIG_LINE_MAX 4096u
#define CONFIG_WORDS_MAX 64u
#define CONFIG_ERRORS_MAX 100u
#define CONFIG_BYTES_MAX (4u << 20)
#define CONFIG_RECORD_TTL 300u
#define CONFIG_PORT 53u
#define CONFIG_CACHE_BYTES_MAX (1u << 30)
#define CONFIG_RATE 1000u /* queries per second of one client; loopback has no limit */

/* What each directive is called, says of itself, and takes. */
struct config_word {
	const char *name;
	const char *meta; /* of its values */
	const char *help;
};
enum config_directive {
	CONFIG_LISTEN, CONFIG_UPSTREAM, CONFIG_RULE, CONFIG_RECORD, CONFIG_SEARCH, CONFIG_BLOCKLIST, CONFIG_BLOCK_ANSWER, CONFIG_ALLOW,
	CONFIG_STRANGERS, CONFIG_RATE_LIMIT, CONFIG_CACHE_SIZE, CONFIG_APPLICATION_DNS, CONFIG_BOOTSTRAP, CONFIG_QUERY_LOG,
	CONFIG_QUERY_LOG_FORMAT, CONFIG_STATS_SOCKET, CONFIG_USER,
	CONFIG_DIRECTIVES,
};
extern const struct config_word config_words[CONFIG_DIRECTIVES];

/* `place` is `file:line` or an option's name. */
typedef void config_report(void *ctx, const char *place, const char *what);

struct config {
	struct endpoint listen[CONFIG_LISTEN_MAX]; /* when finished never empty */
	u32 n_listen;
	struct split *split;      /* taken by whoever sets it to NULL */
	struct clients clients;   /* likewise, made by config_finish() */
	struct dns_server upstream[FORWARD_SERVERS_MAX];
	u32 n_upstream;
	bool has_no_upstream;     /* `upstream none` */
	bool wants_https;
	char https_name[HOST_MAX + 1]; /* a resolver that needs bootstrap servers, "" */
	struct cidr allow[CLIENTS_LISTED_MAX];
	u32 n_allow;
	char blocklist[CONFIG_BLOCKLISTS_MAX][CONFIG_PATH_MAX];
	char blocklist_place[CONFIG_BLOCKLISTS_MAX][CONFIG_PATH_MAX + 16];
	u32 n_blocklists;
	bool blocks_with_zero, refuses_silently, shows_application_dns;
	u32 rate, burst;
	size_t cache_bytes;
	struct ip bootstrap[CONFIG_BOOTSTRAP_MAX];
	u32 n_bootstrap;
	char query_log[CONFIG_PATH_MAX]; /* "": none; "stdout" */
	bool logs_json;
	char stats_socket[CONFIG_PATH_MAX]; /* "": none */
	bool is_stats_given;
	char user[CONFIG_PATH_MAX];
	bool is_user_given;

	u32 errors;
	config_report *report;
	void *report_ctx;
	struct rng *rng;
	bool is_given[CONFIG_DIRECTIVES], is_by_option[CONFIG_DIRECTIVES];
	bool is_option; /* being read */
	char place[CONFIG_PATH_MAX + 16];
};

/* Defaults. ERR_NOMEM. `report` is called for everything that is wrong. */
int config_init(struct config *c, struct rng *rng, config_report *report, void *ctx) MUST_CHECK;
void config_deinit(struct config *c);

/* The text of a file called `name` in messages. */
void config_text(struct config *c, const char *name, struct span text);
/* One directive with its values as an option gave them. To be called before config_text(): of what may be said once, files then say nothing. */
void config_option(struct config *c, enum config_directive d, const char *values);
void config_error(struct config *c, const char *place, const char *what);

/* Rules and clients are complete. `resolv_conf` is its text, for servers that were not named; those that are this proxy itself, as `is_own` tells
 * for an address that none of the listeners has literally (NULL: none is), are left out. Errors were reported: c->errors > 0. */
void config_finish(struct config *c, struct span resolv_conf, bool (*is_own)(const struct ip *ip));
