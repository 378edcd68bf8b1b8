/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * json-c helpers.  File names are any bytes, JSON is UTF-8 only: what is not
 * valid is replaced, never passed on.  Tests: tests/unit/tool/record.c.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

size_t json_utf8(const char *at, uint32_t *out)
{
	const unsigned char *text = (const unsigned char *)at;
	size_t length = *text < 0x80       ? 1
			: *text >> 5 == 6  ? 2
			: *text >> 4 == 14 ? 3
			: *text >> 3 == 30 ? 4
					   : 0;
	uint32_t c = *text;

	if (length > 1)
		c &= 0x7f >> length;
	for (size_t i = 1; i < length; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	/* Longer than needed, a surrogate, or beyond the last character. */
	if (length > 1 && (c < (length == 2   ? 0x80u
				: length == 3 ? 0x800u
					      : 0x10000u) ||
			   (c >= 0xd800 && c < 0xe000) || c > 0x10ffff))
		return 0;
	*out = c;
	return length;
}

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	const char *at = text;
	char *valid, *to;
	size_t length;
	uint32_t c;

	if (!text) {
		json_object_object_add(object, key, NULL);
		return;
	}
	valid = to = malloc(3 * strlen(text) + 1);
	if (!valid)
		return;
	while (*at) {
		length = json_utf8(at, &c);
		if (length) {
			memcpy(to, at, length);
			to += length;
			at += length;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			at++;
		}
	}
	json_object_object_add(object, key, json_object_new_string_len(valid, (int)(to - valid)));
	free(valid);
}

void json_add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_add_address(struct json_object *object, const char *key, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
	json_object_object_add(object, key, json_object_new_string(text));
}

/* C1 control characters and DEL stand in strings only, and may be escaped there. */
static void print_escaped(FILE *out, const char *text)
{
	const char *from = text;

	for (; *text; text++) {
		bool c1 = *text == '\xc2' && (unsigned char)text[1] < 0xa0;

		if (!c1 && *text != 0x7f)
			continue;
		fwrite(from, 1, (size_t)(text - from), out);
		text += c1;
		fprintf(out, "\\u%04x", (unsigned char)*text);
		from = text + 1;
	}
	fputs(from, out);
}

int json_print(FILE *out, struct json_object *object)
{
	const char *text;

	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		print_escaped(out, text);
	json_object_put(object);
	return !text ? -ENOMEM : ferror(out) ? -EIO : 0;
}

int json_print_line(FILE *out, struct json_object *object)
{
	int error = json_print(out, object);

	putc('\n', out);
	return error;
}
