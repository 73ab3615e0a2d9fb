/* platform/terminal.h: one question to the person at the terminal, or to whatever feeds the standard input instead. */
#pragma once

#include "core/base/err.h"
#include "core/base/types.h"

/* Prints the question and reads one line, without its end, NUL terminated. At a terminal the question and its answer are the terminal's own (so output may be
 * redirected), and with `is_secret` nothing shows what is typed; a signal puts that back before it ends the program. From a pipe or file no question is
 * printed. Returns the length. ERR_CLOSED: there was no line; ERR_LIMIT: longer than cap - 1; ERR_IO. The buffer is wiped on failure. */
int terminal_ask(const char *question, bool is_secret, char *buf, size_t cap) MUST_CHECK;

/* Whether standard output is a terminal that draws. */
bool terminal_can_draw(void);
