/* platform/linux/netlink.h: netlink messages: building them, sending them in step with the kernel's answers, walking what comes back.
 *
 *	struct nl_msg m;
 *	nl_begin(&m, RTM_NEWROUTE, NLM_F_CREATE);
 *	struct rtmsg *rt = nl_header(&m, sizeof(*rt));  …
 *	nl_put_u32(&m, RTA_OIF, ifindex);
 *	rc = nl_request(nl, &m);          0 or -errno: the kernel has done it, or not, when this returns
 *
 * Building is sticky like struct wr: a message that grew too long fails in nl_request() with -EMSGSIZE. Attributes may nest.
 * Used for both NETLINK_ROUTE and NETLINK_NETFILTER. A socket is for one request at a time.
 */
#pragma once

#include "core/base/types.h"

#include <linux/netlink.h>

#define NL_MSG_MAX 16384u
#define NL_RECV_MAX 32768u /* the kernel packs dumps into at most this much */

struct nl_sock {
	int fd;
	u32 seq, port;
	u8 *buf; /* NL_RECV_MAX */
};

int nl_open(struct nl_sock *nl, int protocol); /* 0 or negative enum err */
void nl_close(struct nl_sock *nl);

struct nl_msg {
	alignas(struct nlmsghdr) u8 bytes[NL_MSG_MAX];
	u32 len;
	u32 start; /* of the message being built: a batch holds several */
	bool failed;
};

/* Starts the first message, or a further one of a batch when nl_next() is used. NLM_F_REQUEST is added. */
void nl_begin(struct nl_msg *m, u16 type, u16 flags);
void nl_next(struct nl_msg *m, u16 type, u16 flags);
void *nl_header(struct nl_msg *m, u32 n); /* the family's header, zeroed; never NULL */
void nl_put(struct nl_msg *m, u16 type, const void *data, u32 n);
void nl_put_str(struct nl_msg *m, u16 type, const char *s); /* with its NUL */
void nl_put_u32(struct nl_msg *m, u16 type, u32 v);         /* host order */
void nl_put_be32(struct nl_msg *m, u16 type, u32 v);
u32 nl_nest(struct nl_msg *m, u16 type); /* open a nested attribute … */
void nl_unnest(struct nl_msg *m, u32 at); /* … and close it */

/* One message, acknowledged. 0 or -errno. */
int nl_request(struct nl_sock *nl, struct nl_msg *m);
/* A question with one answer, which goes to `each`. 0 or -errno. */
int nl_get(struct nl_sock *nl, struct nl_msg *m, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx);
/* A dump: each message goes to `each`. 0 or -errno; -EAGAIN when the tables changed meanwhile (the result may be incomplete). */
int nl_dump(struct nl_sock *nl, struct nl_msg *m, void (*each)(void *ctx, const struct nlmsghdr *h), void *ctx);
/* A batch (nl_next), of which `acks` messages carry NLM_F_ACK: 0 or the first error, after all were answered. */
int nl_transact(struct nl_sock *nl, struct nl_msg *m, u32 acks);
int nl_err(int rc); /* 0 or -errno to enum err */

/* Walking: the payload behind a family header of `header` bytes, attribute by attribute. */
struct nl_attr {
	u16 type;
	const u8 *data;
	u32 len;
};

struct nl_walk {
	const u8 *p, *end;
};

struct nl_walk nl_attrs(const struct nlmsghdr *h, u32 header);
struct nl_walk nl_nested(const struct nl_attr *a);
bool nl_attr_next(struct nl_walk *w, struct nl_attr *out);
u32 nl_attr_u32(const struct nl_attr *a); /* host order; 0 when it is no u32 */
