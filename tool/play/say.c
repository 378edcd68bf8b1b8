/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a run of `mmunotify soft` prints: commands, what they cause, answers.
 *
 * I1  A line is printed whole, in the order of what it is about; each names its
 *     thread and the line of the command that caused it.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "world.h"

static struct json_object *new_object(const char *type)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "type", type);
	if (soft_current && soft_current->name)
		json_add_text(object, "thread", soft_current->name);
	if (soft_current && soft_current->statement)
		json_add_number(object, "line", soft_current->statement->line);
	return object;
}

static void add_field(struct json_object *object, const struct soft_field *field)
{
	switch (field->type) {
	case SOFT_FIELD_TEXT:
		json_add_text(object, field->key, field->text);
		break;
	case SOFT_FIELD_NUMBER:
		json_add_number(object, field->key, field->number);
		break;
	case SOFT_FIELD_ADDRESS:
		json_add_address(object, field->key, field->number);
		break;
	case SOFT_FIELD_BOOL:
		json_object_object_add(object, field->key,
				       json_object_new_boolean(field->number != 0));
		break;
	case SOFT_FIELDS_END:
		break;
	}
}

static void say_object(const char *type, const struct soft_field *fields)
{
	struct json_object *object = new_object(type);

	for (; fields && fields->type != SOFT_FIELDS_END; fields++)
		add_field(object, fields);
	json_print_line(stdout, object);
}

static void say_thread(void)
{
	if (soft_current && soft_current->name)
		printf("[%s] ", soft_current->name);
}

void soft_say(struct soft_world *world, enum soft_level level, const char *type,
	      const struct soft_field *fields, const char *format, ...)
{
	va_list args;

	if (world->ending || (level == SOFT_SAY_EVENT && world->options->quiet))
		return;
	pthread_mutex_lock(&world->print);
	if (world->options->json) {
		say_object(type, fields);
	} else {
		say_thread();
		fputs("    ", stdout);
		va_start(args, format);
		vprintf(format, args);
		va_end(args);
		putchar('\n');
	}
	fflush(stdout);
	pthread_mutex_unlock(&world->print);
}

void soft_say_command(struct soft_world *world, const struct soft_statement *statement)
{
	const struct soft_field fields[] = {
		SOFT_TEXT("text", statement->text),
		{ SOFT_FIELDS_END, NULL, NULL, 0 },
	};

	if (world->options->quiet)
		return;
	pthread_mutex_lock(&world->print);
	if (world->options->json) {
		say_object("command", fields);
	} else {
		say_thread();
		puts(statement->text);
	}
	fflush(stdout);
	pthread_mutex_unlock(&world->print);
}

const char *soft_show_bytes(const char *data, size_t length, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[used++] = '"';
	for (size_t i = 0; i < length && used + 6 < size; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '"' || c == '\\' || !isprint(c))
			used += (size_t)snprintf(buffer + used, size - used, "\\x%02x", c);
		else
			buffer[used++] = (char)c;
	}
	buffer[used++] = '"';
	buffer[used] = 0;
	return buffer;
}
