/* The first code of the static binary after the C library's start file: applies packed relocations.
 *
 * A static PIE writes its addresses itself when it starts. Each pointer in a table is one relocation: 24 bytes of the file as RELA,
 * a bit or little more as RELR (System V ABI, DT_RELR: an even word is the address of a pointer, an odd one the map of which of the
 * next 63 words, or 31, are pointers too). musl applies RELR from 1.2.4 on; before, it passes over it and this does it instead.
 * The linker puts it in front of __libc_start_main() (PACKED in the Makefile). Where no relocations are packed, or musl applied
 * them, it does nothing.
 *
 * There is no thread pointer yet and no table that may be used: it calls nothing and has nothing on the stack to protect.
 */
#include <link.h>
#include <stddef.h>
#include <stdint.h>

#ifndef DT_RELR
#define DT_RELRSZ 35
#define DT_RELR 36
#endif
#define MAP_WORDS (sizeof(uintptr_t) * 8 - 1) /* pointers that an odd word tells of */
#define HIDDEN __attribute__((visibility("hidden")))

extern HIDDEN const char __ehdr_start[]; /* the linker's: where the file begins in memory; linked to be at 0 */
extern HIDDEN ElfW(Dyn) _DYNAMIC[];

/* Tells by itself whether relocations were applied. */
static const volatile void *const volatile self = &self;

typedef int main_function(int argc, char **argv, char **environment);

int __real___libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void));
int __wrap___libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void));

static void apply(uintptr_t base, const uintptr_t *relr, size_t bytes)
{
	uintptr_t *where = NULL;

	for (const uintptr_t *word = relr; word < relr + bytes / sizeof(*relr); word++) {
		if (*word % 2 == 0) {
			where = (uintptr_t *)(base + *word);
			*where++ += base;
			continue;
		}
		uintptr_t *pointer = where;
		for (uintptr_t map = *word >> 1; map != 0; map >>= 1, pointer++)
			if (map % 2 == 1)
				*pointer += base;
		where += MAP_WORDS;
	}
}

int __wrap___libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void))
{
	uintptr_t base = (uintptr_t)__ehdr_start, relr = 0;
	size_t bytes = 0;

	for (const ElfW(Dyn) *dynamic = _DYNAMIC; dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_RELR)
			relr = base + dynamic->d_un.d_ptr;
		else if (dynamic->d_tag == DT_RELRSZ)
			bytes = dynamic->d_un.d_val;
	}
	if (relr != 0 && self != &self)
		apply(base, (const uintptr_t *)relr, bytes);
	return __real___libc_start_main(entry, argc, argv, init, fini, end);
}
