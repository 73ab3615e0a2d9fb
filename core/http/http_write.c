#include "core/http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *http_reason(u16 status)
{
	static const struct { u16 status; const char *reason; } reasons[] = {
		{ 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 422, "Unprocessable Content" }, { 426, "Upgrade Required" }, { 428, "Precondition Required" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* Text that cannot break out of its line, whoever chose it. */
static void put_text(struct wr *w, struct span s, bool allows_blanks)
{
	for (size_t i = 0; i < s.n; i++) {
		u8 c = s.p[i];
		if (c < 0x20 ? c != '\t' || !allows_blanks : c == 0x7f || (c == ' ' && !allows_blanks)) {
			w->failed = true;
			return;
		}
	}
	wr_bytes(w, s.p, s.n);
}

void http_put_request(struct wr *w, const char *method, struct span target)
{
	put_text(w, SPAN(method, strlen(method)), false);
	wr_u8(w, ' ');
	put_text(w, target, false);
	wr_str(w, " HTTP/1.1\r\n");
}

void http_put_status(struct wr *w, u16 status)
{
	char code[8];

	snprintf(code, sizeof(code), "%03u ", (unsigned)(status % 1000));
	wr_str(w, "HTTP/1.1 ");
	wr_str(w, code);
	wr_str(w, http_reason(status));
	wr_str(w, "\r\n");
}

void http_put_field(struct wr *w, const char *name, struct span value)
{
	put_text(w, SPAN(name, strlen(name)), false);
	wr_str(w, ": ");
	put_text(w, value, true);
	wr_str(w, "\r\n");
}

void http_put_field_u64(struct wr *w, const char *name, u64 value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, value);

	http_put_field(w, name, SPAN(text, (size_t)n));
}

void http_put_end(struct wr *w)
{
	wr_str(w, "\r\n");
}
