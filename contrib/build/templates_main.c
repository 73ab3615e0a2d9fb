/* templates FOLDER HEADER FILE...: compiles each FILE.html to FOLDER/FILE.c and writes HEADER with the prototypes. What did not change is not
 * written, so that nothing is remade because of it. */
#include "contrib/build/templates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_file(const char *path, struct strbuf *b)
{
	FILE *f = fopen(path, "rb");
	char *to;
	size_t n;

	strbuf_reset(b);
	if (!f)
		return -1;
	while ((to = strbuf_room(b, 65536)) && (n = fread(to, 1, 65536, f)) > 0)
		b->n += n;
	int rc = ferror(f) || !strbuf_ok(b) ? -1 : 0;
	fclose(f);
	return rc;
}

static int keep_file(const char *path, const struct strbuf *b)
{
	struct strbuf old = { 0 };
	FILE *f;
	int rc = 0;

	if (read_file(path, &old) != 0 || old.n != b->n || memcmp(old.p, b->p, b->n) != 0) {
		f = fopen(path, "wb");
		if (!f || fwrite(b->p, 1, b->n, f) != b->n)
			rc = -1;
		if (f && fclose(f) != 0)
			rc = -1;
	}
	strbuf_free(&old);
	if (rc != 0)
		perror(path);
	return rc;
}

int main(int argc, char **argv)
{
	struct strbuf text = { 0 }, c = { 0 }, protos = { 0 }, path = { 0 };
	struct template_error e;
	int rc = argc < 3;

	strbuf_puts(&protos, "/* made of applets/portal/web/templates */\n#pragma once\n\n#include \"core/base/strbuf.h\"\n\n");
	for (int i = 3; i < argc; i++) {
		const char *name = strrchr(argv[i], '/');
		name = name ? name + 1 : argv[i];
		if (read_file(argv[i], &text) != 0) {
			perror(argv[i]);
			rc = 1;
			continue;
		}
		strbuf_reset(&c);
		if (templates_compile(argv[i], strbuf_span(&text), &c, &protos, &e) != 0) {
			fprintf(stderr, "%s:%u: error: %s\n", argv[i], (unsigned)e.line, e.text);
			rc = 1;
			continue;
		}
		strbuf_reset(&path);
		strbuf_printf(&path, "%s/%.*s.c", argv[1], (int)strcspn(name, "."), name);
		if (keep_file(path.p, &c) != 0)
			rc = 1;
	}
	if (rc == 0)
		rc = keep_file(argv[2], &protos) != 0;
	strbuf_free(&text);
	strbuf_free(&c);
	strbuf_free(&protos);
	strbuf_free(&path);
	return rc;
}
