// SPDX-License-Identifier: Apache-2.0
// Waiting until no BPF program runs any more that ran before.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "bucket_table.h"
#include "unique_fd.h"

namespace mapwire {

namespace {

// An update of a map of maps returns after a grace period (kernel/bpf/syscall.c, maybe_wait_bpf_programs, since 4.20).
int WaitByMapOfMaps() {
  UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "mw_wait", 4, 4, 1, nullptr));
  if (inner.get() < 0) return -errno;
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.inner_map_fd = static_cast<uint32_t>(inner.get());
  UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "mw_waits", 4, 4, 1, &options));
  if (outer.get() < 0) return -errno;
  uint32_t key = 0, value = static_cast<uint32_t>(inner.get());
  return bpf_map_update_elem(outer.get(), &key, &value, BPF_ANY) == 0 ? 0 : -errno;
}

}  // namespace

int WaitForReaders() {
  // synchronize_rcu() (kernel/sched/membarrier.c); EINVAL where some CPU runs without ticks (nohz_full).
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return 0;
  return WaitByMapOfMaps();
}

}  // namespace mapwire
