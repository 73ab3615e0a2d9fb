/* tests/fuzz/fuzz.h: what a fuzz target is.
 *
 * tests/fuzz/fuzz_NAME.c defines the function below for one parser or one state machine's input door; its seeds, few and small, are
 * the files of tests/fuzz/seeds/NAME/. `make fuzz` drives it with libFuzzer, `make check` does so for a minute in all, and replay.c
 * replays the seeds with their truncations and some flipped bits in any build, also without clang.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns 0. A finding is a crash: abort(), an assertion or a sanitizer's report. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
