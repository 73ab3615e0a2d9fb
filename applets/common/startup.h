/* applets/common/startup.h: what client and gateway say when they cannot start. */
#pragma once

/* Logs and prints `what` failed, why, and what the user can do about it. Returns the exit status 1. */
int startup_fail(const char *program, const char *what, int err);
