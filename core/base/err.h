/* core/base/err.h: the reasons a call of ours can fail.
 *
 * Functions return 0 (or a count >= 0) on success and one of these negative values otherwise. A library function returns the
 * reason and does not log it; the caller that decides what to do about it reports it once.
 */
#pragma once

enum err {
	OK = 0,
	ERR_NOMEM = -1,       /* out of memory */
	ERR_INVAL = -2,       /* an argument or option is not acceptable */
	ERR_MALFORMED = -3,   /* bytes from a peer do not follow the protocol */
	ERR_TRUNCATED = -4,   /* input ended early, or output buffer too small */
	ERR_LIMIT = -5,       /* a named limit is reached */
	ERR_NOT_FOUND = -6,   /* no such entry */
	ERR_EXISTS = -7,      /* entry is already there */
	ERR_STATE = -8,       /* not possible in the present state */
	ERR_AGAIN = -9,       /* would block; try when ready */
	ERR_NOT_OURS = -10,   /* well formed, but belongs to another owner */
	ERR_AUTH = -11,       /* authentication or integrity check failed */
	ERR_DENIED = -12,     /* policy, filter or permission refuses it */
	ERR_REPLAY = -13,     /* seen before, or too old */
	ERR_EXPIRED = -14,    /* lifetime is over */
	ERR_TIMEOUT = -15,    /* no answer in time */
	ERR_CLOSED = -16,     /* the other side is gone */
	ERR_IO = -17,         /* the operating system reports a failure; errno says which */
	ERR_UNSUPPORTED = -18, /* this system, build or peer cannot do it */
	ERR_NO_ROUTE = -19,   /* nowhere to send it */
	ERR_NO_RELAY = -20,   /* no relay qualifies (spec 20 §8.2) */
	ERR_INTERNAL = -21,   /* a promise inside the program was broken */
};

/* A short English phrase for any value above; never NULL. */
const char *err_str(int err);
