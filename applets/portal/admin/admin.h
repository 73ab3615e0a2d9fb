/* applets/portal/admin/admin.h: everything anybody changes, as requests: a noun, a verb, named values, and who asks.
 *
 *	site add  account=acme name=Berlin   by nobody in particular   ──▶ done: id of the site, text for stdout
 *	actor disable  target=<own id>       by Jo in a browser        ──▶ denied: field "", "You cannot disable yourself: ..."
 *
 * One request means the same whether it comes from a page, the REST API, the Unix socket of a serving portal, or is run by the command
 * itself while nothing serves: admin_run() is all there is. It asks whether this principal may do that at all (spec 60 §1.1: the account of
 * a principal is forced, nothing of another account is touched, found or named), checks the values, writes in one transaction with what
 * must go with it (§3.11, §5.2), and tells connected peers. Pages and API build requests with action.h; the table of verbs (verbs.h) is
 * shared with the command line, which makes its options and help from it.
 *
 * Field names are those of the command line's options without dashes in front: `name`, `ip-stack`, `if-updated-at`. An empty value clears.
 */
#pragma once

#include "applets/portal/channels/hub.h"
#include "applets/portal/model/principal.h"

#define ADMIN_FIELDS_MAX 96u
#define ADMIN_REQUEST_MAX 65536u /* bytes of one encoded request */
#define ADMIN_REPLY_MAX (64u * 1024u * 1024u)
#define ADMIN_SECRET_MAX 1024u
#define ADMIN_REASON_MAX 512u

struct mailer;
struct fetcher;
struct oidc;
struct sync;
struct jobs;

/* What admin verbs and sockets work on. */
struct portal {
	struct store *store;
	struct secrets secrets;
	struct hub *hub;
	struct rng *rng;
	const struct zones *zones;
	struct fetcher *fetcher; /* outbound/fetch.h; NULL unless it serves, like the next two */
	struct oidc *oidc;	 /* auth/oidc.h */
	struct sync *sync;	 /* sync/sync.h */
	struct jobs *jobs;	 /* jobs.h; NULL unless it serves */
	struct mailer *mailer; /* mail/mail.h; NULL: nobody serves, or no mail is sent */
	u64 (*now)(void);
	u64 (*wall)(void);
	const char *web_url, *api_url; /* how browsers and peers reach it: "https://portal.example/", ends in '/'; of a portal that serves */
	struct auth *auth;	       /* what signing in remembers (auth/auth.h); NULL unless it serves */
	struct live *live;	       /* pages that are open (http/live.h); NULL unless it serves */
	/* Starts to sync a directory now; ERR_AGAIN while one runs. NULL while nothing serves. */
	int (*sync_now)(void *ctx, const struct uuid *account, const struct uuid *directory);
	void *sync_ctx;
};

struct admin_field {
	const char *name, *value;
};

struct admin_request {
	const char *noun, *verb;
	bool is_json;
	const struct principal *by; /* NULL: the operator of this machine */
	bool is_patient;	    /* lives on, with all it refers to, when it takes several turns of the loop: see reply.rest */
	struct admin_field field[ADMIN_FIELDS_MAX];
	u32 n_fields;
};

/* How it ended; for HTTP the status is in parentheses. */
enum admin_class {
	ADMIN_OK,
	ADMIN_INVALID,	   /* a value cannot be accepted: `field` and `reason` tell (422) */
	ADMIN_NOT_FOUND,   /* what it is about does not exist in this account (404) */
	ADMIN_DENIED,	   /* this principal may not, or the thing is the portal's own (403) */
	ADMIN_CONFLICT,	   /* there is one already, or it was changed meanwhile (409) */
	ADMIN_LIMIT,	   /* a limit of the account is reached (403; the command line's status is 1) */
	ADMIN_UNAVAILABLE, /* disk or memory refuse: nothing was changed, try again (503) */
};

struct admin_reply {
	int status; /* of the command: 0 done, 1 not possible, 2 not understood */
	enum admin_class class;
	struct uuid id;			/* of the thing made or changed; null when there is none */
	char field[32];			/* the name of the wrong field, "" when it is none in particular */
	char reason[ADMIN_REASON_MAX];	/* why, as a sentence for the person who filled the form; "" when done */
	char secret[ADMIN_SECRET_MAX];	/* a token or link that was made: to be shown this once */
	char *out, *err;		/* for the command line: stdout, stderr */
	size_t out_len;			/* without its NUL */
	char *members;			/* of set-members: a JSON array of the ids that are in it now */
	struct admin *rest;		/* not NULL: it is not done, and nothing else of the reply is valid */
};

/* What is long is done in slices of ADMIN_SLICE for a request that is patient, each in a transaction of its own:
 *
 *	admin_run() ──reply.rest──▶ the loop's next turn: admin_go_on() ──reply.rest──▶ … ──NULL──▶ done
 *	                │
 *	                └── nobody wants to know any more: admin_reply_free() leaves it as it is then */
#define ADMIN_SLICE USEC(400) /* of asking: to print it takes three times as long; and at most ADMIN_CHANGES rows, whose consequences take time too */
#define ADMIN_CHANGES 12u

void admin_run(struct portal *p, const struct admin_request *rq, struct admin_reply *reply);
void admin_go_on(struct admin_reply *reply);
/* When: at once, or when the disk has caught up. */
u64 admin_next_turn(const struct admin_reply *reply, u64 now);
/* Wipes and frees. */
void admin_reply_free(struct admin_reply *reply);

/* What goes, or loses its meaning, with a thing when it is deleted: for the page that asks "really?". Kinds without any are left out. */
#define DEPENDENTS_MAX STORE_DEPENDENTS_MAX
struct dependent {
	enum kind kind;
	const char *one, *many; /* "policy", "policies" */
	i64 n;
};
struct dependents {
	struct dependent at[DEPENDENTS_MAX];
	u32 n;
};
/* ERR_NOT_FOUND, or what the store says. */
int admin_dependents(struct portal *p, enum kind k, const struct uuid *account, const struct uuid *id, struct dependents *out) MUST_CHECK;

/* Frames on the socket: u32 length, then NUL-terminated strings: "1" or "0" (JSON), noun, verb, name, value, …; always by the operator.
 * The reply: u32 length, status byte, then two strings. */
int admin_encode_request(const struct admin_request *rq, struct wr *w) MUST_CHECK;
/* The strings of *rq point into `body`. ERR_MALFORMED, ERR_LIMIT. */
int admin_decode_request(struct span body, struct admin_request *rq) MUST_CHECK;
