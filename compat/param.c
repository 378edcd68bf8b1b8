/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parameters of the module: set by name, before it is loaded.
 *
 * I1  A value that does not fit changes nothing.
 *
 * Tests: tests/contract/compat/data.c.
 */
#include "runtime.h"

#include <errno.h>
#include <string.h>

#include <linux/moduleparam.h>

static struct mmun_compat_param *params;

void mmun_compat_add_param(struct mmun_compat_param *param)
{
	param->next = params;
	params = param;
}

static int set_bool(bool *to, const char *value)
{
	if (!value[0] || value[1] || !strchr("01ynYN", value[0]))
		return -EINVAL;
	*to = strchr("1yY", value[0]);
	return 0;
}

/* A signed value is stored if its bits above @size are copies of its sign. */
static int set_signed(void *to, size_t size, const char *value)
{
	const unsigned int above = 64 - 8 * (unsigned int)size;
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 0);
	if (errno || end == value || *end ||
	    (long)((unsigned long)number << above) >> above != number)
		return -EINVAL;
	memcpy(to, &number, size);
	return 0;
}

static int set_unsigned(void *to, size_t size, const char *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 0);
	if (errno || end == value || *end || value[0] == '-' ||
	    (size < sizeof(number) && number >> 8 * size))
		return -EINVAL;
	memcpy(to, &number, size);
	return 0;
}

/* I1 */
static int set(const struct mmun_compat_param *param, const char *value)
{
	if (!strcmp(param->type, "charp")) {
		*(const char **)param->value = value;
		return 0;
	}
	if (!strcmp(param->type, "bool"))
		return set_bool((bool *)param->value, value);
	if (!strcmp(param->type, "byte") || param->type[0] == 'u')
		return set_unsigned(param->value, param->size, value);
	return set_signed(param->value, param->size, value);
}

int mmun_compat_set_param(const char *name, const char *value)
{
	for (const struct mmun_compat_param *param = params; param; param = param->next) {
		if (!strcmp(param->name, name))
			return set(param, value);
	}
	return -ENOENT;
}

int kstrtoull(const char *text, unsigned int base, unsigned long long *out)
{
	unsigned long long value;
	char *end;

	if (*text == '+')
		text++;
	if (*text < '0' || (*text > '9' && base <= 10))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, (int)base);
	if (end == text || (*end == '\n' ? end[1] : *end))
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*out = value;
	return 0;
}

int kstrtou32(const char *text, unsigned int base, u32 *out)
{
	unsigned long long value;
	int ret = kstrtoull(text, base, &value);

	if (ret)
		return ret;
	if (value > U32_MAX)
		return -ERANGE;
	*out = (u32)value;
	return 0;
}
