/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An architecture whose guests have memory and no processors: the types of one, and in a line
 * each what kvm_main.c calls of the kernel's for processors, statistics and files.
 */
#ifndef MMUN_KERNEL_KVM_ASM_KVM_HOST_H
#define MMUN_KERNEL_KVM_ASM_KVM_HOST_H

#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#define KVM_MAX_VCPUS            16
#define KVM_HALT_POLL_NS_DEFAULT 0
#define KVM_MINOR                232
#define PAGE_OFFSET              0xffff880000000000ul
#define POISON_POINTER_DELTA     0xdead000000000000ul

struct kvm_arch {
	int nothing;
};

struct kvm_vcpu_arch {
	int nothing;
};

struct kvm_arch_memory_slot {
	int nothing;
};

struct kvm_vm_stat {
	struct kvm_vm_stat_generic generic;
};

struct kvm_vcpu_stat {
	struct kvm_vcpu_stat_generic generic;
};

/* Its condition is a constant of inlined code, which only an optimizer knows. */
#undef BUILD_BUG_ON
#define BUILD_BUG_ON(condition) ((void)0)

/* Also of an srcu_struct, which any reader holds. */
static inline bool kvm_mutex_held(struct mutex *lock)
{
	return lockdep_is_held(lock);
}

static inline bool kvm_spin_held(spinlock_t *lock)
{
	return lockdep_is_held(lock);
}

static inline bool kvm_rwlock_held(rwlock_t *lock)
{
	return lockdep_is_held(lock);
}

static inline bool kvm_srcu_held(struct srcu_struct *srcu)
{
	return true;
}

#undef lockdep_assert_held
#define lockdep_assert_held(lock) \
	BUG_ON(!_Generic((lock), struct mutex * \
			 : kvm_mutex_held, spinlock_t * \
			 : kvm_spin_held, rwlock_t * \
			 : kvm_rwlock_held, struct srcu_struct * \
			 : kvm_srcu_held)(lock))
#undef lockdep_assert_held_write
#define lockdep_assert_held_write(lock) lockdep_assert_held(lock)

/* Processors of guests. */

struct preempt_notifier;

struct preempt_ops {
	void (*sched_in)(struct preempt_notifier *notifier, int cpu);
	void (*sched_out)(struct preempt_notifier *notifier, struct task_struct *next);
};

struct preempt_notifier {
	struct preempt_ops *ops;
};

#define CONFIG_PREEMPT_NOTIFIERS           1
#define preempt_notifier_inc()             ((void)0)
#define preempt_notifier_dec()             ((void)0)
#define preempt_notifier_init(n, ops)      ((void)0)
#define preempt_notifier_register(n)       ((void)0)
#define preempt_notifier_unregister(n)     ((void)0)
#define vtime_account_guest_enter()        ((void)0)
#define vtime_account_guest_exit()         ((void)0)
#define context_tracking_guest_enter()     true
#define context_tracking_guest_exit()      false
#define rcu_virt_note_context_switch()     ((void)0)
#define lockdep_hardirqs_off(ip)           ((void)0)
#define lockdep_hardirqs_on(ip)            ((void)0)
#define lockdep_hardirqs_on_prepare()      ((void)0)
#define trace_hardirqs_off_finish()        ((void)0)
#define trace_hardirqs_on_prepare()        ((void)0)
#define trace_kvm_age_hva(...)             ((void)0)
#define trace_kvm_test_age_hva(...)        ((void)0)
#define trace_kvm_unmap_hva_range(...)     ((void)0)
#define trace_kvm_userspace_exit(...)      ((void)0)
#define trace_kvm_vcpu_wakeup(...)         ((void)0)
#define trace_kvm_halt_poll_ns_grow(...)   ((void)0)
#define trace_kvm_halt_poll_ns_shrink(...) ((void)0)
#define CALLER_ADDR0                       0ul
#define task_is_runnable(task)             true
#define single_task_running()              false
#define need_resched()                     false
#define yield_to(task, preempt)            0
#define PIDTYPE_PID                        0
#define SIG_SETMASK                        2
#define SIGKILL                            9
#define SIGSTOP                            19
#define sigdelsetmask(...)                 ((void)0)
#define sigemptyset(...)                   ((void)0)
#define sigprocmask(...)                   ((void)0)
/* A set of signals, which the line above does not look at. */
#define real_blocked                    pid
#define is_compat_task()                false
#define array_index_nospec(index, size) (index)
#define div64_u64(a, b)                 ((a) / (b))
#define bsearch(...)                    NULL

/* Pages of the host: looked up by get_user_pages_unlocked(), as nothing faster succeeds. */

struct follow_pfnmap_args {
	struct vm_area_struct *vma;
	unsigned long address, pfn;
	bool writable;
};

#define FOLL_HWPOISON                  0
#define FOLL_NOWAIT                    0
#define FOLL_INTERRUPTIBLE             0
#define FOLL_HONOR_NUMA_FAULT          0
#define get_user_page_fast_only(...)   false
#define get_user_pages_fast_only(...)  0
#define follow_pfnmap_start(args)      (-EINVAL)
#define follow_pfnmap_end(args)        ((void)0)
#define untagged_addr(address)         (address)
#define vma_kernel_pagesize(vma)       PAGE_SIZE
#define ZERO_PAGE(address)             NULL
#define SetPageDirty(page)             set_page_dirty(page)
#define page_count(page)               1
#define get_page_unless_zero(page)     (get_page(page), true)
#define NR_SECONDARY_PAGETABLE         0
#define mod_lruvec_page_state(...)     ((void)0)
#define pagefault_disable()            ((void)0)
#define pagefault_enable()             ((void)0)
#define __copy_from_user_inatomic(...) 1ul
#define __vcalloc(n, size, gfp)        kvcalloc(n, size, gfp)
#define bitmap_set(...)                ((void)0)
#define set_bit_le(n, bits)            set_bit(n, (unsigned long *)(bits))
#define xa_reserve(...)                0
#define xa_release(...)                ((void)0)
#define kmem_cache_create_usercopy(name, size, align, flags, offset, length, ctor) \
	kmem_cache_create(name, size, align, flags, ctor)

/* Files, and what the kernel says of machines. */

struct kobj_uevent_env {
	char *envp[8];
	int envp_idx;
};

static inline int simple_attr_open(struct inode *inode, struct file *file,
				   int (*get)(void *, u64 *), int (*set)(void *, u64),
				   const char *format)
{
	return -EOPNOTSUPP;
}

static inline int simple_attr_release(struct inode *inode, struct file *file)
{
	return 0;
}

#define simple_attr_read                NULL
#define simple_attr_write               NULL
#define __simple_attr_check_format(...) ((void)0)
#define DEFINE_SIMPLE_ATTRIBUTE(name, get, set, format) \
	static const struct file_operations name = { 0 }
#define debugfs_initialized()   false
#define debugfs_lookup(...)     NULL
#define dput(dentry)            ((void)0)
#define dentry_path_raw(...)    ERR_PTR(-ENOENT)
#define KOBJ_CHANGE             0
#define kobj                    driver_data
#define kobject_uevent_env(...) ((void)0)
#define FMODE_PREAD             0
#define anon_inode_getfd(...)   (-EOPNOTSUPP)
#define get_unused_fd_flags(fl) 3
#define put_unused_fd(fd)       ((void)0)
#define fd_install(fd, file)    ((void)0)

/* In test.c, which opens them. */
struct file *anon_inode_getfile(const char *name, const struct file_operations *fops, void *priv,
				int flags);
int kvm_test_register(struct miscdevice *misc);
#define misc_register(misc)   kvm_test_register(misc)
#define misc_deregister(misc) ((void)0)

#endif
