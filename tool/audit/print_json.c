/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Findings as JSON, one object per line: the run, each finding, a summary.
 * Tests: tests/system/audit.py. */
#include <errno.h>
#include <sys/wait.h>

#include <mmunotify/op.h>

#include "../json.h"
#include "print.h"

static struct json_object *new_line(const char *type)
{
	struct json_object *line = json_object_new_object();

	json_add_text(line, "type", type);
	return line;
}

static double seconds(const struct report *report, uint64_t time)
{
	return (double)(int64_t)(time - report->header.start_monotonic) / 1e9;
}

static void add_time(struct report *report, struct json_object *line, const char *key,
		     uint64_t time)
{
	json_object_object_add(line, key,
			       time ? json_object_new_double(seconds(report, time)) : NULL);
}

static void add_stack(struct report *report, struct json_object *line, const char *key,
		      const struct stack *stack)
{
	struct json_object *frames = json_object_new_array();

	for (unsigned int i = 0; i < stack->nr; i++)
		json_object_array_add(frames,
				      symbolizer_object(report->symbolizer, &stack->frames[i]));
	json_object_object_add(line, key, frames);
}

static struct json_object *finding_line(struct report *report, const struct finding *finding)
{
	struct json_object *line = new_line("finding");

	json_add_text(line, "kind", audit_kind_name(finding->kind));
	json_add_text(line, "op", finding->op ? mmun_op_name(finding->op) : NULL);
	json_add_number(line, "pid", finding->pid);
	json_add_number(line, "tid", finding->tid);
	json_add_text(line, "comm", process_table_comm(report->processes, finding->pid));
	json_add_address(line, "start", finding->start);
	json_add_address(line, "end", finding->end);
	json_add_address(line, "stale_start", finding->stale_start);
	json_add_address(line, "stale_end", finding->stale_end);
	json_add_text(line, "range", record_kind_name(finding->mapping));
	json_add_text(line, "name", finding->name);
	if (finding->kind == AUDIT_URING || finding->kind == AUDIT_VMSPLICE) {
		json_add_number(line, "descriptor", (uint64_t)finding->holder);
		json_add_number(line, "index", finding->index);
	}
	add_time(report, line, "made", finding->made_at);
	add_time(report, line, "changed", finding->changed_at);
	add_time(report, line, "used", finding->used_at);
	add_time(report, line, "dropped", finding->dropped_at);
	json_add_number(line, "registrations", finding->nr);
	json_add_number(line, "bytes", finding->bytes);
	json_add_number(line, "stale_bytes", finding->stale_bytes);
	json_add_number(line, "used_afterwards", finding->nr_used);
	json_add_number(line, "use_unknown", finding->nr_unknown);
	json_add_number(line, "dropped_later", finding->nr_dropped);
	json_add_number(line, "at_end", finding->nr_at_end);
	json_add_text(line, "suppressed_by",
		      finding->suppressed ? finding->suppressed->text : NULL);
	add_stack(report, line, "made_stack", &finding->made);
	add_stack(report, line, "changed_stack", &finding->changed);
	add_stack(report, line, "used_stack", &finding->used);
	return line;
}

static struct json_object *summary_line(struct report *report)
{
	struct json_object *line = new_line("summary"), *unused = json_object_new_array();
	const struct findings *findings = report->findings;
	int status = report->end.end.wait_status;

	json_add_number(line, "findings", report->nr);
	json_add_number(line, "stale", report->nr_registrations);
	json_add_number(line, "used_afterwards", report->nr_used);
	json_add_number(line, "suppressed", report->nr_suppressed);
	json_add_number(line, "registrations", findings->registered);
	json_add_number(line, "deferred", findings->deferred);
	json_object_object_add(line, "incomplete",
			       json_object_new_boolean(report_is_incomplete(report)));
	json_add_number(line, "dropped_messages",
			report->lost.type ? report->lost.lost.dropped : 0);
	json_add_number(line, "unwatchable", report->nr_unwatchable);
	json_add_number(line, "unfollowed", report->nr_unfollowed);
	json_add_number(line, "unwatched", findings->unwatched);
	json_add_number(line, "unseen", findings->unseen);
	json_add_number(line, "unknown_buffers", findings->unknown);
	json_add_number(line, "raced", findings->raced);
	for (const struct suppression *at = report->suppressions; at; at = at->next)
		if (!at->matched)
			json_object_array_add(unused, json_object_new_string(at->text));
	json_object_object_add(line, "unused_suppressions", unused);
	if (WIFSIGNALED(status))
		json_add_number(line, "signal", (uint64_t)WTERMSIG(status));
	else
		json_add_number(line, "status", (uint64_t)WEXITSTATUS(status));
	return line;
}

int report_print_json(struct report *report)
{
	struct json_object *line = new_line("audit");
	unsigned long printed = 0;
	int error;

	json_add_text(line, "command", report->header.command);
	json_add_text(line, "version", report->header.version);
	error = json_print_line(report->out, line);
	for (const struct finding *at = report->findings->first; at && !error; at = at->next)
		if (at->nr && printed++ < report->most)
			error = json_print_line(report->out, finding_line(report, at));
	if (!error)
		error = json_print_line(report->out, summary_line(report));
	if (!error && fflush(report->out))
		error = -errno;
	return error;
}
