/* Identity towards the portal: ids, names, SMBIOS, user agent. */
#include "applets/common/ident.h"
#include "core/base/err.h"
#include "core/base/rng.h"
#include "platform/sys.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/emberbox-ident-XXXXXX";
static char id_file[64], machine_id[64];
static struct ident_paths paths = { id_file, machine_id, dir };
static char id[IDENT_ID_MAX], why[IDENT_WHY_BYTES];

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	REQUIRE(f != NULL);
	fputs(text, f);
	fclose(f);
}

static struct rng *start(void)
{
	static struct rng_seeded r;

	rng_seeded_init(&r, 11);
	strcpy(dir, "/tmp/emberbox-ident-XXXXXX");
	EXPECT(mkdtemp(dir) != NULL);
	snprintf(id_file, sizeof(id_file), "%s/config/id.json", dir);
	snprintf(machine_id, sizeof(machine_id), "%s/machine-id", dir);
	return &r.rng;
}

static void end(void)
{
	char config[64];

	snprintf(config, sizeof(config), "%s/config", dir);
	unlink(id_file);
	unlink(machine_id);
	rmdir(config);
	EXPECT_EQ(rmdir(dir), 0);
}

TEST(spec10_4_uuid_shaped_ids_are_hashed_as_written)
{
	ident_external_id("EFC7A9E3-3576-4633-B633-7D47BA9E14AC", id);
	EXPECT_STR(id, "2606a54a327020a1285cc141aeceb5737a91625e5e1a85c234682266f45820bf");
	ident_external_id("lab-gw1", id);
	EXPECT_STR(id, "lab-gw1");
	ident_external_id("2606a54a327020a1285cc141aeceb5737a91625e5e1a85c234682266f45820bf", id);
	EXPECT_STR(id, "2606a54a327020a1285cc141aeceb5737a91625e5e1a85c234682266f45820bf");
}

TEST(spec40_4_uuid_without_hyphens_is_hashed_too)
{
	ident_external_id("0123456789abcdef0123456789abcdef", id);
	EXPECT_EQ(strlen(id), 64);
}

TEST(spec10_5_machine_id_is_hashed_with_its_newline)
{
	struct rng *rng = start();

	write_text(machine_id, "0123456789abcdef0123456789abcdef\n");
	EXPECT_EQ(ident_firezone_id(IDENT_CLIENT, NULL, &paths, rng, id, why), 0);
	EXPECT_STR(id, "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c");
	EXPECT_EQ(ident_firezone_id(IDENT_GATEWAY, "", &paths, rng, id, why), 0);
	EXPECT_STR(id, "eeefe5d1cb3807dfc3ae24794878ec3147027390d839d1d718d8e42bcfde3336");
	EXPECT(access(id_file, F_OK) != 0);
	end();
}

TEST(spec40_3_and_spec30_77_order_of_sources)
{
	struct rng *rng = start();
	char first[IDENT_ID_MAX];
	struct stat st;

	EXPECT_EQ(ident_firezone_id(IDENT_GATEWAY, NULL, &paths, rng, first, why), 0);
	EXPECT_EQ(strlen(first), 64);
	EXPECT_EQ(stat(id_file, &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0640);
	EXPECT_EQ(ident_firezone_id(IDENT_GATEWAY, NULL, &paths, rng, id, why), 0);
	EXPECT_STR(id, first); /* saved, not drawn again */
	write_text(id_file, "{\"id\":\"mine\"}");
	write_text(machine_id, "x\n");
	EXPECT_EQ(ident_firezone_id(IDENT_CLIENT, NULL, &paths, rng, id, why), 0);
	EXPECT_STR(id, "mine");
	EXPECT_EQ(ident_firezone_id(IDENT_CLIENT, "", &paths, rng, id, why), 0);
	EXPECT_STR(id, ""); /* a client's empty id is used as it is */
	EXPECT_EQ(ident_firezone_id(IDENT_CLIENT, "given", &paths, rng, id, why), 0);
	EXPECT_STR(id, "given");
	end();
}

TEST(a_folder_that_cannot_be_made_is_named)
{
	struct rng *rng = start();
	struct ident_paths bad = { "/proc/emberbox/none/id", machine_id, dir };

	EXPECT_EQ(ident_firezone_id(IDENT_GATEWAY, NULL, &bad, rng, id, why), ERR_IO);
	EXPECT(strstr(why, "/proc/emberbox/none") != NULL);
	end();
}

static const u8 smbios[] = {
	0, 8, 0, 0, 1, 0, 0, 0, 'b', 'i', 'o', 's', 0, 0, /* type 0 */
	1, 27, 1, 0, 1, 2, 0, 3, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 6, 0, 0,
	'm', 0, 'p', 0, 'S', 'N', '4', '2', ' ', 0, 0
};

TEST(device_serial_and_uuid_come_from_smbios_type_1)
{
	struct ident_device d;
	u8 copy[sizeof(smbios)];

	ident_parse_smbios(SPAN(smbios, sizeof(smbios)), &d);
	EXPECT_STR(d.serial, "SN42");
	EXPECT_STR(d.uuid, "00112233-4455-6677-8899-aabbccddeeff");
	for (size_t n = 0; n < sizeof(smbios); n++) { /* every truncation, at the end of its own block */
		u8 *exact = malloc(n + 1);
		memcpy(exact, smbios, n);
		ident_parse_smbios(SPAN(exact, n), &d);
		free(exact);
	}
	memcpy(copy, smbios, sizeof(copy));
	memset(copy + 22, 0xff, 16);
	ident_parse_smbios(SPAN(copy, sizeof(copy)), &d);
	EXPECT_STR(d.uuid, "");
}

TEST(spec10_7_user_agent_has_component_and_is_ascii)
{
	struct sys_host host = { .os = "Debian", .os_version = "12", .arch = "x86_64", .kernel = "6.18.44-b\xc3\xbc" };
	char ua[IDENT_UA_MAX];

	ident_user_agent(&host, IDENT_COMPONENT_GATEWAY, ua);
	EXPECT_STR(ua, "Debian/12.0.0 gateway/1.5.2 (x86_64; 6.18.44-b)");
	strcpy(host.os_version, "24.04");
	ident_user_agent(&host, IDENT_COMPONENT_CLIENT, ua);
	EXPECT(strstr(ua, "Debian/24.4.0 headless-client/1.5.8 ") == ua);
	strcpy(host.os_version, "Rolling Release");
	ident_user_agent(&host, IDENT_COMPONENT_RELAY, ua);
	EXPECT(strstr(ua, "/Rolling Release relay/0.1.0 ") != NULL);
}

TEST(name_is_configured_or_the_host_s)
{
	struct rng *rng = start();
	char host[256] = "";

	ident_name("edge", rng, id);
	EXPECT_STR(id, "edge");
	gethostname(host, sizeof(host) - 1);
	ident_name(NULL, rng, id);
	EXPECT_STR(id, host);
	end();
}
