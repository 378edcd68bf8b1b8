/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * json-c helpers.  File names are any bytes, JSON is UTF-8 only: what is not
 * valid is replaced, never passed on.  Tests: tests/unit/tool/record.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* Length of the valid UTF-8 sequence at @text, 0 if it is none. */
static size_t utf8_sequence(const unsigned char *text)
{
	size_t length = *text < 0x80       ? 1
			: *text >> 5 == 6  ? 2
			: *text >> 4 == 14 ? 3
			: *text >> 3 == 30 ? 4
					   : 0;
	uint32_t c;

	if (length <= 1)
		return length;
	c = *text & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	/* Longer than needed, a surrogate, or beyond the last character. */
	if (c < (length == 2   ? 0x80u
		 : length == 3 ? 0x800u
			       : 0x10000u) ||
	    (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	return length;
}

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	char *valid, *to;
	size_t length;

	if (!text) {
		json_object_object_add(object, key, NULL);
		return;
	}
	valid = to = malloc(3 * strlen(text) + 1);
	if (!valid)
		return;
	while (*at) {
		length = utf8_sequence(at);
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

int json_print_line(FILE *out, struct json_object *object)
{
	const char *text;

	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text) {
		fputs(text, out);
		putc('\n', out);
	}
	json_object_put(object);
	return !text ? -ENOMEM : ferror(out) ? -EIO : 0;
}
