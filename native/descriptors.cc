// SPDX-License-Identifier: Apache-2.0
// What maps, programs, links and BTF have in common: ids, info, pins, closing.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

FdKind KindArg(const Value& value) {
  switch (U32Arg(value, "kind")) {
    case 0:
      return FdKind::kMap;
    case 1:
      return FdKind::kProgram;
    case 2:
      return FdKind::kLink;
    case 3:
      return FdKind::kBtf;
    default:
      throw Napi::RangeError::New(value.Env(), "kind: 0 to 3 expected");
  }
}

Value AdoptResult(const CallbackInfo& info, int fd, FdKind kind) {
  if (fd < 0) return Number::New(info.Env(), -errno);
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(UniqueFd(fd), kind));
}

// close(fd): 0 or -EBADF
Value Close(const CallbackInfo& info) {
  int fd = static_cast<int>(U32Arg(info[0], "fd"));
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Close(fd) ? 0 : -EBADF);
}

// duplicate(fd, kind): fd
Value Duplicate(const CallbackInfo& info) {
  FdKind kind = KindArg(info[1]);
  int fd = FdArg(info, 0, kind);
  return AdoptResult(info, UniqueFd::Duplicate(fd).Release(), kind);
}

// openCount(): descriptors this environment holds
Value OpenCount(const CallbackInfo& info) {
  return Number::New(info.Env(), static_cast<double>(Context::Of(info.Env()).fds.size()));
}

// nextId(kind, id): the next id, or -errno
Value NextId(const CallbackInfo& info) {
  FdKind kind = KindArg(info[0]);
  uint32_t id = U32Arg(info[1], "id");
  uint32_t next = 0;
  int error = 0;
  switch (kind) {
    case FdKind::kMap:
      error = bpf_map_get_next_id(id, &next);
      break;
    case FdKind::kProgram:
      error = bpf_prog_get_next_id(id, &next);
      break;
    case FdKind::kLink:
      error = bpf_link_get_next_id(id, &next);
      break;
    default:
      error = bpf_btf_get_next_id(id, &next);
  }
  return Number::New(info.Env(), error == 0 ? static_cast<double>(next) : -errno);
}

// fdById(kind, id): fd
Value FdById(const CallbackInfo& info) {
  FdKind kind = KindArg(info[0]);
  uint32_t id = U32Arg(info[1], "id");
  switch (kind) {
    case FdKind::kMap:
      return AdoptResult(info, bpf_map_get_fd_by_id(id), kind);
    case FdKind::kProgram:
      return AdoptResult(info, bpf_prog_get_fd_by_id(id), kind);
    case FdKind::kLink:
      return AdoptResult(info, bpf_link_get_fd_by_id(id), kind);
    default:
      return AdoptResult(info, bpf_btf_get_fd_by_id(id), kind);
  }
}

// objectInfo(fd, out): length written, or -errno. `out` is zeroed by the caller.
Value ObjectInfo(const CallbackInfo& info) {
  int fd = AnyFdArg(info, 0);
  Bytes out = BytesArg(info[1], "out");
  uint32_t length = static_cast<uint32_t>(out.size);
  int error = bpf_obj_get_info_by_fd(fd, out.data, &length);
  return Number::New(info.Env(), error == 0 ? static_cast<double>(length) : -errno);
}

// pin(fd, path): 0 or -errno
Value Pin(const CallbackInfo& info) {
  int fd = AnyFdArg(info, 0);
  std::string path = StringArg(info[1], "path");
  return Number::New(info.Env(), bpf_obj_pin(fd, path.c_str()) == 0 ? 0 : -errno);
}

// What a pin holds can only be asked of the descriptor. Each info query checks the kind first (-EINVAL
// from bpf_map_info on a program cannot be told apart), so /proc says it.
bool IsKind(int fd, FdKind kind) {
  char path[64];
  char target[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, target, sizeof(target) - 1);
  if (length < 0) return false;
  target[length] = 0;
  std::string name(target);
  switch (kind) {
    case FdKind::kMap:
      return name == "anon_inode:bpf-map";
    case FdKind::kProgram:
      return name == "anon_inode:bpf-prog";
    case FdKind::kLink:
      return name == "anon_inode:bpf_link" || name == "anon_inode:bpf-link";
    default:
      return name == "anon_inode:btf";
  }
}

// openPinned(kind, path): fd, -EPROTOTYPE for a pin of another kind
Value OpenPinned(const CallbackInfo& info) {
  FdKind kind = KindArg(info[0]);
  std::string path = StringArg(info[1], "path");
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return Number::New(info.Env(), -errno);
  if (!IsKind(fd.get(), kind)) return Number::New(info.Env(), -EPROTOTYPE);
  return AdoptResult(info, fd.Release(), kind);
}

// btfLoad(bytes): fd
Value BtfLoad(const CallbackInfo& info) {
  Bytes bytes = BytesArg(info[0], "bytes");
  return AdoptResult(info, bpf_btf_load(bytes.data, bytes.size, nullptr), FdKind::kBtf);
}

// btfRaw(fd): Uint8Array, or -errno
Value BtfRaw(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kBtf);
  bpf_btf_info btf{};
  uint32_t length = sizeof(btf);
  if (bpf_obj_get_info_by_fd(fd, &btf, &length) != 0) return Number::New(info.Env(), -errno);
  auto bytes = Napi::Uint8Array::New(info.Env(), btf.btf_size);
  bpf_btf_info again{};
  again.btf = reinterpret_cast<uint64_t>(bytes.Data());
  again.btf_size = static_cast<uint32_t>(bytes.ByteLength());
  length = sizeof(again);
  if (bpf_obj_get_info_by_fd(fd, &again, &length) != 0) return Number::New(info.Env(), -errno);
  return bytes;
}

}  // namespace

void RegisterDescriptors(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "close", Close);
  Export(env, exports, "duplicate", Duplicate);
  Export(env, exports, "openCount", OpenCount);
  Export(env, exports, "nextId", NextId);
  Export(env, exports, "fdById", FdById);
  Export(env, exports, "objectInfo", ObjectInfo);
  Export(env, exports, "pin", Pin);
  Export(env, exports, "openPinned", OpenPinned);
  Export(env, exports, "btfLoad", BtfLoad);
  Export(env, exports, "btfRaw", BtfRaw);
}

}  // namespace mapwire
