#include "platform/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static const int endings[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

static void note(int signo)
{
	caught = signo;
}

static void say(int fd, const char *text)
{
	while (*text) {
		ssize_t n = write(fd, text, strlen(text));
		if (n <= 0)
			return;
		text += n;
	}
}

/* Byte by byte, so that nothing behind the line is taken from a pipe. */
static int read_line(int fd, char *buf, size_t cap)
{
	size_t n = 0;
	bool is_long = false;
	char c;

	for (;;) {
		ssize_t got = read(fd, &c, 1);
		if (got < 0 && errno == EINTR && !caught)
			continue;
		if (got < 0)
			return ERR_IO;
		if (got == 0 && n == 0)
			return ERR_CLOSED;
		if (got == 0 || c == '\n')
			break;
		if (n + 1 < cap)
			buf[n++] = c;
		else
			is_long = true;
	}
	buf[n] = 0;
	return is_long ? ERR_LIMIT : (int)n;
}

/* Signals that end the program wait until the terminal echoes again. */
static int read_hidden(int fd, char *buf, size_t cap)
{
	struct sigaction old[ARRAY_LEN(endings)], act = { .sa_handler = note };
	struct termios shown, hidden;
	int rc;

	if (tcgetattr(fd, &shown))
		return read_line(fd, buf, cap);
	caught = 0;
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		sigaction(endings[i], &act, &old[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &hidden);
	rc = read_line(fd, buf, cap);
	tcsetattr(fd, TCSADRAIN, &shown);
	say(fd, "\n");
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		sigaction(endings[i], &old[i], NULL);
	if (caught)
		raise(caught);
	return rc;
}

int terminal_ask(const char *question, bool is_secret, char *buf, size_t cap)
{
	int tty = isatty(0) ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1, fd = tty >= 0 ? tty : 0, rc;

	if (isatty(fd))
		say(tty >= 0 ? tty : 1, question);
	rc = is_secret && isatty(fd) ? read_hidden(fd, buf, cap) : read_line(fd, buf, cap);
	if (tty >= 0)
		close(tty);
	if (rc < 0)
		explicit_bzero(buf, cap);
	return rc;
}

bool terminal_can_draw(void)
{
	const char *term = getenv("TERM");

	return isatty(1) && term && strcmp(term, "dumb") != 0;
}
