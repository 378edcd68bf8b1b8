/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tool adds to json-c: any bytes as valid UTF-8, addresses, one line per object. */
#ifndef MMUN_TOOL_JSON_H
#define MMUN_TOOL_JSON_H

#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

/* Bytes that are no UTF-8 become U+FFFD; NULL becomes null. */
void json_add_text(struct json_object *object, const char *key, const char *text);
void json_add_number(struct json_object *object, const char *key, uint64_t value);
/* As a string "0x...": readers' numbers may have 53 bits only. */
void json_add_address(struct json_object *object, const char *key, uint64_t address);

/* Prints and frees.  Return: 0 or -errno. */
int json_print_line(FILE *out, struct json_object *object);

#endif
