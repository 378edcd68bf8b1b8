/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two reliable queue pairs of one process, connected to each other through its RDMA device. */
#ifndef MMUN_VM_LOOP_H
#define MMUN_VM_LOOP_H

#include <infiniband/verbs.h>

struct loop {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2];
};

/* Does what it can, or ends the program (fail() of ways.h). */
void loop_open(struct loop *loop);
/* All but the protection domain and the context. */
void loop_close_queues(struct loop *loop);
/* One work request of the first queue pair, with its completion.  Ends the program if that
 * does not come. */
enum ibv_wc_status loop_do(struct loop *loop, enum ibv_wr_opcode opcode, void *local, size_t length,
			   uint32_t lkey, void *remote, uint32_t rkey);

#endif
