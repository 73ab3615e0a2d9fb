/* tests/scenario/text.h: DNS messages and packets in the words of stories (README beside), both ways.
 *
 *	query     rd A app.example.com edns 1232
 *	answer    7 NOERROR qr,rd A app.example.com | @ 1 A 100.96.0.1 | @ 1 A 100.96.0.2
 *	packet    udp 100.64.0.7:40000 > 10.0.0.5:443
 *
 * Whatever is read from a story and makes no sense is an error with a reason in text_error; nothing is guessed.
 */
#pragma once

#include "core/dns/message.h"
#include "core/ip/packet.h"

#define TEXT_WORDS 128u
#define TEXT_LINE 8192u
#define TEXT_RECORDS_SHOWN 12u /* answers with more are shown as a count */

extern const char *text_error; /* why the last reading failed */

struct words {
	char *w[TEXT_WORDS];
	unsigned n, at; /* `at`: the next to be read */
};

/* Splits `line` in place at spaces; a '#' that begins a word begins a comment. False: too many words. */
bool words_split(char *line, struct words *out);
/* The next word, NULL at the end. */
const char *words_next(struct words *w);
/* Takes the next word if it is this one. */
bool words_take(struct words *w, const char *word);
/* The next words as a number, an address; false sets text_error. */
bool words_number(struct words *w, u32 max, u32 *out);
bool words_ip(struct words *w, struct ip *out);

/* '*' in the pattern stands for any characters. */
bool text_matches(const char *pattern, const char *text);

struct text {
	size_t n;
	char s[TEXT_LINE];
};
void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *text_type(u16 type); /* valid until the next call */
bool text_type_parse(const char *word, u16 *out);
bool text_name_parse(const char *word, struct dns_name *out);
/* The data of a record of this type, from the next words. */
bool text_rdata_make(struct words *w, u16 type, struct wr *out);

void text_of_query(struct text *t, struct span message);
void text_of_answer(struct text *t, struct span message);
void text_of_packet(struct text *t, const u8 *data, u32 len);

/* TYPE NAME, then in any order: id N, flags a,b (rd), edns SIZE, class N, opcode N, questions N. Words it does not know end it. */
struct text_query {
	u16 id, type;
	struct dns_name name;
	u32 len;
	u8 message[600];
};
bool text_query_make(struct words *w, u16 default_id, struct text_query *out);

/* RCODE, then in any order: aa tc ad nora, `id wrong`, `question TYPE NAME`, `from IP`, `filler COUNT TTL`, `garbage`; then records, each behind
 * a `|`: [authority|additional] NAME TTL TYPE DATA. The answer is one to `query`. */
struct text_answer {
	struct ip from; /* family 0: not said */
	u32 len;
	u8 message[65535];
};
bool text_answer_make(struct words *w, struct span query, struct text_answer *out);

/* Reads `udp|tcp|echo|proto N SRC > DST …` and makes the packet. An address left out (`40000 >`, or `> DST` of echo) is `own` of the other's
 * family. */
bool text_packet_make(struct words *w, const struct ip own[2], u8 out[static TUNNEL_MTU], u32 *len);
