// SPDX-License-Identifier: Apache-2.0
#include "fd_table.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <linux/bpf.h>

#include <utility>

namespace mapwire {

namespace {

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

}  // namespace

int ReadMapShape(int fd, MapShape* shape) {
  bpf_map_info info{};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return -errno;
  shape->type = info.type;
  shape->key_size = info.key_size;
  shape->value_size = info.value_size;
  shape->value_stride = info.value_size;
  if (IsPerCpu(info.type)) {
    int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return cpus;
    shape->value_stride = ((info.value_size + 7) & ~7u) * static_cast<uint32_t>(cpus);
  }
  shape->max_entries = info.max_entries;
  shape->flags = info.map_flags;
  return 0;
}

FdTable::~FdTable() {
  for (const auto& [fd, entry] : entries_) close(fd);
}

int FdTable::Adopt(UniqueFd fd, FdKind kind) {
  Entry entry{kind, {}};
  if (kind == FdKind::kMap) {
    int error = ReadMapShape(fd.get(), &entry.shape);
    if (error != 0) return error;
  }
  int number = fd.get();
  entries_[number] = entry;
  return fd.Release();
}

bool FdTable::Holds(int fd, FdKind kind) const {
  auto found = entries_.find(fd);
  return found != entries_.end() && found->second.kind == kind;
}

const MapShape* FdTable::Map(int fd) const {
  auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.kind != FdKind::kMap) return nullptr;
  return &found->second.shape;
}

bool FdTable::Close(int fd) {
  if (entries_.erase(fd) == 0) return false;
  close(fd);
  return true;
}

}  // namespace mapwire
