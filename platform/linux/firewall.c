#define LOG_TARGET "platform::firewall"
#include "platform/firewall.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/ip/addr.h"
#include "platform/linux/netlink.h"
#include "platform/sys.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Theory of operation. nf_tables takes a batch of messages: begin, then objects to make or delete, then end. Each message of ours asks
 * for an acknowledgement, so one answer per message comes back. A rule is a list of expressions over registers: load something into
 * register 1, compare it (the rule ends where a comparison fails), then say what to do. Numbers in attributes are big endian. */

#define NAME_MAX_BYTES 32u /* names in old kernels */
#define IFNAME_MAX 16u
#define OLD_RULES_MAX 16u
#define POSTROUTING "postrouting"
#define PRIORITY_NAT_SRC 100

struct batch {
	struct nl_msg m;
	u32 acks;
};

static u16 nft_type(int msg)
{
	return (u16)(NFNL_SUBSYS_NFTABLES << 8 | msg);
}

static void put_family(struct nl_msg *m, u8 family, u16 resource)
{
	struct nfgenmsg *nf = nl_header(m, sizeof(*nf));
	nf->nfgen_family = family;
	nf->version = NFNETLINK_V0;
	nf->res_id = htons(resource);
}

static void batch_begin(struct batch *b)
{
	b->acks = 0;
	nl_begin(&b->m, NFNL_MSG_BATCH_BEGIN, 0);
	put_family(&b->m, 0, NFNL_SUBSYS_NFTABLES);
}

static void batch_add(struct batch *b, int msg, u8 family, u16 flags)
{
	nl_next(&b->m, nft_type(msg), flags | NLM_F_ACK);
	put_family(&b->m, family, 0);
	b->acks++;
}

static int batch_commit(struct nl_sock *nl, struct batch *b)
{
	nl_next(&b->m, NFNL_MSG_BATCH_END, 0);
	put_family(&b->m, 0, NFNL_SUBSYS_NFTABLES);
	return b->acks == 0 ? 0 : nl_transact(nl, &b->m, b->acks);
}

/* ---- expressions ---- */

struct expr {
	u32 elem, data;
};

static struct expr expr_begin(struct nl_msg *m, const char *name)
{
	struct expr e;
	e.elem = nl_nest(m, NFTA_LIST_ELEM);
	nl_put_str(m, NFTA_EXPR_NAME, name);
	e.data = nl_nest(m, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct nl_msg *m, struct expr e)
{
	nl_unnest(m, e.data);
	nl_unnest(m, e.elem);
}

static void put_value(struct nl_msg *m, u16 type, const void *data, u32 n)
{
	u32 nest = nl_nest(m, type);
	nl_put(m, NFTA_DATA_VALUE, data, n);
	nl_unnest(m, nest);
}

static void expr_cmp(struct nl_msg *m, enum nft_cmp_ops op, const void *data, u32 n)
{
	struct expr e = expr_begin(m, "cmp");
	nl_put_be32(m, NFTA_CMP_SREG, NFT_REG_1);
	nl_put_be32(m, NFTA_CMP_OP, op);
	put_value(m, NFTA_CMP_DATA, data, n);
	expr_end(m, e);
}

static void expr_meta(struct nl_msg *m, enum nft_meta_keys key)
{
	struct expr e = expr_begin(m, "meta");
	nl_put_be32(m, NFTA_META_KEY, key);
	nl_put_be32(m, NFTA_META_DREG, NFT_REG_1);
	expr_end(m, e);
}

/* The whole name, with its NUL, or only its beginning. */
static void expr_ifname(struct nl_msg *m, enum nft_meta_keys key, enum nft_cmp_ops op, const char *name, bool is_prefix)
{
	expr_meta(m, key);
	expr_cmp(m, op, name, (u32)strlen(name) + (is_prefix ? 0 : 1));
}

static void expr_source_in(struct nl_msg *m, const struct cidr *net)
{
	u32 n = (u32)ip_len(&net->ip);
	u8 mask[16] = { 0 }, zero[16] = { 0 };
	for (u32 bit = 0; bit < net->len; bit++)
		mask[bit / 8] |= (u8)(0x80 >> bit % 8);

	struct expr load = expr_begin(m, "payload");
	nl_put_be32(m, NFTA_PAYLOAD_DREG, NFT_REG_1);
	nl_put_be32(m, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	nl_put_be32(m, NFTA_PAYLOAD_OFFSET, net->ip.family == 4 ? 12 : 8); /* source address */
	nl_put_be32(m, NFTA_PAYLOAD_LEN, n);
	expr_end(m, load);

	struct expr bits = expr_begin(m, "bitwise");
	nl_put_be32(m, NFTA_BITWISE_SREG, NFT_REG_1);
	nl_put_be32(m, NFTA_BITWISE_DREG, NFT_REG_1);
	nl_put_be32(m, NFTA_BITWISE_LEN, n);
	put_value(m, NFTA_BITWISE_MASK, mask, n);
	put_value(m, NFTA_BITWISE_XOR, zero, n);
	expr_end(m, bits);

	expr_cmp(m, NFT_CMP_EQ, net->ip.b, n);
}

static void expr_accept(struct nl_msg *m)
{
	struct expr e = expr_begin(m, "immediate");
	nl_put_be32(m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	u32 data = nl_nest(m, NFTA_IMMEDIATE_DATA);
	u32 verdict = nl_nest(m, NFTA_DATA_VERDICT);
	nl_put_be32(m, NFTA_VERDICT_CODE, NF_ACCEPT);
	nl_unnest(m, verdict);
	nl_unnest(m, data);
	expr_end(m, e);
}

static void expr_plain(struct nl_msg *m, const char *name)
{
	expr_end(m, expr_begin(m, name));
}

/* ---- our tables ---- */

struct family {
	u8 nf;
	const struct cidr *peers;
	const char *label;
};

static const struct family families[2] = {
	{ NFPROTO_IPV4, &net_peers4, "ip" },
	{ NFPROTO_IPV6, &net_peers6, "ip6" },
};

static int table_name(char name[static NAME_MAX_BYTES], const char *tunnel)
{
	size_t n = strlen(tunnel);
	if (n == 0 || n >= IFNAME_MAX)
		return ERR_INVAL;
	snprintf(name, NAME_MAX_BYTES, "emberbox-%s", tunnel);
	return 0;
}

static void put_table(struct batch *b, int msg, u8 nf, const char *table)
{
	batch_add(b, msg, nf, msg == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
	nl_put_str(&b->m, NFTA_TABLE_NAME, table);
}

/* Deleting what may not be there: make it first, which is no error when it is. */
static void put_table_away(struct batch *b, u8 nf, const char *table)
{
	put_table(b, NFT_MSG_NEWTABLE, nf, table);
	put_table(b, NFT_MSG_DELTABLE, nf, table);
}

static void put_nat_chain(struct batch *b, u8 nf, const char *table)
{
	struct nl_msg *m = &b->m;
	batch_add(b, NFT_MSG_NEWCHAIN, nf, NLM_F_CREATE);
	nl_put_str(m, NFTA_CHAIN_TABLE, table);
	nl_put_str(m, NFTA_CHAIN_NAME, POSTROUTING);
	u32 hook = nl_nest(m, NFTA_CHAIN_HOOK);
	nl_put_be32(m, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	nl_put_be32(m, NFTA_HOOK_PRIORITY, PRIORITY_NAT_SRC);
	nl_unnest(m, hook);
	nl_put_be32(m, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nl_put_str(m, NFTA_CHAIN_TYPE, "nat");
}

static u32 rule_begin(struct batch *b, u8 nf, const char *table, const char *chain, u16 flags)
{
	batch_add(b, NFT_MSG_NEWRULE, nf, NLM_F_CREATE | flags);
	nl_put_str(&b->m, NFTA_RULE_TABLE, table);
	nl_put_str(&b->m, NFTA_RULE_CHAIN, chain);
	return nl_nest(&b->m, NFTA_RULE_EXPRESSIONS);
}

/* Masquerade the family's peers: by one egress prefix, or (NULL) by all but the tunnel and loopback. */
static void put_masquerade(struct batch *b, const struct family *f, const char *table, const char *tunnel, const char *prefix)
{
	u32 rule = rule_begin(b, f->nf, table, POSTROUTING, NLM_F_APPEND);
	expr_source_in(&b->m, f->peers);
	if (prefix) {
		expr_ifname(&b->m, NFT_META_OIFNAME, NFT_CMP_EQ, prefix, true);
	} else {
		expr_ifname(&b->m, NFT_META_OIFNAME, NFT_CMP_NEQ, tunnel, false);
		expr_ifname(&b->m, NFT_META_OIFNAME, NFT_CMP_NEQ, "lo", false);
	}
	expr_plain(&b->m, "counter");
	expr_plain(&b->m, "masq");
	nl_unnest(&b->m, rule);
}

/* ---- foreign forward chains ---- */

/* The comment in the form nft and iptables-nft keep it: type 0, length, text with NUL. */
static u32 comment_bytes(u8 out[static NAME_MAX_BYTES + 2], const char *text)
{
	size_t n = strlen(text) + 1;
	out[0] = 0;
	out[1] = (u8)n;
	memcpy(out + 2, text, n);
	return (u32)n + 2;
}

static void put_forward_accept(struct batch *b, u8 nf, enum nft_meta_keys key, const char *tunnel, const char *comment)
{
	u8 udata[NAME_MAX_BYTES + 2];
	u32 rule = rule_begin(b, nf, "filter", "FORWARD", 0); /* without NLM_F_APPEND: in front */
	expr_ifname(&b->m, key, NFT_CMP_EQ, tunnel, false);
	expr_plain(&b->m, "counter");
	expr_accept(&b->m);
	nl_unnest(&b->m, rule);
	nl_put(&b->m, NFTA_RULE_USERDATA, udata, comment_bytes(udata, comment));
}

struct survey {
	const char *table;      /* ours, not to be warned of */
	const char *comment;
	u8 nf;
	bool has_forward;       /* filter FORWARD is there */
	bool warns;
	u32 n_old;
	u64 old_rules[OLD_RULES_MAX]; /* handles, big endian as they came */
};

static const char *attr_str(const struct nl_attr *a)
{
	return a->len > 0 && a->data[a->len - 1] == 0 ? (const char *)a->data : "";
}

static u32 attr_be32(const struct nl_attr *a)
{
	return ntohl(nl_attr_u32(a));
}

static void survey_chain(void *ctx, const struct nlmsghdr *h)
{
	struct survey *s = ctx;
	struct nl_attr a;
	const char *table = "", *name = "";
	u32 hook = UINT32_MAX, policy = NF_ACCEPT;
	if (h->nlmsg_type != nft_type(NFT_MSG_NEWCHAIN))
		return;
	struct nfgenmsg nf;
	memcpy(&nf, (const u8 *)h + NLMSG_HDRLEN, sizeof(nf));
	for (struct nl_walk w = nl_attrs(h, sizeof(nf)); nl_attr_next(&w, &a);) {
		if (a.type == NFTA_CHAIN_TABLE)
			table = attr_str(&a);
		else if (a.type == NFTA_CHAIN_NAME)
			name = attr_str(&a);
		else if (a.type == NFTA_CHAIN_POLICY)
			policy = attr_be32(&a);
		else if (a.type == NFTA_CHAIN_HOOK) {
			struct nl_attr in;
			for (struct nl_walk v = nl_nested(&a); nl_attr_next(&v, &in);)
				if (in.type == NFTA_HOOK_HOOKNUM)
					hook = attr_be32(&in);
		}
	}
	if (nf.nfgen_family == s->nf && strcmp(table, "filter") == 0 && strcmp(name, "FORWARD") == 0)
		s->has_forward = true;
	else if (s->warns && hook == NF_INET_FORWARD && policy == NF_DROP &&
		 (nf.nfgen_family == s->nf || nf.nfgen_family == NFPROTO_INET))
		log_warn("another firewall drops what is forwarded; let the tunnel pass there", kv_s("table", table),
			 kv_s("chain", name));
}

static void survey_rule(void *ctx, const struct nlmsghdr *h)
{
	struct survey *s = ctx;
	struct nl_attr a;
	u8 udata[NAME_MAX_BYTES + 2];
	u32 n = comment_bytes(udata, s->comment);
	u64 handle = 0;
	bool is_ours = false;
	if (h->nlmsg_type != nft_type(NFT_MSG_NEWRULE))
		return;
	for (struct nl_walk w = nl_attrs(h, sizeof(struct nfgenmsg)); nl_attr_next(&w, &a);) {
		if (a.type == NFTA_RULE_HANDLE && a.len == sizeof(handle))
			memcpy(&handle, a.data, sizeof(handle));
		else if (a.type == NFTA_RULE_USERDATA)
			is_ours = a.len == n && memcmp(a.data, udata, n) == 0;
	}
	if (is_ours && s->n_old < OLD_RULES_MAX)
		s->old_rules[s->n_old++] = handle;
}

static int survey_forward(struct nl_sock *nl, struct survey *s)
{
	struct nl_msg m;
	nl_begin(&m, nft_type(NFT_MSG_GETCHAIN), 0);
	put_family(&m, NFPROTO_UNSPEC, 0);
	int rc = nl_dump(nl, &m, survey_chain, s);
	if (rc < 0 || !s->has_forward)
		return rc;
	nl_begin(&m, nft_type(NFT_MSG_GETRULE), 0);
	put_family(&m, s->nf, 0);
	nl_put_str(&m, NFTA_RULE_TABLE, "filter");
	nl_put_str(&m, NFTA_RULE_CHAIN, "FORWARD");
	return nl_dump(nl, &m, survey_rule, s);
}

static void put_old_rules_away(struct batch *b, const struct survey *s)
{
	for (u32 i = 0; i < s->n_old; i++) {
		batch_add(b, NFT_MSG_DELRULE, s->nf, 0);
		nl_put_str(&b->m, NFTA_RULE_TABLE, "filter");
		nl_put_str(&b->m, NFTA_RULE_CHAIN, "FORWARD");
		nl_put(&b->m, NFTA_RULE_HANDLE, &s->old_rules[i], sizeof(s->old_rules[i]));
	}
}

/* ---- the doors ---- */

static int install_family(struct nl_sock *nl, struct batch *b, const struct family *f, const struct firewall_config *cfg,
			  const char *table)
{
	struct survey s = { .table = table, .comment = table, .nf = f->nf, .warns = true };
	int rc = survey_forward(nl, &s);
	if (rc < 0)
		return rc;
	batch_begin(b);
	put_table_away(b, f->nf, table);
	put_table(b, NFT_MSG_NEWTABLE, f->nf, table);
	put_nat_chain(b, f->nf, table);
	if (!cfg->egress)
		put_masquerade(b, f, table, cfg->tunnel, NULL);
	for (u32 i = 0; cfg->egress && cfg->egress[i]; i++)
		put_masquerade(b, f, table, cfg->tunnel, cfg->egress[i]);
	put_old_rules_away(b, &s);
	if (s.has_forward) {
		put_forward_accept(b, f->nf, NFT_META_OIFNAME, cfg->tunnel, table);
		put_forward_accept(b, f->nf, NFT_META_IIFNAME, cfg->tunnel, table);
	}
	return batch_commit(nl, b);
}

static int remove_family(struct nl_sock *nl, struct batch *b, const struct family *f, const char *table)
{
	struct survey s = { .table = table, .comment = table, .nf = f->nf };
	int rc = survey_forward(nl, &s);
	if (rc < 0)
		return rc;
	batch_begin(b);
	put_table_away(b, f->nf, table);
	put_old_rules_away(b, &s);
	return batch_commit(nl, b);
}

static int check_config(const struct firewall_config *cfg)
{
	for (u32 i = 0; cfg->egress && cfg->egress[i]; i++) {
		size_t n = strlen(cfg->egress[i]);
		if (n == 0 || n >= IFNAME_MAX)
			return ERR_INVAL;
		if (i == FIREWALL_EGRESS_MAX)
			return ERR_LIMIT;
	}
	return 0;
}

/* Either family will do; cfg NULL removes. */
static int change_both(const char *tunnel, const struct firewall_config *cfg)
{
	char table[NAME_MAX_BYTES];
	struct nl_sock nl = { .fd = -1 };
	int rc = table_name(table, tunnel);
	if (rc < 0)
		return rc;
	struct batch *b = malloc(sizeof(*b));
	if (!b)
		return ERR_NOMEM;
	rc = nl_open(&nl, NETLINK_NETFILTER);
	if (rc < 0)
		goto out;
	int errors[2];
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		errors[i] = cfg ? install_family(&nl, b, &families[i], cfg, table) : remove_family(&nl, b, &families[i], table);
		if (errors[i] < 0)
			log_info("no firewall rules for this family", kv_s("family", families[i].label), kv_i("errno", -errors[i]));
	}
	rc = errors[0] < 0 && errors[1] < 0 ? nl_err(errors[0]) : 0;
out:
	nl_close(&nl);
	free(b);
	return rc;
}

int firewall_install(const struct firewall_config *cfg)
{
	int rc = check_config(cfg);
	return rc < 0 ? rc : change_both(cfg->tunnel, cfg);
}

int firewall_remove(const char *tunnel)
{
	return change_both(tunnel, NULL);
}

/* ---- forwarding ---- */

/* Interfaces with accept_ra 1 stop listening to routers once they forward; 2 says: although. */
static void keep_router_advertisements(void)
{
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	if (!dir)
		return;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		char name[320], value[16] = "";
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "net/ipv6/conf/%s/accept_ra", e->d_name);
		if (sys_sysctl_get(name, value, sizeof(value)) == 0 && strcmp(value, "1") == 0)
			(void)sys_sysctl_set(name, "2");
	}
	closedir(dir);
}

static bool is_set(const char *name, const char *value)
{
	char now[16] = "";
	return sys_sysctl_get(name, now, sizeof(now)) == 0 && strcmp(now, value) == 0;
}

static int ensure(const char *name, const char *value)
{
	if (is_set(name, value))
		return 0;
	int rc = sys_sysctl_set(name, value);
	if (rc == ERR_NOT_FOUND)
		return 0; /* a kernel without this family */
	if (rc < 0)
		log_warn("cannot set a sysctl that forwarding needs", kv_s("name", name), kv_s("value", value), kv_err(rc));
	return rc;
}

int firewall_enable_forwarding(void)
{
	static const char *const wanted[][2] = {
		{ "net/ipv4/ip_forward", "1" },
		{ "net/ipv4/conf/all/src_valid_mark", "1" },
		{ "net/ipv6/conf/all/disable_ipv6", "0" },
		{ "net/ipv6/conf/all/forwarding", "1" },
		{ "net/ipv6/conf/default/forwarding", "1" },
	};
	int first_error = 0;
	if (!is_set("net/ipv6/conf/all/forwarding", "1"))
		keep_router_advertisements();
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		int rc = ensure(wanted[i][0], wanted[i][1]);
		if (rc < 0 && first_error == 0)
			first_error = rc;
	}
	return first_error;
}
