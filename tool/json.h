/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tool adds to json-c: any bytes as valid UTF-8, addresses, one line per object. */
#ifndef MMUN_TOOL_JSON_H
#define MMUN_TOOL_JSON_H

#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

/* Length of the valid UTF-8 sequence at @text and its character; 0 if it is none. */
size_t json_utf8(const char *text, uint32_t *c);

/* Bytes that are no UTF-8 become U+FFFD; NULL becomes null. */
void json_add_text(struct json_object *object, const char *key, const char *text);
void json_add_number(struct json_object *object, const char *key, uint64_t value);
/* As a string "0x...": readers' numbers may have 53 bits only. */
void json_add_address(struct json_object *object, const char *key, uint64_t address);

/* Print and free; no control character is printed as it is.  Return: 0 or -errno. */
int json_print(FILE *out, struct json_object *object);
int json_print_line(FILE *out, struct json_object *object);

#endif
