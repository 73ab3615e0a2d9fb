/* core/base/types.h: the words every other file is written in.
 *
 * Fixed-width integers under short names, borrowed byte ranges, and the few macros that C lacks.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

/* Bytes that somebody else owns; valid only as long as the owner says. */
struct span {
	const u8 *p;
	size_t n;
};

/* The same, writable. */
struct mspan {
	u8 *p;
	size_t n;
};

#define SPAN(ptr, len) ((struct span){ (const u8 *)(ptr), (len) })
#define SPAN_STR(lit) ((struct span){ (const u8 *)(lit), sizeof(lit) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define MIN(a, b)                   \
	({                          \
		__auto_type a_ = (a); \
		__auto_type b_ = (b); \
		a_ < b_ ? a_ : b_;  \
	})
#define MAX(a, b)                   \
	({                          \
		__auto_type a_ = (a); \
		__auto_type b_ = (b); \
		a_ > b_ ? a_ : b_;  \
	})

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
