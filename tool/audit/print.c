/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Findings as text: one block each, as sanitizers print theirs, and a summary.
 * Nothing is printed of a run that is clean, unless something went unseen.
 * Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <mmunotify/op.h>

#include "print.h"

void report_count(struct report *report)
{
	for (struct finding *at = report->findings->first; at; at = at->next) {
		if (!at->nr)
			continue;
		at->suppressed = suppressions_match(report->suppressions, report->symbolizer, at);
		if (at->suppressed) {
			report->nr_suppressed++;
			continue;
		}
		report->nr++;
		report->nr_registrations += at->nr;
		report->nr_used += at->nr_used;
	}
}

bool report_is_incomplete(const struct report *report)
{
	const struct findings *findings = report->findings;

	return report->lost.type || report->nr_unwatchable || report->nr_unfollowed ||
	       findings->unwatched || findings->unseen || findings->raced || findings->unknown ||
	       findings->out_of_memory;
}

static void print_time(FILE *out, uint64_t from, uint64_t to)
{
	uint64_t ns = to > from ? to - from : 0;

	if (ns < 10000000)
		fprintf(out, "%.3f ms", (double)ns / 1e6);
	else
		fprintf(out, "%.3f s", (double)ns / 1e9);
}

static void print_stack(struct report *report, const struct finding *finding,
			const struct stack *stack)
{
	char line[2048], shown[4096];

	for (unsigned int i = 0; i < stack->nr; i++) {
		symbolizer_describe(report->symbolizer, &stack->frames[i], line, sizeof(line));
		terminal_escape(line, shown, sizeof(shown));
		fprintf(report->out, "==%u==     #%u %s\n", finding->pid, i, shown);
	}
	if (!stack->nr)
		fprintf(report->out, "==%u==     (its stack is not known)\n", finding->pid);
}

static const char *use_of(const struct finding *finding)
{
	return finding->nr_used      ? "used afterwards"
	       : finding->nr_unknown ? "use unknown"
				     : "not used afterwards";
}

static void print_registration(struct report *report, const struct finding *finding)
{
	FILE *out = report->out;
	char known[64] = "", comm[128];

	if (finding->kind == AUDIT_URING)
		snprintf(known, sizeof(known), ", buffer %" PRIu64 " of ring %d", finding->index,
			 finding->holder);
	else if (finding->kind == AUDIT_VMSPLICE)
		snprintf(known, sizeof(known), ", in pipe %d", finding->holder);
	terminal_escape(process_table_comm(report->processes, finding->pid), comm, sizeof(comm));
	fprintf(out, "==%u==   %" PRIu64 " bytes at 0x%" PRIx64 "%s, made by process %u (%s)\n",
		finding->pid, finding->end - finding->start, finding->start, known, finding->pid,
		comm);
	print_stack(report, finding, &finding->made);
}

static void print_change(struct report *report, const struct finding *finding)
{
	char name[4096] = "";
	FILE *out = report->out;

	if (finding->name)
		terminal_escape(finding->name, name, sizeof(name));
	fprintf(out, "==%u==   whose memory (%s%s%s) changed by %s ", finding->pid,
		record_kind_name(finding->mapping), *name ? " " : "", name,
		finding->op ? mmun_op_name(finding->op) : "a notification of the program's own");
	print_time(out, finding->made_at, finding->changed_at);
	fprintf(out,
		" later, in thread %u: %" PRIu64 " bytes of it, from 0x%" PRIx64 " to 0x%" PRIx64
		", are stale\n",
		finding->tid, finding->stale_end - finding->stale_start, finding->stale_start,
		finding->stale_end);
	print_stack(report, finding, &finding->changed);
}

static void print_fate(struct report *report, const struct finding *finding)
{
	FILE *out = report->out;

	if (finding->used_at) {
		fprintf(out, "==%u==   and that was used ", finding->pid);
		print_time(out, finding->changed_at, finding->used_at);
		fputs(" after the change\n", out);
		print_stack(report, finding, &finding->used);
	}
	fprintf(out,
		"==%u==   %lu registration%s like this: %" PRIu64 " bytes, %" PRIu64 " stale; ",
		finding->pid, finding->nr, finding->nr == 1 ? "" : "s", finding->bytes,
		finding->stale_bytes);
	if (finding->nr_used)
		fprintf(out, "%lu used afterwards, ", finding->nr_used);
	if (finding->nr_unknown)
		fprintf(out, "%lu of unknown use, ", finding->nr_unknown);
	if (finding->nr > finding->nr_used + finding->nr_unknown)
		fprintf(out, "%lu not used afterwards, ",
			finding->nr - finding->nr_used - finding->nr_unknown);
	if (finding->nr_dropped)
		fprintf(out, "%lu dropped later", finding->nr_dropped);
	if (finding->nr_at_end)
		fprintf(out, "%s%lu there at the end", finding->nr_dropped ? ", " : "",
			finding->nr_at_end);
	fputs("\n\n", out);
}

static void print_finding(struct report *report, const struct finding *finding)
{
	fprintf(report->out, "==%u== mmunotify audit: stale %s, %s\n", finding->pid,
		audit_kind_meaning(finding->kind), use_of(finding));
	print_registration(report, finding);
	print_change(report, finding);
	print_fate(report, finding);
}

static void say(struct report *report, const char *what, unsigned long number)
{
	if (number)
		fprintf(report->out, "mmunotify audit: %s: %lu\n", what, number);
}

static void print_unseen(struct report *report)
{
	const struct findings *findings = report->findings;
	char sentence[1024];

	if (report->lost.type && output_lost(&report->lost, sentence, sizeof(sentence)))
		fprintf(report->out, "mmunotify audit: findings may be missing: %s\n", sentence);
	if (report->nr_unwatchable)
		fprintf(report->out,
			"mmunotify audit: processes that could not be watched: %lu (%s)\n",
			report->nr_unwatchable, strerror(report->unwatchable_error));
	for (size_t i = 0; i < REPORT_UNFOLLOWED && report->unfollowed[i]; i++) {
		terminal_escape(report->unfollowed[i], sentence, sizeof(sentence));
		fprintf(report->out, "mmunotify audit: not watched: %s\n", sentence);
	}
	say(report, "registrations that were not watched, for want of memory", findings->unwatched);
	say(report, "changes that were not noted, because the table was busy", findings->unseen);
	say(report, "buffers of io_uring that were registered by calls that are not seen",
	    findings->unknown);
	say(report, "registrations made while their memory was being changed, of unknown pages",
	    findings->raced);
	if (findings->out_of_memory)
		fputs("mmunotify audit: findings are missing: there was not enough memory\n",
		      report->out);
}

int report_print_text(struct report *report)
{
	unsigned long printed = 0;

	for (const struct finding *at = report->findings->first; at; at = at->next)
		if (at->nr && !at->suppressed && printed < report->most) {
			print_finding(report, at);
			printed++;
		}
	say(report, "more findings, not shown (--max-findings)", report->nr - printed);
	print_unseen(report);
	for (const struct suppression *at = report->suppressions; at; at = at->next)
		if (!at->matched)
			fprintf(report->out,
				"mmunotify audit: %s, line %u: unused suppression %s\n", at->file,
				at->line, at->text);
	if (report->nr || report->nr_suppressed) {
		fprintf(report->out,
			"SUMMARY: mmunotify audit: %lu finding%s: of %" PRIu64
			" registrations %lu stale, %lu used afterwards; %lu suppressed",
			report->nr, report->nr == 1 ? "" : "s", report->findings->registered,
			report->nr_registrations, report->nr_used, report->nr_suppressed);
		if (report->findings->deferred)
			fprintf(report->out, "; %" PRIu64 " dropped unused within --grace",
				report->findings->deferred);
		fputc('\n', report->out);
	}
	errno = 0;
	return fflush(report->out) || ferror(report->out) ? -(errno ? errno : EIO) : 0;
}
