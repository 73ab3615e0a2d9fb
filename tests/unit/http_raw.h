/* tests/unit/http_raw.h: requests as bytes, and what is told of the bytes that come back. Private to the tests of applets/portal/http. */
#pragma once

#include "tests/unit/http_routes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* The reply to raw bytes, after which the server may or may not close. */
static inline const char *raw(struct http_world *w, const char *bytes, bool *is_closed)
{
	int fd = http_dial(w);
	const char *text;

	http_send(w, fd, bytes);
	text = http_recv(w, fd, is_closed);
	close(fd);
	http_turn(w);
	return text;
}

static inline int status_of(const char *text)
{
	int status = 0;

	sscanf(text, "HTTP/1.1 %d", &status);
	return status;
}

/* Whether a connection is answered, and stays. */
static inline bool is_served(struct http_world *w, int fd)
{
	bool is_closed;

	http_send(w, fd, GET("/echo"));
	return status_of(http_recv(w, fd, &is_closed)) == 200 && !is_closed;
}

static inline u32 count(const char *text, const char *part)
{
	u32 n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}
