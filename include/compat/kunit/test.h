/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * KUnit: a driver's test file that runs here and in the kernel.  libmmunotify-compat has the
 * main() of such a program, which runs every suite of it and prints KTAP; mmunotify/compat.h
 * says what its arguments are.
 *
 * As in the kernel a case is a kernel thread of its own, which has no address space before it
 * asks for one by kunit_vm_mmap() and loses it at its end; ->exit then runs in another thread.
 * Each suite has a machine of its own, in which the modules of the program are loaded.
 */
#ifndef MMUN_COMPAT_KUNIT_TEST_H
#define MMUN_COMPAT_KUNIT_TEST_H

#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kconfig.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>

struct file;

#define KUNIT_PARAM_DESC_SIZE     128
#define KUNIT_STATUS_COMMENT_SIZE 256
#define KUNIT_SUBTEST_INDENT      "    "
#define KUNIT_SUBSUBTEST_INDENT   "        "

enum kunit_status { KUNIT_SUCCESS, KUNIT_FAILURE, KUNIT_SKIPPED };

enum kunit_speed {
	KUNIT_SPEED_UNSET,
	KUNIT_SPEED_VERY_SLOW,
	KUNIT_SPEED_SLOW,
	KUNIT_SPEED_NORMAL,
};

struct kunit_attributes {
	enum kunit_speed speed;
};

struct kunit {
	/* The test's own: what ->init makes for the case. */
	void *priv;
	const char *name;
	/* The parameter of a KUNIT_CASE_PARAM(). */
	const void *param_value;
	int param_index;
	/* private: */
	spinlock_t lock;
	enum kunit_status status;
	struct list_head resources;
	char status_comment[KUNIT_STATUS_COMMENT_SIZE];
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const void *(*generate_params)(const void *prev, char *desc);
	struct kunit_attributes attr;
	/* private: */
	char *module_name;
};

struct kunit_suite {
	const char name[256];
	int (*suite_init)(struct kunit_suite *suite);
	void (*suite_exit)(struct kunit_suite *suite);
	int (*init)(struct kunit *test);
	void (*exit)(struct kunit *test);
	struct kunit_case *test_cases;
	struct kunit_attributes attr;
};

/* clang-format off */
#define KUNIT_CASE(test_name)                   { .run_case = test_name, .name = #test_name }
#define KUNIT_CASE_ATTR(test_name, attributes)  { .run_case = test_name, .name = #test_name, .attr = attributes }
#define KUNIT_CASE_SLOW(test_name)              KUNIT_CASE_ATTR(test_name, { KUNIT_SPEED_SLOW })
#define KUNIT_CASE_PARAM(test_name, gen_params) { .run_case = test_name, .name = #test_name, .generate_params = gen_params }
/* clang-format on */

struct mmun_compat_suites {
	struct kunit_suite **suites;
	size_t count;
	struct mmun_compat_suites *next;
};

void mmun_compat_add_suites(struct mmun_compat_suites *suites);

#define MMUN_KUNIT_SUITES(id, ...) \
	static __attribute__((constructor)) void MMUN_COMPAT_PASTE(mmun_add_suites_, id)(void) \
	{ \
		static struct kunit_suite *suites[] = { __VA_ARGS__ }; \
		static struct mmun_compat_suites call = { suites, ARRAY_SIZE(suites), NULL }; \
		mmun_compat_add_suites(&call); \
	} \
	struct mmun_compat_suites
#define kunit_test_suites(suites...) MMUN_KUNIT_SUITES(__LINE__, suites)
#define kunit_test_suite(suite)      kunit_test_suites(&(suite))

/* Blocks that are freed when the case has ended. */
void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, gfp_t gfp);
void kunit_kfree(struct kunit *test, const void *ptr);

static inline void *kunit_kmalloc(struct kunit *test, size_t size, gfp_t gfp)
{
	return kunit_kmalloc_array(test, 1, size, gfp);
}

static inline void *kunit_kzalloc(struct kunit *test, size_t size, gfp_t gfp)
{
	return kunit_kmalloc(test, size, gfp | __GFP_ZERO);
}

static inline void *kunit_kcalloc(struct kunit *test, size_t n, size_t size, gfp_t gfp)
{
	return kunit_kmalloc_array(test, n, size, gfp | __GFP_ZERO);
}

/* A mapping of the address space that the case has from then on, or -errno; 0: there is no
 * address space to be had.  It goes with the case.  In the kernel since 6.11. */
unsigned long kunit_vm_mmap(struct kunit *test, struct file *file, unsigned long addr,
			    unsigned long len, unsigned long prot, unsigned long flag,
			    unsigned long offset);
/* Without a mapping; static in the kernel. */
int kunit_attach_mm(void);

/* Lines of the report. */
void mmun_compat_kunit_log(const struct kunit *test, const char *format, ...) __printf(2, 3);
#define kunit_log(level, test, fmt, ...) mmun_compat_kunit_log(test, fmt, ##__VA_ARGS__)
#define kunit_info(test, fmt, ...)       mmun_compat_kunit_log(test, fmt, ##__VA_ARGS__)
#define kunit_warn(test, fmt, ...)       mmun_compat_kunit_log(test, fmt, ##__VA_ARGS__)
#define kunit_err(test, fmt, ...)        mmun_compat_kunit_log(test, fmt, ##__VA_ARGS__)

void mmun_compat_kunit_skip(struct kunit *test, const char *format, ...) __printf(2, 3);
void mmun_compat_kunit_abort(struct kunit *test) __noreturn;
#define kunit_mark_skipped(test, fmt, ...) mmun_compat_kunit_skip(test, fmt, ##__VA_ARGS__)
#define kunit_skip(test, fmt, ...) \
	do { \
		mmun_compat_kunit_skip(test, fmt, ##__VA_ARGS__); \
		mmun_compat_kunit_abort(test); \
	} while (0)

/* Failures: where, what was written, what it was.  @fatal ends the case. */
struct mmun_compat_place {
	const char *file;
	int line;
	bool fatal;
};

void mmun_compat_kunit_failed(struct kunit *test, struct mmun_compat_place place,
			      const char *expected, const char *found, const char *format, ...)
	__printf(5, 6);
/* "left == 1 (0x1)" and the same for right, in a buffer of the calling thread. */
const char *mmun_compat_kunit_integers(const char *left, long long a, const char *right,
				       long long b);
const char *mmun_compat_kunit_pointers(const char *left, const void *a, const char *right,
				       const void *b);
const char *mmun_compat_kunit_strings(const char *left, const char *a, const char *right,
				      const char *b);

#define MMUN_KUNIT_PLACE(fatal) ((struct mmun_compat_place){ __FILE__, __LINE__, fatal })
#define MMUN_KUNIT_CHECK(test, fatal, passed, expected, found, fmt, ...) \
	do { \
		if (!(passed)) \
			mmun_compat_kunit_failed(test, MMUN_KUNIT_PLACE(fatal), expected, found, \
						 fmt, ##__VA_ARGS__); \
	} while (0)
#define MMUN_KUNIT_BOOL(test, fatal, condition, expected, fmt, ...) \
	MMUN_KUNIT_CHECK(test, fatal, ((condition) ? true : false) == (expected), \
			 #condition " is " #expected, NULL, fmt, ##__VA_ARGS__)
#define MMUN_KUNIT_COMPARE(test, fatal, left, op, right, fmt, ...) \
	do { \
		const __typeof__(left) mmun_left = (left); \
		const __typeof__(right) mmun_right = (right); \
		MMUN_KUNIT_CHECK(test, fatal, mmun_left op mmun_right, #left " " #op " " #right, \
				 mmun_compat_kunit_integers(#left, (long long)mmun_left, #right, \
							    (long long)mmun_right), \
				 fmt, ##__VA_ARGS__); \
	} while (0)
#define MMUN_KUNIT_POINTERS(test, fatal, left, op, right, fmt, ...) \
	do { \
		const void *mmun_left = (left), *mmun_right = (right); \
		MMUN_KUNIT_CHECK(test, fatal, mmun_left op mmun_right, #left " " #op " " #right, \
				 mmun_compat_kunit_pointers(#left, mmun_left, #right, mmun_right), \
				 fmt, ##__VA_ARGS__); \
	} while (0)
#define MMUN_KUNIT_STRINGS(test, fatal, left, op, right, fmt, ...) \
	do { \
		const char *mmun_left = (left), *mmun_right = (right); \
		MMUN_KUNIT_CHECK(test, fatal, \
				 mmun_left &&mmun_right &&strcmp(mmun_left, mmun_right) op 0, \
				 #left " " #op " " #right, \
				 mmun_compat_kunit_strings(#left, mmun_left, #right, mmun_right), \
				 fmt, ##__VA_ARGS__); \
	} while (0)
#define MMUN_KUNIT_BYTES(test, fatal, left, op, right, size, fmt, ...) \
	do { \
		const void *mmun_left = (left), *mmun_right = (right); \
		MMUN_KUNIT_CHECK(test, fatal, \
				 mmun_left &&mmun_right &&memcmp(mmun_left, mmun_right, (size)) \
					 op 0, \
				 #left " " #op " " #right ", of " #size " bytes", NULL, fmt, \
				 ##__VA_ARGS__); \
	} while (0)
#define MMUN_KUNIT_NO_ERROR(test, fatal, ptr, fmt, ...) \
	do { \
		const void *mmun_ptr = (ptr); \
		MMUN_KUNIT_CHECK(test, fatal, !IS_ERR_OR_NULL(mmun_ptr), \
				 #ptr " is no error and not NULL", \
				 mmun_compat_kunit_integers(#ptr, (long)mmun_ptr, NULL, 0), fmt, \
				 ##__VA_ARGS__); \
	} while (0)

#define KUNIT_SUCCEED(test) ((void)(test))
#define KUNIT_FAIL(test, fmt, ...) \
	MMUN_KUNIT_CHECK(test, false, false, NULL, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_FAIL_AND_ABORT(test, fmt, ...) \
	MMUN_KUNIT_CHECK(test, true, false, NULL, NULL, fmt, ##__VA_ARGS__)

/* clang-format off */
/* EXPECT: a failure is reported, and the case goes on. */
#define KUNIT_EXPECT_TRUE(test, condition) MMUN_KUNIT_BOOL(test, false, condition, true, NULL)
#define KUNIT_EXPECT_TRUE_MSG(test, condition, fmt, ...) MMUN_KUNIT_BOOL(test, false, condition, true, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_FALSE(test, condition) MMUN_KUNIT_BOOL(test, false, condition, false, NULL)
#define KUNIT_EXPECT_FALSE_MSG(test, condition, fmt, ...) MMUN_KUNIT_BOOL(test, false, condition, false, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_EQ(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, ==, right, NULL)
#define KUNIT_EXPECT_EQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NE(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, !=, right, NULL)
#define KUNIT_EXPECT_NE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_LT(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, <, right, NULL)
#define KUNIT_EXPECT_LT_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, <, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_LE(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, <=, right, NULL)
#define KUNIT_EXPECT_LE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, <=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_GT(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, >, right, NULL)
#define KUNIT_EXPECT_GT_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, >, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_GE(test, left, right) MMUN_KUNIT_COMPARE(test, false, left, >=, right, NULL)
#define KUNIT_EXPECT_GE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, false, left, >=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_PTR_EQ(test, left, right) MMUN_KUNIT_POINTERS(test, false, left, ==, right, NULL)
#define KUNIT_EXPECT_PTR_EQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_POINTERS(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_PTR_NE(test, left, right) MMUN_KUNIT_POINTERS(test, false, left, !=, right, NULL)
#define KUNIT_EXPECT_PTR_NE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_POINTERS(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_STREQ(test, left, right) MMUN_KUNIT_STRINGS(test, false, left, ==, right, NULL)
#define KUNIT_EXPECT_STREQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_STRINGS(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_STRNEQ(test, left, right) MMUN_KUNIT_STRINGS(test, false, left, !=, right, NULL)
#define KUNIT_EXPECT_STRNEQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_STRINGS(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_MEMEQ(test, left, right, size) MMUN_KUNIT_BYTES(test, false, left, ==, right, size, NULL)
#define KUNIT_EXPECT_MEMEQ_MSG(test, left, right, size, fmt, ...) MMUN_KUNIT_BYTES(test, false, left, ==, right, size, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_MEMNEQ(test, left, right, size) MMUN_KUNIT_BYTES(test, false, left, !=, right, size, NULL)
#define KUNIT_EXPECT_MEMNEQ_MSG(test, left, right, size, fmt, ...) MMUN_KUNIT_BYTES(test, false, left, !=, right, size, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NULL(test, ptr) MMUN_KUNIT_POINTERS(test, false, ptr, ==, NULL, NULL)
#define KUNIT_EXPECT_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_POINTERS(test, false, ptr, ==, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NOT_NULL(test, ptr) MMUN_KUNIT_POINTERS(test, false, ptr, !=, NULL, NULL)
#define KUNIT_EXPECT_NOT_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_POINTERS(test, false, ptr, !=, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL(test, ptr) MMUN_KUNIT_NO_ERROR(test, false, ptr, NULL)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_NO_ERROR(test, false, ptr, fmt, ##__VA_ARGS__)

/* ASSERT: a failure ends the case. */
#define KUNIT_ASSERT_TRUE(test, condition) MMUN_KUNIT_BOOL(test, true, condition, true, NULL)
#define KUNIT_ASSERT_TRUE_MSG(test, condition, fmt, ...) MMUN_KUNIT_BOOL(test, true, condition, true, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_FALSE(test, condition) MMUN_KUNIT_BOOL(test, true, condition, false, NULL)
#define KUNIT_ASSERT_FALSE_MSG(test, condition, fmt, ...) MMUN_KUNIT_BOOL(test, true, condition, false, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_EQ(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, ==, right, NULL)
#define KUNIT_ASSERT_EQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NE(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, !=, right, NULL)
#define KUNIT_ASSERT_NE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_LT(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, <, right, NULL)
#define KUNIT_ASSERT_LT_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, <, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_LE(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, <=, right, NULL)
#define KUNIT_ASSERT_LE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, <=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_GT(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, >, right, NULL)
#define KUNIT_ASSERT_GT_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, >, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_GE(test, left, right) MMUN_KUNIT_COMPARE(test, true, left, >=, right, NULL)
#define KUNIT_ASSERT_GE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_COMPARE(test, true, left, >=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_PTR_EQ(test, left, right) MMUN_KUNIT_POINTERS(test, true, left, ==, right, NULL)
#define KUNIT_ASSERT_PTR_EQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_POINTERS(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_PTR_NE(test, left, right) MMUN_KUNIT_POINTERS(test, true, left, !=, right, NULL)
#define KUNIT_ASSERT_PTR_NE_MSG(test, left, right, fmt, ...) MMUN_KUNIT_POINTERS(test, true, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_STREQ(test, left, right) MMUN_KUNIT_STRINGS(test, true, left, ==, right, NULL)
#define KUNIT_ASSERT_STREQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_STRINGS(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_STRNEQ(test, left, right) MMUN_KUNIT_STRINGS(test, true, left, !=, right, NULL)
#define KUNIT_ASSERT_STRNEQ_MSG(test, left, right, fmt, ...) MMUN_KUNIT_STRINGS(test, true, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_MEMEQ(test, left, right, size) MMUN_KUNIT_BYTES(test, true, left, ==, right, size, NULL)
#define KUNIT_ASSERT_MEMEQ_MSG(test, left, right, size, fmt, ...) MMUN_KUNIT_BYTES(test, true, left, ==, right, size, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_MEMNEQ(test, left, right, size) MMUN_KUNIT_BYTES(test, true, left, !=, right, size, NULL)
#define KUNIT_ASSERT_MEMNEQ_MSG(test, left, right, size, fmt, ...) MMUN_KUNIT_BYTES(test, true, left, !=, right, size, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NULL(test, ptr) MMUN_KUNIT_POINTERS(test, true, ptr, ==, NULL, NULL)
#define KUNIT_ASSERT_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_POINTERS(test, true, ptr, ==, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NOT_NULL(test, ptr) MMUN_KUNIT_POINTERS(test, true, ptr, !=, NULL, NULL)
#define KUNIT_ASSERT_NOT_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_POINTERS(test, true, ptr, !=, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ptr) MMUN_KUNIT_NO_ERROR(test, true, ptr, NULL)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, ptr, fmt, ...) MMUN_KUNIT_NO_ERROR(test, true, ptr, fmt, ##__VA_ARGS__)

/* clang-format on */

/* The elements of @array are the parameters: function @name_gen_params. */
#define KUNIT_ARRAY_PARAM(name, array, get_desc) \
	static const void *name##_gen_params(const void *prev, char *desc) \
	{ \
		__typeof__((array)[0]) *mmun_next = prev ? ((__typeof__(mmun_next))prev) + 1 \
							 : (array); \
		void (*mmun_describe)(__typeof__(mmun_next), char *) = (get_desc); \
		if (mmun_next - (array) >= (long)ARRAY_SIZE(array)) \
			return NULL; \
		if (mmun_describe) \
			mmun_describe(mmun_next, desc); \
		return mmun_next; \
	}
#define KUNIT_ARRAY_PARAM_DESC(name, array, desc_member) \
	static const void *name##_gen_params(const void *prev, char *desc) \
	{ \
		__typeof__((array)[0]) *mmun_next = prev ? ((__typeof__(mmun_next))prev) + 1 \
							 : (array); \
		if (mmun_next - (array) >= (long)ARRAY_SIZE(array)) \
			return NULL; \
		strscpy(desc, mmun_next->desc_member, KUNIT_PARAM_DESC_SIZE); \
		return mmun_next; \
	}

#include <kunit/resource.h>

#endif
