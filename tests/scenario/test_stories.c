/* Replays tests/scenario/STORY.story, or those of the folder $STORIES: each is a test of its own, named after the rule in its first line.
 * README beside says how stories are written.
 */
#include "tests/scenario/actions.h"

#include <ctype.h>
#include <dirent.h>

#define STORIES_MAX 1024u
#define STORY_LINES 1000u
#define IGNORES_MAX 16u

struct story {
	char path[300];
	char *name; /* of its test */
};

static struct story stories[STORIES_MAX];
static unsigned n_stories;

static struct {
	const char *path;
	int line;
	bool has_failed;
	unsigned n_expected;
	struct {
		char pattern[300];
		int line;
		bool was_used;
	} ignored[IGNORES_MAX];
	unsigned n_ignored;
} now_told;

static bool is_rehearsal; /* failing is what the story shall do */

#define STORY_FAILS(...)                                                           \
	do {                                                                       \
		now_told.has_failed = true;                                        \
		if (!is_rehearsal)                                                 \
			test_fail(now_told.path, now_told.line, __VA_ARGS__);      \
	} while (0)

/* --- what was expected ----------------------------------------------------------------------------------------------------------------- */

static void take_away(unsigned i)
{
	free(w->happenings[i]);
	memmove(w->happenings + i, w->happenings + i + 1, (--w->n_happenings - i) * sizeof(w->happenings[0]));
}

static void forget_ignored(void)
{
	for (unsigned i = 0; i < w->n_happenings;) {
		bool is_ignored = false;
		for (unsigned k = 0; k < now_told.n_ignored && !is_ignored; k++)
			if (text_matches(now_told.ignored[k].pattern, w->happenings[i]))
				is_ignored = now_told.ignored[k].was_used = true;
		if (is_ignored)
			take_away(i);
		else
			i++;
	}
}

/* Two words say who does what: happenings of the same two must come in the order in which they are expected. */
static bool is_same_kind(const char *a, const char *b)
{
	for (unsigned spaces = 0; *a == *b; a++, b++)
		if (!*a || (*a == ' ' && ++spaces == 2))
			return true;
	return false;
}

static void expect(const char *what)
{
	now_told.n_expected++;
	if (strcmp(what, "nothing") == 0) {
		if (w->n_happenings)
			STORY_FAILS("expected nothing, but: %s", w->happenings[0]);
		return;
	}
	if (strncmp(what, "sentinels ", 10) == 0) {
		if (!text_matches(what + 10, w->sentinels))
			STORY_FAILS("expected %s\n     but: sentinels %s", what, w->sentinels[0] ? w->sentinels : "never told");
		return;
	}
	for (unsigned i = 0; i < w->n_happenings; i++) {
		if (text_matches(what, w->happenings[i])) {
			take_away(i);
			return;
		}
		if (is_same_kind(what, w->happenings[i]))
			break;
	}
	STORY_FAILS("expected %s", what);
	if (is_rehearsal)
		return;
	for (unsigned i = 0; i < w->n_happenings; i++)
		printf("     what happened: %s\n", w->happenings[i]);
	if (w->n_happenings == 0)
		puts("     nothing happened");
}

static void nothing_is_left(void)
{
	if (w->n_happenings)
		STORY_FAILS("unexpected before this line: %s", w->happenings[0]);
}

/* --- lines ----------------------------------------------------------------------------------------------------------------------------- */

static void tell_action(char *line)
{
	struct words l;

	text_error = "";
	if (!words_split(line, &l) || !act(&l)) {
		STORY_FAILS("%s%s%s", text_error, l.at > 0 && l.at <= l.n ? ", at: " : "", l.at > 0 && l.at <= l.n ? l.w[l.at - 1] : "");
		return;
	}
	world_settle();
	forget_ignored();
}

/* `repeat N ACTION`: '%' in the action is 1, 2, … N. */
static void tell_repeated(const char *line)
{
	char *action;
	unsigned long n = strtoul(line, &action, 10);

	if (n == 0 || n > 10000 || *action != ' ') {
		STORY_FAILS("repeat COUNT ACTION");
		return;
	}
	for (unsigned long i = 1; i <= n && !now_told.has_failed; i++) {
		char copy[1024];
		size_t at = 0;
		for (const char *s = action; *s && at < sizeof(copy) - 24; s++)
			if (*s == '%')
				at += (size_t)snprintf(copy + at, 22, "%lu", i);
			else
				copy[at++] = *s;
		copy[at] = 0;
		tell_action(copy);
	}
}

static void tell_ignore(const char *pattern)
{
	if (now_told.n_ignored == IGNORES_MAX || strlen(pattern) >= sizeof(now_told.ignored[0].pattern)) {
		STORY_FAILS("too many, or too long");
		return;
	}
	now_told.ignored[now_told.n_ignored].line = now_told.line;
	now_told.ignored[now_told.n_ignored].was_used = false;
	memcpy(now_told.ignored[now_told.n_ignored++].pattern, pattern, strlen(pattern) + 1);
}

/* Spaces at the ends, and runs of them within, are for the eye. */
static void squeeze(char *line)
{
	char *to = line;
	for (const char *s = line; *s; s++) {
		if (*s == '#' && (to == line || to[-1] == ' '))
			break;
		if (!isspace((unsigned char)*s))
			*to++ = *s;
		else if (to > line && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > line && to[-1] == ' ')
		to--;
	*to = 0;
}

static void tell_line(char *line)
{
	squeeze(line);
	if (!line[0])
		return;
	if (strncmp(line, "=> ", 3) == 0) {
		expect(line + 3);
		return;
	}
	nothing_is_left();
	if (now_told.has_failed)
		return;
	if (strncmp(line, "ignore ", 7) == 0)
		tell_ignore(line + 7);
	else if (strncmp(line, "repeat ", 7) == 0)
		tell_repeated(line + 7);
	else
		tell_action(line);
}

/* Whether it held. */
static bool tell(const char *path, FILE *f)
{
	static char line[TEXT_LINE];

	memset(&now_told, 0, sizeof(now_told));
	now_told.path = path;
	world_begin();
	while (!now_told.has_failed && fgets(line, sizeof(line), f)) {
		now_told.line++;
		tell_line(line);
	}
	if (!now_told.has_failed)
		nothing_is_left();
	if (!now_told.has_failed && now_told.n_expected == 0)
		STORY_FAILS("a story that expects nothing proves nothing");
	for (unsigned i = 0; i < now_told.n_ignored && !now_told.has_failed; i++)
		if (!now_told.ignored[i].was_used) {
			now_told.line = now_told.ignored[i].line;
			STORY_FAILS("never happened, so need not be ignored");
		}
	world_end();
	return !now_told.has_failed;
}

static void run_story(void)
{
	for (unsigned i = 0; i < n_stories; i++)
		if (strcmp(stories[i].name, test_name()) == 0) {
			FILE *f = fopen(stories[i].path, "r");
			REQUIRE(f != NULL);
			(void)tell(stories[i].path, f);
			fclose(f);
			return;
		}
}

static bool holds(const char *text)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	if (!f)
		return false;
	is_rehearsal = true;
	bool held = tell("(rehearsal)", f);
	is_rehearsal = false;
	fclose(f);
	return held;
}

/* --- which there are ------------------------------------------------------------------------------------------------------------------- */

/* `# spec 30 §8.1, items 40 41: text` in file 30-x-y.story is the test spec30_40_spec30_41_x_y; without items spec30_x_y.
 * `# dns-proxy: text` in file proxy-x.story is proxy_x. NULL: no such line. */
static char *name_from(const char *first, const char *file)
{
	static char name[300];
	unsigned long spec;
	char *end;
	size_t at = 0;

	if (strncmp(first, "# dns-proxy: ", 13) == 0)
		spec = 0;
	else if (strncmp(first, "# spec ", 7) != 0)
		return NULL;
	else
		spec = strtoul(first + 7, &end, 10);
	const char *colon = strchr(first, ':'), *items = strstr(first, ", item");
	if (spec != 0 && ((spec != 30 && spec != 40) || strncmp(end, " §", 3) != 0 || !colon))
		return NULL;
	if (items && items < colon)
		for (const char *s = items + strcspn(items, "0123456789"); s < colon && at < 200; s += strcspn(s, "0123456789")) {
			at += (size_t)snprintf(name + at, sizeof(name) - at, "%sspec%lu_%lu", at ? "_" : "", spec, strtoul(s, &end, 10));
			s = end;
		}
	if (at == 0 && spec)
		at = (size_t)snprintf(name, sizeof(name), "spec%lu", spec);
	file += spec && strtoul(file, &end, 10) == spec && *end == '-' ? end + 1 - file : 0;
	snprintf(name + at, sizeof(name) - at, "%s%.*s", at ? "_" : "", (int)(strlen(file) - 6), file);
	for (char *s = name; *s; s++)
		if (!isalnum((unsigned char)*s))
			*s = '_';
	return strdup(name);
}

static int is_story(const struct dirent *d)
{
	size_t n = strlen(d->d_name);
	return n > 6 && strcmp(d->d_name + n - 6, ".story") == 0;
}

__attribute__((constructor)) static void find_stories(void)
{
	static struct test tests[STORIES_MAX];
	const char *folder = getenv("STORIES");
	struct dirent **list;
	int n = scandir(folder ? folder : "tests/scenario", &list, is_story, alphasort);

	for (int i = 0; i < n && n_stories < STORIES_MAX; i++) {
		struct story *s = &stories[n_stories];
		char first[400] = "";
		snprintf(s->path, sizeof(s->path), "%s/%s", folder ? folder : "tests/scenario", list[i]->d_name);
		FILE *f = fopen(s->path, "r");
		s->name = f && fgets(first, sizeof(first), f) ? name_from(first, list[i]->d_name) : NULL;
		if (f)
			fclose(f);
		if (s->name) {
			tests[n_stories] = (struct test){ .name = s->name, .run = run_story };
			test_register(&tests[n_stories++]);
		}
		free(list[i]);
	}
	if (n > 0)
		free(list);
}

TEST(every_story_names_the_rule_it_proves)
{
	struct dirent **list;
	const char *folder = getenv("STORIES");
	int n = scandir(folder ? folder : "tests/scenario", &list, is_story, alphasort);

	EXPECT(n > 0);
	EXPECT_EQ(n_stories, n); /* the first line of one is not `# spec NN §N…: text` or `# dns-proxy: text` */
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n > 0)
		free(list);
}

#define SETTING "system 192.0.2.53\nresource app dns app.example.com\n"

TEST(stories_fail_when_they_should)
{
	static const char *const wrong[] = {
		SETTING,                                                                        /* expects nothing */
		SETTING "app asks A www.example.org\n=> nothing\n",                             /* something happened */
		SETTING "=> nothing\napp asks A www.example.org\n",                             /* at the end, too */
		SETTING "app asks A www.example.org\nwait 1ms\n=> upstream *\n",               /* too late */
		SETTING "app asks A app.example.com\n=> app hears 1 NXDOMAIN *\n",             /* another answer */
		SETTING "app asks A app.example.com\n=> app hears 1 NOERROR *\n=> app hears *\n", /* only one */
		SETTING "ignore portal *\n=> nothing\n",                                       /* never happens */
		SETTING "app whispers A app.example.com\n=> nothing\n",                        /* unknown words */
		SETTING "app asks A app.example.com loudly\n=> app hears *\n",
		SETTING "nobody sends udp 1 > 10.0.0.1:1\n=> nothing\n",
		SETTING "resource x dns a.example purple\n=> nothing\n",
		SETTING "app sends udp 1 > 10.0.0.1:1 now\n=> nothing\n",
		SETTING "wait 5 minutes\n=> nothing\n",
		SETTING "upstream 192.0.2.53 answers NOERROR\n=> nothing\n", /* was not asked */
		SETTING "=> sentinels none\n",
	};

	EXPECT(holds(SETTING "app asks A app.example.com\n=> app hears 1 NOERROR * | @ 1 A 100.96.0.4\n=> nothing\n"));
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
		if (holds(wrong[i]))
			test_fail(__FILE__, __LINE__, "number %u held: %s", i, wrong[i]);
}
