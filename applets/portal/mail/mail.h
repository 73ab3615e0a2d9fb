/* applets/portal/mail/mail.h: mail that the portal sends, for those who want one sent (spec 60 §0.2, §1.2, §3.4, §8, §12).
 *
 *	mail_send() ──▶ composed, queued in the store ──▶ handed to the transport ──▶ accepted: secrets are wiped, the row is kept a while
 *	                                                      │        ▲
 *	                                        4xx, no answer └─ later ┘        5xx, or too old: given up, wiped, logged
 *
 * The door takes what the mail is about and nothing else; wording and form are message.c's, order and retries queue.c's. Inside a
 * transaction of the store the mail joins it: rolled back, it was never sent. Without a transport mail_send() is ERR_UNSUPPORTED: pages
 * ask mail_is_possible() first and say so.
 *
 * All text is borrowed for the call. Names and reasons may be anything people type: they are cut, and can end no line and no header.
 */
#pragma once

#include "applets/portal/admin/admin.h"

#define MAIL_LINES_MAX 32u /* rows of a list in a mail; more are counted */

enum mail_kind {
	MAIL_CODE,     /* sign-in: code, url, remote_ip, user_agent; goes before everything else, and is worthless after 15 minutes */
	MAIL_WELCOME,  /* a user exists now: url of the sign-in page */
	MAIL_INVITE,   /* first sign-in by a one-time link: url, expires_at, by */
	MAIL_RECOVERY, /* a new way in, by a one-time link: url, expires_at, remote_ip, user_agent */
	MAIL_TEST,     /* from the settings page: by */
	MAIL_SYNC,     /* a directory cannot be read: subject (its name), reason, url */
	MAIL_OUTDATED, /* gateways with an old version: lines ("name, version"), url */
	MAIL_LIMITS,   /* limits that are exceeded: lines, url */
};

struct mail {
	enum mail_kind kind;
	struct uuid account_id;	  /* null: about no account */
	const char *to;		  /* address; ERR_INVAL when it cannot be one */
	const char *to_name;	  /* may be NULL */
	const char *account_name; /* may be NULL */
	const char *by;		  /* who caused it */
	const char *code;	  /* secret */
	const char *url;	  /* absolute; of codes and one-time links secret */
	const char *subject, *reason;
	const char *const *lines;
	u32 n_lines;
	struct ip remote_ip;	  /* family 0: not known */
	const char *user_agent;
	u64 expires_at;		  /* ns since 1970, 0: not said */
};

/* 0: queued. ERR_UNSUPPORTED: this portal sends no mail. ERR_INVAL: not an address, or something the kind needs is missing.
 * ERR_LIMIT: the queue is full. ERR_IO: the store refuses. The call returns at once; what becomes of the mail shows in the log and in mail_status(). */
int mail_send(struct portal *p, const struct mail *m) MUST_CHECK;

bool mail_is_possible(const struct portal *p);

/* Somebody changed rows of the queue (`mail retry`): it is read again, once the present transaction is over. */
void mail_look_again(struct portal *p);

/* For the settings page. Texts live until the next turn of the loop. */
struct mail_status {
	bool is_possible;
	const char *from;	   /* "firezone@portal.example" */
	const char *transport;	   /* "smtp.example port 587 with STARTTLS", "sendmail"; never a password */
	u64 queued;
	u64 sent_at, failed_at;	   /* wall, ns; 0 never */
	const char *sent_to, *failed_to, *failure; /* "" when never */
};
void mail_status(struct portal *p, struct mail_status *out);

/* Sends one mail now, past the queue, and says how it went: `done` is called once, later, from the loop, with 0 or an error and a sentence
 * for people (what the server said). Returns an id for mail_test_cancel(), 0 when nothing can be tried (`why`). */
typedef void mail_test_done(void *ctx, int rc, const char *what);
u64 mail_test(struct portal *p, const char *to, const char *by, mail_test_done *done, void *ctx, char *why, size_t why_cap);
/* The one who asked is gone; `done` is not called any more. Unknown ids are ignored. */
void mail_test_cancel(struct portal *p, u64 id);
