#define LOG_TARGET "quickstart"

#include "applets/applet.h"
#include "applets/common/logging.h"
#include "applets/common/options.h"
#include "applets/quickstart/setup.h"
#include "applets/quickstart/supervisor.h"
#include "applets/version.h"
#include "core/base/log.h"
#include "platform/firewall.h"
#include "platform/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DIR_DEFAULT "/var/lib/emberbox/quickstart"
#define TUNNEL "tun-firezone"
#define VALUE_MAX 700

struct options {
	const char *dir, *tls_cert, *tls_key, *host, *ca;
	struct ip address4, address6;
	u64 port;
	int log_format;
};

#define F(f) offsetof(struct options, f)

static const char *const log_formats[] = { "human", "json", NULL };

static const struct opt_def defs[] = {
	{ "dir", 0, "EMBERBOX_QUICKSTART_DIR", OPT_STR, F(dir), .dflt = DIR_DEFAULT, .meta = "DIR", .help = "everything that is kept" },
	{ "address", 0, "PUBLIC_IP4_ADDR", OPT_IP4, F(address4),
	  .help = "IPv4 address at which clients reach this host; the one of its default route when not given" },
	{ "address6", 0, "PUBLIC_IP6_ADDR", OPT_IP6, F(address6), .help = "the same for IPv6" },
	{ "port", 0, "EMBERBOX_PORTAL_PORT", OPT_UINT, F(port), .dflt = "13001", .min = 1, .max = 65535, .help = "TCP port of the portal" },
	{ "tls-cert", 0, "EMBERBOX_PORTAL_TLS_CERT", OPT_STR, F(tls_cert), .meta = "FILE", .help = "certificate chain of the portal, PEM" },
	{ "tls-key", 0, "EMBERBOX_PORTAL_TLS_KEY", OPT_STR, F(tls_key), .meta = "FILE", .help = "its key" },
	{ "host", 0, "EMBERBOX_PORTAL_HOST", OPT_STR, F(host), .meta = "NAME", .help = "the name in that certificate; the address when not given" },
	{ "ca", 0, "EMBERBOX_CA", OPT_STR, F(ca), .meta = "FILE", .help = "its authority, when the system does not know it" },
	{ "log-format", 0, "LOG_FORMAT", OPT_CHOICE, F(log_format), .dflt = "human", .choices = log_formats, .help = "human or json" },
};

static const struct opt_spec spec = {
	.program = "emberbox quickstart",
	.version = "emberbox " EMBERBOX_VERSION,
	.summary = "Portal, relay and gateway on this host, ready to use: prints how to add a resource and how to connect a client.",
	.defs = defs,
	.n_defs = ARRAY_LEN(defs),
	.examples = "  emberbox quickstart\n"
		    "      all in " DIR_DEFAULT "; Ctrl-C or SIGTERM stops everything\n"
		    "  emberbox quickstart --address 203.0.113.5 --tls-cert chain.pem --tls-key key.pem --host vpn.example.org --port 443\n",
};

/* ---- who are we to others? ----------------------------------------------------------------------------------------------------- */

/* The address with which this host would go out; asking for the route sends nothing. */
static struct ip own_address(int family)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x01010101) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_storage local;
	socklen_t n = sizeof(local);
	struct ip ip = { .family = 0 };

	inet_pton(AF_INET6, "2606:4700:4700::1111", &a6.sin6_addr);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    connect(fd, family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6, family == AF_INET ? sizeof(a4) : sizeof(a6)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&local, &n) == 0)
		ip = family == AF_INET ? ip_from_bytes(4, (const u8 *)&((struct sockaddr_in *)&local)->sin_addr) :
					 ip_from_bytes(6, (const u8 *)&((struct sockaddr_in6 *)&local)->sin6_addr);
	if (fd >= 0)
		close(fd);
	return ip;
}

/* ---- parts --------------------------------------------------------------------------------------------------------------------------- */

struct quickstart {
	struct options o;
	struct setup setup;
	char url[VALUE_MAX], local_url[VALUE_MAX], web_url[VALUE_MAX];
	char env[16][VALUE_MAX];
	u32 n_env;
	struct part parts[3];
};

static const char *env(struct quickstart *q, const char *name, const char *value)
{
	char *out = q->env[q->n_env++];

	snprintf(out, VALUE_MAX, "%s=%s", name, value);
	return out;
}

static bool portal_answers(void *ctx)
{
	const struct quickstart *q = ctx;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/admin.sock", q->setup.portal_dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = n < (int)sizeof(sa.sun_path) && fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void add_portal(struct quickstart *q, struct part *p)
{
	static char listen4[32], listen6[32];
	u32 n = 0;

	snprintf(listen4, sizeof(listen4), "0.0.0.0:%u", (unsigned)q->o.port);
	snprintf(listen6, sizeof(listen6), "[::]:%u", (unsigned)q->o.port);
	p->name = "portal";
	p->is_ready = portal_answers;
	p->ctx = q;
	p->args[n++] = "portal";
	p->args[n++] = "--dir";
	p->args[n++] = q->setup.portal_dir;
	p->args[n++] = "serve";
	p->args[n++] = "--listen";
	p->args[n++] = listen4;
	if (q->o.address6.family) {
		p->args[n++] = "--listen";
		p->args[n++] = listen6;
	}
	p->args[n++] = "--api-url";
	p->args[n++] = q->url;
	p->args[n++] = "--web-url";
	p->args[n++] = q->web_url;
	p->args[n++] = "--log-format";
	p->args[n++] = log_formats[q->o.log_format];
	if (q->o.tls_cert) {
		p->args[n++] = "--tls-cert";
		p->args[n++] = q->o.tls_cert;
		p->args[n++] = "--tls-key";
		p->args[n++] = q->o.tls_key;
	}
}

static u32 add_common(struct quickstart *q, struct part *p, const char *name, const char *token, const char *health)
{
	u32 n = 0;

	p->name = name;
	p->args[0] = name;
	p->env[n++] = env(q, "FIREZONE_TOKEN", token);
	p->env[n++] = env(q, "FIREZONE_API_URL", q->local_url);
	p->env[n++] = env(q, "HEALTH_CHECK_ADDR", health);
	if (q->o.ca)
		p->env[n++] = env(q, "EMBERBOX_CA", q->o.ca);
	return n;
}

static void add_relay(struct quickstart *q, struct part *p)
{
	u32 n = add_common(q, p, "relay", q->setup.relay_token, "127.0.0.1:13081");
	char text[IP_STRLEN];

	if (q->o.address4.family)
		p->env[n++] = env(q, "PUBLIC_IP4_ADDR", ip_format(&q->o.address4, text));
	if (q->o.address6.family)
		p->env[n++] = env(q, "PUBLIC_IP6_ADDR", ip_format(&q->o.address6, text));
	p->env[n++] = env(q, "LOG_FORMAT", log_formats[q->o.log_format]);
}

static void add_gateway(struct quickstart *q, struct part *p)
{
	u32 n = add_common(q, p, "gateway", q->setup.gateway_token, "127.0.0.1:13080");

	p->env[n++] = env(q, "FIREZONE_ID", q->setup.gateway_id);
	p->env[n++] = env(q, "FIREZONE_NAME", "quickstart");
	p->env[n++] = env(q, "FIREZONE_LOG_FORMAT", log_formats[q->o.log_format]);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------------------- */

static void print_next_steps(void *ctx)
{
	const struct quickstart *q = ctx;

	printf("\n"
	       "Portal, relay and gateway run%s. State: %s\n\n",
	       q->setup.is_new ? " for the first time" : "", q->setup.dir);
	if (q->setup.first_link[0])
		printf("Name your network and become its first administrator (this link works once, for a day):\n  %s%s\n\n", q->web_url,
		       q->setup.first_link);
	else
		printf("The pages of the portal:\n  %s\n\n", q->web_url);
	printf(	       "Make something behind this host reachable (repeat for more):\n"
	       "  emberbox portal --dir %s resource add --site " SETUP_SITE " --address 192.168.1.0/24 --name lan\n"
	       "  emberbox portal --dir %s policy add --group " SETUP_GROUP " --resource lan\n\n"
	       "Connect a client, as root on another machine:\n"
	       "  FIREZONE_TOKEN='%s' FIREZONE_API_URL='%s'%s%s emberbox client\n\n",
	       q->setup.portal_dir, q->setup.portal_dir, q->setup.client_token, q->url, q->o.ca ? " EMBERBOX_CA=" : "", q->o.ca ? q->o.ca : "");
	if (!q->o.tls_cert)
		printf("The tunnel is encrypted end to end, but what clients and portal say to each other is not: for use across networks\n"
		       "that are not yours give --tls-cert, --tls-key and --host.\n\n");
	fflush(stdout);
	(void)sys_notify("READY=1");
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------------ */

static int read_options(struct quickstart *q, int argc, char **argv)
{
	struct options *o = &q->o;

	int rest = options_or_exit(&spec, argc, argv, o, NULL);
	if (rest < argc) {
		fprintf(stderr, "emberbox quickstart: '%s' is one word too many\n", argv[rest]);
		return 2;
	}
	if (!o->tls_cert != !o->tls_key) {
		fprintf(stderr, "emberbox quickstart: --tls-cert and --tls-key belong together\n");
		return 2;
	}
	if (!o->address4.family && !o->address6.family) {
		o->address4 = own_address(AF_INET);
		o->address6 = own_address(AF_INET6);
	}
	if (!o->address4.family && !o->address6.family) {
		fprintf(stderr, "emberbox quickstart: this host has no default route; say with --address how clients reach it\n");
		return 1;
	}
	return 0;
}

static void make_urls(struct quickstart *q)
{
	const struct ip *ip = q->o.address4.family ? &q->o.address4 : &q->o.address6;
	struct endpoint ep = { *ip, (u16)q->o.port };
	char text[ENDPOINT_STRLEN];
	const char *scheme = q->o.tls_cert ? "wss" : "ws";

	if (q->o.host)
		snprintf(q->url, sizeof(q->url), "%s://%.255s:%u/", scheme, q->o.host, (unsigned)q->o.port);
	else
		snprintf(q->url, sizeof(q->url), "%s://%s/", scheme, endpoint_format(&ep, text));
	snprintf(q->web_url, sizeof(q->web_url), "http%s", q->url + 2); /* ws is http, wss is https */
	/* without TLS nothing ties the parts to a name */
	if (q->o.tls_cert)
		memcpy(q->local_url, q->url, sizeof(q->local_url));
	else
		snprintf(q->local_url, sizeof(q->local_url), "ws://127.0.0.1:%u/", (unsigned)q->o.port);
}

int quickstart_main(int argc, char **argv)
{
	struct quickstart *q = calloc(1, sizeof(*q));
	char program[512];
	int status;

	if (!q)
		return 1;
	status = read_options(q, argc, argv);
	if (status)
		goto out;
	status = 1;
	if (!sys_has_net_admin()) {
		fprintf(stderr, "emberbox quickstart: a gateway needs to configure the network: run this as root\n");
		goto out;
	}
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (n < 0) {
		fprintf(stderr, "emberbox quickstart: cannot find my own program: %s\n", strerror(errno));
		goto out;
	}
	program[n] = '\0';
	status = logging_setup(&(struct logging){ .program = "emberbox-quickstart", .format = q->o.log_format ? LOG_JSON : LOG_HUMAN });
	if (status)
		goto out;
	make_urls(q);
	status = setup_load(&q->setup, program, q->o.dir) ? 1 : 0;
	if (status)
		goto out;
	add_portal(q, &q->parts[0]);
	add_relay(q, &q->parts[1]);
	add_gateway(q, &q->parts[2]);
	status = supervise(program, q->parts, ARRAY_LEN(q->parts), print_next_steps, q);
	/* a gateway that was killed could not tidy up after itself */
	if (q->parts[2].was_killed)
		(void)firewall_remove(TUNNEL);
	log_info("stopped");
out:
	sodium_memzero(q, sizeof(*q));
	free(q);
	return status;
}
