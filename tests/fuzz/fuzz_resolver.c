/* What a name server, a resolv.conf or a hosts file may hold. */
#include "tests/fuzz/fuzz.h"
#include "platform/linux/resolver_wire.h"
#include "platform/resolver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	u8 name[DNS_NAME_MAX];
	struct ip out[RESOLVER_ADDRESSES_MAX];
	int len = dns_name_encode("a.example", name);
	size_t count = 0;

	if (len > 0 && n > 1) {
		u16 id = (u16)(data[0] << 8 | data[1]);
		(void)!dns_answer_decode(SPAN(data, n), id, name, (size_t)len, DNS_TYPE_A, out, RESOLVER_ADDRESSES_MAX, &count);
		(void)!dns_answer_decode(SPAN(data, n), id, name, (size_t)len, DNS_TYPE_AAAA, out, RESOLVER_ADDRESSES_MAX, &count);
	}
	resolver_parse_conf(SPAN(data, n), out, RESOLVER_SERVERS_MAX);
	resolver_parse_hosts(SPAN(data, n), "a.example", out, RESOLVER_ADDRESSES_MAX);
	return 0;
}
