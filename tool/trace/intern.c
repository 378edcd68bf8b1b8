/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interned strings and the hash map under them.
 *
 * Invariants: a map is never more than half full; key 0 is an ordinary key
 * (an empty entry is one with a NULL value, so a place handed out must be
 * filled before the next call).  Nothing is ever removed but all at once.
 * Tests: tests/unit/tool/record.c.
 */
#include <stdlib.h>
#include <string.h>

#include "intern.h"

struct text {
	struct text *next;
	size_t length;
	char bytes[];
};

struct intern {
	struct key_map by_hash;
};

static uint64_t mix(uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15ull;
	return key ^ key >> 29;
}

static struct key_entry *entry_for(const struct key_map *map, uint64_t key)
{
	size_t i = mix(key) & (map->size - 1);

	while (map->entries[i].value && map->entries[i].key != key)
		i = (i + 1) & (map->size - 1);
	return &map->entries[i];
}

static int grow(struct key_map *map)
{
	struct key_map bigger = { .size = map->size ? map->size * 2 : 64, .nr = map->nr };

	bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
	if (!bigger.entries)
		return -1;
	for (size_t i = 0; i < map->size; i++)
		if (map->entries[i].value)
			*entry_for(&bigger, map->entries[i].key) = map->entries[i];
	free(map->entries);
	*map = bigger;
	return 0;
}

void **key_map_place(struct key_map *map, uint64_t key)
{
	struct key_entry *entry;

	if (map->nr * 2 >= map->size && grow(map))
		return NULL;
	entry = entry_for(map, key);
	if (!entry->value) {
		entry->key = key;
		map->nr++;
	}
	return &entry->value;
}

void *key_map_find(const struct key_map *map, uint64_t key)
{
	return map->size ? entry_for(map, key)->value : NULL;
}

void key_map_clear(struct key_map *map)
{
	free(map->entries);
	memset(map, 0, sizeof(*map));
}

void key_map_free_values(struct key_map *map)
{
	for (size_t i = 0; i < map->size; i++)
		free(map->entries[i].value);
	key_map_clear(map);
}

struct intern *intern_new(void)
{
	return calloc(1, sizeof(struct intern));
}

void intern_free(struct intern *intern)
{
	if (!intern)
		return;
	for (size_t i = 0; i < intern->by_hash.size; i++) {
		struct text *text = intern->by_hash.entries[i].value, *next;

		for (; text; text = next) {
			next = text->next;
			free(text);
		}
	}
	key_map_clear(&intern->by_hash);
	free(intern);
}

static uint64_t hash_of(const char *text, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	while (length--)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash;
}

const char *intern_text(struct intern *intern, const char *text, size_t length)
{
	void **place = key_map_place(&intern->by_hash, hash_of(text, length));
	struct text *entry;

	if (!place)
		return NULL;
	for (entry = *place; entry; entry = entry->next)
		if (entry->length == length && !memcmp(entry->bytes, text, length))
			return entry->bytes;
	entry = malloc(sizeof(*entry) + length + 1);
	if (!entry)
		return NULL;
	entry->length = length;
	memcpy(entry->bytes, text, length);
	entry->bytes[length] = '\0';
	entry->next = *place;
	*place = entry;
	return entry->bytes;
}
