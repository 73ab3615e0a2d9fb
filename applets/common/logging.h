/* applets/common/logging.h: where the log of an applet goes (spec 30 §20, spec 40 §1.4).
 *
 * Lines always go to stdout, coloured only on a terminal; with a directory also to one file per process,
 * `<name>.<YYYY-MM-DD-HH-MM-SS>.log` (UTC, mode 0640), which `latest` links to. The filter is RUST_LOG, `info` without it. At start and
 * hourly logging_clean() deletes the oldest files while all `*.log` exceed LOG_DIR_BYTES_MAX together: never one that was written
 * within the last 5 minutes, never the last one.
 */
#pragma once

#include "core/base/log.h"

#define LOG_DIR_BYTES_MAX (100ull * 1024 * 1024)
#define LOG_FRESH_SECS 300

struct logging {
	const char *program; /* the file's name: "firezone-headless-client" */
	enum log_format format;
	const char *extra_filter; /* appended to the filter, NULL for none */
	const char *dir;	  /* NULL: no file */
};

/* 0, or the exit status after having said on stderr what is wrong: 2 for a bad filter, 1 for a directory that cannot be used. */
int logging_setup(const struct logging *cfg);

/* Applies the size cap; returns how many files went. `now_secs` is Unix time. */
unsigned logging_clean(const char *dir, u64 max_bytes, u64 now_secs);
