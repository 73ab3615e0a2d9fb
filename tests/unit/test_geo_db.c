/* Databases of places: small files in MaxMind's format (version 2.0), written here. */
#include "applets/portal/geo_db.h"

#include "applets/portal/http/exchange_int.h"
#include "applets/portal/model/access.h"
#include "core/base/err.h"
#include "tests/unit/http_world.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- writing one ------------------------------------------------------------------------------------------------------------------- */

#define NODES_MAX 1024u
#define DATA_MAX 4096u

enum { TYPE_TEXT = 2, TYPE_DOUBLE = 3, TYPE_U16 = 5, TYPE_U32 = 6, TYPE_MAP = 7, TYPE_U64 = 9, TYPE_ARRAY = 11 };

struct writer {
	u32 node[NODES_MAX][2]; /* 0: nothing; below LEAF a node; otherwise LEAF + where in the data */
	u32 n_nodes;
	u8 data[DATA_MAX];
	size_t n;
};
#define LEAF 0x10000u

static void put(struct writer *w, const void *bytes, size_t n)
{
	memcpy(w->data + w->n, bytes, n);
	w->n += n;
}

static void put_head(struct writer *w, unsigned type, size_t n)
{
	u8 head[2] = { (u8)((type > 7 ? 0 : type << 5) | MIN(n, (size_t)29)), (u8)(type - 7) }, more = (u8)(n - 29);

	put(w, head, type > 7 ? 2 : 1);
	if (n >= 29)
		put(w, &more, 1);
}

static void put_text(struct writer *w, const char *text)
{
	put_head(w, TYPE_TEXT, strlen(text));
	put(w, text, strlen(text));
}

static void put_number(struct writer *w, unsigned type, u64 v, size_t n)
{
	put_head(w, type, n);
	while (n--)
		w->data[w->n++] = (u8)(v >> 8 * n);
}

static void put_double(struct writer *w, const char *name, double v)
{
	u64 bits;

	memcpy(&bits, &v, sizeof(bits));
	put_text(w, name);
	put_number(w, TYPE_DOUBLE, bits, 8);
}

/* An entry; without coordinates when lat is above 90. */
static u32 put_place(struct writer *w, const char *country, const char *city, double lat, double lon)
{
	u32 at = (u32)w->n;

	put_head(w, TYPE_MAP, 1 + (lat <= 90) + (city != NULL));
	if (city) {
		put_text(w, "city");
		put_head(w, TYPE_MAP, 1);
		put_text(w, "names");
		put_head(w, TYPE_MAP, 2);
		put_text(w, "de");
		put_text(w, "anders");
		put_text(w, "en");
		put_text(w, city);
	}
	put_text(w, "country");
	put_head(w, TYPE_MAP, 1);
	put_text(w, "iso_code");
	put_text(w, country);
	if (lat <= 90) {
		put_text(w, "location");
		put_head(w, TYPE_MAP, 2);
		put_double(w, "latitude", lat);
		put_double(w, "longitude", lon);
	}
	return at;
}

/* The tree is IPv6's; addresses of IPv4 are ::/96 in it. */
static void put_network(struct writer *w, const char *text, u32 at)
{
	struct cidr net;
	u8 bits[16] = { 0 };
	u32 node = 0, len;

	REQUIRE(cidr_parse(SPAN(text, strlen(text)), &net) == 0);
	len = net.len + (net.ip.family == 4 ? 96 : 0);
	memcpy(bits + (net.ip.family == 4 ? 12 : 0), net.ip.b, ip_len(&net.ip));
	for (u32 i = 0; i < len; i++) {
		u32 *next = &w->node[node][bits[i / 8] >> (7 - i % 8) & 1];
		if (i + 1 == len)
			*next = LEAF + at;
		else if (*next == 0)
			*next = w->n_nodes++;
		node = *next;
	}
}

static void write_file(struct writer *w, const char *name)
{
	FILE *f = fopen(name, "wb");
	struct writer meta = { .n = 0 };
	u8 separator[16] = { 0 };

	REQUIRE(f);
	for (u32 i = 0; i < w->n_nodes; i++)
		for (int side = 0; side < 2; side++) {
			u32 v = w->node[i][side];
			v = v == 0 ? w->n_nodes : v < LEAF ? v : v - LEAF + w->n_nodes + 16;
			u8 record[4] = { (u8)(v >> 24), (u8)(v >> 16), (u8)(v >> 8), (u8)v };
			fwrite(record, 1, 4, f);
		}
	fwrite(separator, 1, 16, f);
	fwrite(w->data, 1, w->n, f);
	put(&meta, "\xab\xcd\xefMaxMind.com", 14);
	put_head(&meta, TYPE_MAP, 9);
	put_text(&meta, "node_count");
	put_number(&meta, TYPE_U32, w->n_nodes, 4);
	put_text(&meta, "record_size");
	put_number(&meta, TYPE_U16, 32, 2);
	put_text(&meta, "ip_version");
	put_number(&meta, TYPE_U16, 6, 2);
	put_text(&meta, "database_type");
	put_text(&meta, "Test-City");
	put_text(&meta, "languages");
	put_head(&meta, TYPE_ARRAY, 0);
	put_text(&meta, "binary_format_major_version");
	put_number(&meta, TYPE_U16, 2, 2);
	put_text(&meta, "binary_format_minor_version");
	put_number(&meta, TYPE_U16, 0, 2);
	put_text(&meta, "build_epoch");
	put_number(&meta, TYPE_U64, 1700000000, 8);
	put_text(&meta, "description");
	put_head(&meta, TYPE_MAP, 0);
	fwrite(meta.data, 1, meta.n, f);
	EXPECT_EQ(fclose(f), 0);
}

static char path[64];

static void write_places(void)
{
	struct writer *w = calloc(1, sizeof(*w));
	int fd;

	strcpy(path, "/tmp/emberbox-geo-XXXXXX");
	fd = mkstemp(path);
	REQUIRE(fd >= 0);
	close(fd);
	w->n_nodes = 1;
	put_network(w, "192.0.2.0/24", put_place(w, "DE", "Berlin", 52.5, 13.25));
	put_network(w, "198.51.100.128/25", put_place(w, "AT", NULL, 91, 0));
	put_network(w, "203.0.113.0/24", put_place(w, "Germany", NULL, 1, 1));
	put_network(w, "2001:db8:1::/48", put_place(w, "AR", "Buenos Aires y un nombre tan largo que no cabe en ninguna tarjeta \u00f1", -34.5, -58.5));
	write_file(w, path);
	free(w);
}

static struct ip ip_of(const char *text)
{
	struct ip ip;

	EXPECT_EQ(ip_parse(SPAN(text, strlen(text)), &ip), 0);
	return ip;
}

/* ---- reading it ---------------------------------------------------------------------------------------------------------------------- */

static char city[CITY_MAX];

static const char *find(const struct geo_db *db, const char *address, struct place *place)
{
	static char region[3];
	struct ip ip = ip_of(address);

	strcpy(region, "?");
	place->lat = place->lon = 0;
	strcpy(city, "?");
	return geo_db_find(db, &ip, region, city, place) ? region : EXPECT(region[0] == '?' && city[0] == '?') ? "" : "touched";
}

TEST(addresses_of_both_families_are_found_in_their_networks)
{
	char why[GEO_DB_WHY_MAX];
	struct geo_db *db;
	struct place at;

	write_places();
	REQUIRE(geo_db_open(path, &db, why) == 0);
	unlink(path);
	EXPECT_STR(geo_db_kind(db), "Test-City");
	EXPECT_EQ(geo_db_built(db), 1700000000);
	EXPECT_STR(find(db, "192.0.2.77", &at), "DE");
	EXPECT(at.is_known && at.lat == 52.5 && at.lon == 13.25);
	EXPECT_STR(city, "Berlin");
	EXPECT_STR(find(db, "2001:db8:1:2::3", &at), "AR");
	EXPECT(at.is_known && at.lat == -34.5 && at.lon == -58.5);
	EXPECT_EQ(strlen(city), CITY_MAX - 1);
	EXPECT_STR(find(db, "198.51.100.200", &at), "AT");
	EXPECT(!at.is_known);
	EXPECT_STR(city, "");
	EXPECT_STR(find(db, "198.51.100.100", &at), "");
	EXPECT_STR(find(db, "10.0.0.1", &at), "");
	EXPECT_STR(find(db, "2001:db8:2::1", &at), "");
	EXPECT_STR(find(db, "203.0.113.5", &at), ""); /* a country of more than two letters is none */
	EXPECT(!geo_db_find(db, &(struct ip){ .family = 0 }, (char[3]){ 0 }, city, &at));
	geo_db_close(db);
}

TEST(files_that_are_no_database_are_refused_in_words)
{
	char why[GEO_DB_WHY_MAX] = "";
	struct geo_db *db;
	long size;

	EXPECT_EQ(geo_db_open("/nonexistent/places.mmdb", &db, why), ERR_IO);
	EXPECT_STR(why, "No such file or directory");
	EXPECT_EQ(geo_db_open("/tmp", &db, why), ERR_IO);
	write_places();
	FILE *f = fopen(path, "rb");
	REQUIRE(f);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	for (long n = size - 1; n >= 0; n = n > 300 ? n / 2 : n - 7) {
		EXPECT_EQ(truncate(path, n), 0);
		EXPECT_EQ(geo_db_open(path, &db, why), ERR_INVAL);
		EXPECT(db == NULL && strstr(why, "no database in MaxMind's format, or a broken one") == why);
	}
	EXPECT_EQ(truncate(path, 0), 0);
	EXPECT_EQ(geo_db_open(path, &db, why), ERR_INVAL);
	EXPECT_STR(why, "no database in MaxMind's format, or a broken one");
	unlink(path);
}

/* ---- what a request learns ------------------------------------------------------------------------------------------------------------ */

static struct http_world *world(void)
{
	struct http_world *w = http_new();
	char why[GEO_DB_WHY_MAX];

	write_places();
	EXPECT_EQ(geo_db_open(path, &w->server.geo_db, why), 0);
	unlink(path);
	w->cfg.n_proxies = 1;
	EXPECT_EQ(cidr_parse(SPAN_STR("10.0.0.0/8"), &w->cfg.proxies[0]), 0);
	return w;
}

static void world_end(struct http_world *w)
{
	geo_db_close(w->server.geo_db);
	http_free(w);
}

/* "DE Berlin 52.5,13.2", as a request from `hop` with these header lines is seen; and what a policy for Germany and Austria says to it. */
static const char *seen(struct http_world *w, const char *hop, const char *fields, bool *is_in, bool *is_not_in)
{
	static char out[160];
	struct http_parser *p = http_parser_new(HTTP_REQUEST, 1000);
	struct subject s = { .expires_at = 2000000000 };
	char text[512];
	struct ip ip = ip_of(hop);
	struct span body;
	size_t used;
	i64 until;
	u32 violated = 0;

	snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\nHost: portal.example\r\n%s\r\n", fields);
	(void)http_parser_input(p, SPAN(text, strlen(text)), &used, &body);
	struct run *r = exchange_new(&w->server, http_parser_head(p), &ip, NULL, NULL);
	snprintf(out, sizeof(out), "%s", r->x.region);
	if (r->x.place.is_known)
		snprintf(out, sizeof(out), "%s%s%s %.1f,%.1f", r->x.region, r->x.city[0] ? " " : "", r->x.city, r->x.place.lat, r->x.place.lon);
	memcpy(s.region, r->x.region, sizeof(s.region));
	*is_in = conditions_hold("remote_ip_location_region is_in DE AT", &s, 0, &until, &violated);
	*is_not_in = conditions_hold("remote_ip_location_region is_not_in DE AT", &s, 0, &until, &violated);
	exchange_free(r);
	http_parser_free(p);
	return out;
}

TEST(spec60_39_the_database_decides_conditions_on_the_country)
{
	struct http_world *w = world();
	bool in, out;

	EXPECT_STR(seen(w, "192.0.2.1", "", &in, &out), "DE Berlin 52.5,13.2");
	EXPECT(in && !out);
	EXPECT_STR(seen(w, "2001:db8:1::1", "", &in, &out), "AR Buenos Aires y un nombre tan largo que no cabe en ninguna tarje -34.5,-58.5");
	EXPECT(!in && out);
	EXPECT_STR(seen(w, "192.168.1.1", "", &in, &out), "");
	EXPECT(!in && !out);
	world_end(w);
}

TEST(the_database_comes_before_headers_and_those_count_from_proxies_only)
{
#define GEO_LINES "X-Geo-Location-Region: FR\r\nX-Geo-Location-City: Orl\303\251ans\r\nX-Geo-Location-Coordinates: 48.9,2.4\r\n"
	struct http_world *w = world();
	bool in, out;

	EXPECT_STR(seen(w, "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\nX-Azure-Geo-Country: US\r\n" GEO_LINES, &in, &out), "DE Berlin 52.5,13.2");
	EXPECT_STR(seen(w, "10.0.0.1", "X-Forwarded-For: 192.168.0.1\r\nX-Azure-Geo-Country: US\r\n" GEO_LINES, &in, &out), "US 40.0,-98.0");
	EXPECT_STR(seen(w, "10.0.0.1", "X-Forwarded-For: 192.168.0.1\r\n" GEO_LINES, &in, &out), "FR Orl\303\251ans 48.9,2.4");
	EXPECT_STR(seen(w, "10.0.0.1", "X-Forwarded-For: 192.168.0.1\r\nX-Geo-Location-Region: fr\r\n", &in, &out), "FR 46.0,2.0");
	EXPECT_STR(seen(w, "192.168.0.1", GEO_LINES, &in, &out), "");
	/* the country is known, the place is not: its middle */
	EXPECT_STR(seen(w, "198.51.100.200", "", &in, &out), "AT 47.0,14.0");
	EXPECT(in && !out);
	world_end(w);
}

TEST(names_of_cities_are_text_or_nothing)
{
	char out[CITY_MAX];
	char wide[CITY_MAX + 1] = "";

	for (size_t i = 0; i + 2 < sizeof(wide); i += 2)
		memcpy(wide + i, "\303\251", 2);
	city_set(out, SPAN(wide, CITY_MAX));
	EXPECT_EQ(strlen(out), CITY_MAX - 2); /* no half of a character */
	EXPECT(strncmp(out, wide, CITY_MAX - 2) == 0);
	city_set(out, SPAN_STR("caf\351"));
	EXPECT_STR(out, "");
	city_set(out, SPAN_STR("a\x1b[2J"));
	EXPECT_STR(out, "");
	city_set(out, SPAN_NONE);
	EXPECT_STR(out, "");
}

TEST(countries_without_a_place_have_a_middle)
{
	struct place germany = place_of_region("DE"), france = place_of_region("FR"), chile = place_of_region("CL");

	EXPECT(place_distance(&germany, &france) < 1000);
	EXPECT(place_distance(&germany, &chile) > 10000);
	EXPECT(place_of_region("AD").is_known && place_of_region("ZW").is_known);
	EXPECT(!place_of_region("ZZ").is_known);
	EXPECT(!place_of_region((char[3]){ 0 }).is_known);
}
