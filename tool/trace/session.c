/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs a program and drains the ring that its processes write to into a sink.
 *
 * One thread does it all: it sleeps on the ring's futex for at most TICK_NS,
 * and signals only set flags.  The terminal's signals are the program's
 * business: the tool outlives them and drains on.
 * Tests: tests/system/trace_*.py.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/version.h>

#include "command.h"
#include "session.h"
#include "survey.h"

#define TICK_NS 50000000ull
/* After which it is said that processes of the program are waited for. */
#define WAIT_IS_LONG_NS 2000000000ull

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A sentence if the source of events cannot work on this machine at all. */
static int check_source(const char *command)
{
	const struct mmun_primary_ops *source;
	struct mmun_probe probe;

	for (unsigned int i = 0; (source = mmun_source_at(i)); i++) {
		if (strcmp(source->name, "self"))
			continue;
		source->probe(&probe);
		if (probe.available)
			return 0;
		mmunotify_error(command, "%s; %s", probe.reason, probe.remedy);
		return MMUNOTIFY_EXIT_TOOL;
	}
	mmunotify_error(command, "this build has no source of events for processes");
	return MMUNOTIFY_EXIT_TOOL;
}

int session_open(struct session *session, unsigned int wants, uint64_t bytes)
{
	struct stat file;
	int error = check_source(session->command);

	if (error)
		return error;
	/* What is written here, the ring and the output, fails as other writes do. */
	launch_ignore(&session->launch, SIGXFSZ);
	error = ring_create(&session->ring, bytes, wants | (session->follow ? RING_FOLLOW : 0),
			    &session->ring_fd);
	if (error || fstat(session->ring_fd, &file) < 0) {
		mmunotify_error(session->command, "the ring of %llu bytes cannot be made: %s%s",
				(unsigned long long)bytes, strerror(error ? -error : errno),
				error == -EFBIG ? " (ulimit -f; --buffer makes it smaller)" : "");
		return MMUNOTIFY_EXIT_TOOL;
	}
	session->launch.variable = RING_ENV;
	snprintf(session->launch.value, sizeof(session->launch.value), "/proc/%d/fd/%d", getpid(),
		 session->ring_fd);
	survey_hand_over(session->launch.library);
	error = collector_init(&session->collector, &session->ring, file.st_ino, &session->sink);
	if (!error) {
		session->collector.command = session->command;
		session->collector.follow.library = strrchr(session->launch.library, '/');
		session->collector.follow.children = session->follow;
		return 0;
	}
	mmunotify_error(session->command, "there is not enough memory");
	return MMUNOTIFY_EXIT_TOOL;
}

/* The words of the command, quoted where a shell would need it. */
static void join_command(char **words, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; *words && used < size; words++) {
		bool plain =
			**words &&
			!(*words)[strspn(*words, "abcdefghijklmnopqrstuvwxyz"
						 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_")];
		const char *quote = plain ? "" : "'";

		used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", used ? " " : "",
					 quote, *words, quote);
	}
}

struct record_header session_header(char **words)
{
	static char command[2048];

	join_command(words, command, sizeof(command));
	return (struct record_header){
		.start_monotonic = clock_ns(CLOCK_MONOTONIC),
		.start_realtime = clock_ns(CLOCK_REALTIME),
		.command = command,
		.version = mmun_version(),
	};
}

static volatile sig_atomic_t forward, interrupted;
/* When a child ended; we may be busy for long after that. */
static volatile uint64_t child_signal_at;

static void on_signal(int signal)
{
	if (signal == SIGTERM || signal == SIGHUP)
		forward = signal;
	if (signal == SIGCHLD)
		child_signal_at = clock_ns(CLOCK_MONOTONIC);
	else
		interrupted = 1;
}

/* Before the program can have printed anything: somebody may press Ctrl-C then.
 * What the caller ignores (nohup, a shell's background job) stays ignored. */
static void install_handlers(void)
{
	static const int signals[] = { SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }, old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN || signals[i] == SIGCHLD)
			sigaction(signals[i], &action, NULL);
	}
	/* The reader of our output going away must not take the program along. */
	signal(SIGPIPE, SIG_IGN);
}

static bool child_has_ended(struct session *session)
{
	pid_t pid = waitpid(session->child, &session->wait_status, WNOHANG);

	return pid == session->child || (pid < 0 && errno == ECHILD);
}

/* A daemon, say: nobody shall wonder why the prompt does not come. */
static bool say_who_is_waited_for(const struct session *session, pid_t pid)
{
	char path[40], comm[64] = "", name[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(comm, sizeof(comm), file))
			comm[strcspn(comm, "\n")] = '\0';
		fclose(file);
	}
	terminal_escape(*comm ? comm : "?", name, sizeof(name));
	mmunotify_error(session->command,
			"%s has ended, process %d (%s) goes on: waiting until it ends; Ctrl-C or "
			"kill -INT %d ends the trace and leaves it running",
			session->launch.argv[0], pid, name, getpid());
	fflush(stderr);
	return true;
}

/* Until the program and, if they are followed, its descendants have ended. */
static void drain_until_end(struct session *session)
{
	struct follow *follow = &session->collector.follow;
	bool ended = false, said = false;
	pid_t waited_for = 0;
	uint64_t now;

	interrupted = 0;
	for (;;) {
		if (forward && !ended)
			kill(session->child, forward);
		forward = 0;
		if (!ended && child_has_ended(session)) {
			ended = true;
			session->ended_at = child_signal_at ? child_signal_at
							    : clock_ns(CLOCK_MONOTONIC);
			interrupted = 0;
		}
		collector_drain(&session->collector);
		now = clock_ns(CLOCK_MONOTONIC);
		follow_check(follow, now);
		if (ended && (!session->follow || interrupted ||
			      !follow_is_anybody_alive(follow, now, &waited_for)))
			break;
		if (ended && !said && now > session->ended_at + WAIT_IS_LONG_NS)
			said = say_who_is_waited_for(session, waited_for);
		ring_wait(&session->ring, TICK_NS);
	}
	mmun_store_full(&session->ring.header->closed, 1);
	collector_drain(&session->collector);
	follow_finish(follow, clock_ns(CLOCK_MONOTONIC));
}

int session_run(struct session *session)
{
	int status = launch_start(&session->launch, &session->child, install_handlers);

	if (!status)
		drain_until_end(session);
	return status;
}

void session_finish(struct session *session)
{
	collector_finish(&session->collector, session->child, session->wait_status,
			 session->ended_at);
}

int session_close(struct session *session)
{
	int closed = sink_close(&session->sink), error = session->collector.error;

	/* Of two errors the first: what a stream says when it has failed is why no longer. */
	if (!error)
		error = closed;
	collector_free(&session->collector);
	ring_destroy(&session->ring);
	return error;
}
