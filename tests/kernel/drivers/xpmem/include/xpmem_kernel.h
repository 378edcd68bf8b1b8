/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What XPMEM uses of the kernel beside memory: everybody's credentials are the same, there is one
 * processor, /proc takes files that nobody opens, and a signal that ends the task is counted.
 */
#ifndef XPMEM_KERNEL_H
#define XPMEM_KERNEL_H

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>

typedef struct {
	unsigned int value;
} kuid_t;
typedef kuid_t kgid_t;
#define current_uid()   ((kuid_t){ 0 })
#define current_euid()  current_uid()
#define current_gid()   current_uid()
#define uid_eq(a, b)    ((a).value == (b).value)
#define in_group_p(gid) (!(gid).value)
#define CAP_IPC_OWNER   15
#define PF_DUMPCORE     0x00000200

struct kern_ipc_perm {
	kuid_t uid, cuid;
	kgid_t gid, cgid;
	umode_t mode;
};

/* One processor, on which each task is: none is ever moved, and no mask is ever saved. */
typedef unsigned int cpumask_t;
#define cpus_mask                       flags
#define CPU_MASK_NONE                   0
#define cpumask_empty(mask)             (!*(mask))
#define cpumask_of(cpu)                 (&current->flags)
#define task_cpu(task)                  ((void)(task), 0)
#define cpu_to_node(cpu)                (cpu)
#define set_cpus_allowed_ptr(task, set) ((void)(set))

#define next_thread(task)     (task)
#define task_is_stopped(task) 0

#undef SIGKILL
#define SIGKILL 9
extern long xpmem_killed;
#define force_sig(signal) ((void)__atomic_fetch_add(&xpmem_killed, 1, __ATOMIC_RELAXED))

#define PGDIR_SIZE (1ul << 39)
#define P4D_SIZE   (1ul << 39)
#define PUD_SIZE   (1ul << PUD_SHIFT)

/* Its functions hand pointers to entries on. */
static inline pte_t *xpmem_entry(struct mm_struct *mm, unsigned long address)
{
	static __thread pte_t entry;

	entry = (pte_t){ mmun_compat_entry(mm, address, false) };
	return &entry;
}
#undef pte_offset_kernel
#define pte_offset_kernel(pmd, address) xpmem_entry((pmd)->mm, address)

/* kzalloc() gives what malloc() does, and not the start of a cache line. */
#undef ____cacheline_aligned
#define ____cacheline_aligned

/* /proc */
struct proc_dir_entry;
struct seq_file {
	void *private;
};
struct proc_ops {
	loff_t (*proc_lseek)(struct file *file, loff_t offset, int whence);
	ssize_t (*proc_read)(struct file *file, char *buffer, size_t length, loff_t *offset);
	ssize_t (*proc_write)(struct file *file, const char *buffer, size_t length, loff_t *offset);
	int (*proc_open)(struct inode *inode, struct file *file);
	int (*proc_release)(struct inode *inode, struct file *file);
};
#define XPMEM_PROC_ENTRY         ((struct proc_dir_entry *)&xpmem_killed)
#define proc_mkdir(name, parent) XPMEM_PROC_ENTRY
#define proc_create_data(name, mode, parent, ops, data) \
	((void)(parent), (void)(ops), XPMEM_PROC_ENTRY)
#define proc_create(name, mode, parent, ops) proc_create_data(name, mode, parent, ops, NULL)
#define proc_set_user(entry, uid, gid)       ((void)(entry))
#define remove_proc_entry(name, parent)      ((void)(name), (void)(parent))
#define pde_data(inode)                      ((void *)(inode))
#define seq_lseek                            NULL
#define seq_read                             NULL
#define single_release                       NULL
#define seq_printf(seq, ...)                 ((void)(seq))
#define single_open(file, show, data)        ((void)(file), (void)(show), (void)(data), 0)

#endif
