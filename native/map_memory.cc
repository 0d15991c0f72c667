// SPDX-License-Identifier: Apache-2.0
// A BPF_F_MMAPABLE array as an ArrayBuffer.
#include <linux/bpf.h>
#include <sys/mman.h>

#include <cerrno>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

// mapMemory(fd): ArrayBuffer, or -errno. The mapping keeps the map alive and goes with the ArrayBuffer.
// Always writable: a store into a read-only ArrayBuffer would be a signal, not an error.
Napi::Value MapMemory(const Napi::CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  if (map.shape.type != BPF_MAP_TYPE_ARRAY || (map.shape.flags & BPF_F_MMAPABLE) == 0)
    return Napi::Number::New(info.Env(), -EINVAL);
  size_t length = static_cast<size_t>((map.shape.value_size + 7) & ~7u) * map.shape.max_entries;
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0);
  if (memory == MAP_FAILED) return Napi::Number::New(info.Env(), -errno);
  return Napi::ArrayBuffer::New(info.Env(), memory, length,
                                [length](Napi::Env, void* data) { munmap(data, length); });
}

}  // namespace

void RegisterMapMemory(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "mapMemory", MapMemory);
}

}  // namespace mapwire
