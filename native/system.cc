// SPDX-License-Identifier: Apache-2.0
// What Node lacks: flock, opening without following symlinks, datagrams to systemd; and libbpf's version.
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

// openNoSymlinks(path, directory): fd; -ELOOP if any part of the path is a symbolic link
Value OpenNoSymlinks(const CallbackInfo& info) {
  std::string path = StringArg(info[0], "path");
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (info[1].ToBoolean() ? O_DIRECTORY : 0);
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how)));
  if (fd < 0) return Number::New(info.Env(), -errno);
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(UniqueFd(fd), FdKind::kFile));
}

// tryLock(fd): 0 or -errno; an exclusive flock, -EWOULDBLOCK if another open file holds one. Any descriptor of the
// process, also one that node:fs opened.
Value TryLock(const CallbackInfo& info) {
  int fd = static_cast<int>(U32Arg(info[0], "fd"));
  return Number::New(info.Env(), flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno);
}

// sendUnixDatagram(address, text): 0 or -errno; "@" begins an abstract address
Value SendUnixDatagram(const CallbackInfo& info) {
  std::string path = StringArg(info[0], "address");
  std::string text = StringArg(info[1], "text");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return Number::New(info.Env(), -ENAMETOOLONG);
  memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = 0;
  socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Number::New(info.Env(), -errno);
  ssize_t sent =
      sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), length);
  return Number::New(info.Env(), sent < 0 ? -errno : 0);
}

// libbpfVersion(): "1.1"
Value LibbpfVersion(const CallbackInfo& info) {
  return Napi::String::New(
      info.Env(), std::to_string(libbpf_major_version()) + "." + std::to_string(libbpf_minor_version()));
}

// trimMemory(): whether memory that the allocator kept went back to the system (glibc keeps what batches and dumps used)
Value TrimMemory(const CallbackInfo& info) {
#ifdef __GLIBC__
  return Napi::Boolean::New(info.Env(), malloc_trim(0) != 0);
#else
  return Napi::Boolean::New(info.Env(), false);
#endif
}

}  // namespace

void RegisterSystem(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "openNoSymlinks", OpenNoSymlinks);
  Export(env, exports, "tryLock", TryLock);
  Export(env, exports, "sendUnixDatagram", SendUnixDatagram);
  Export(env, exports, "libbpfVersion", LibbpfVersion);
  Export(env, exports, "trimMemory", TrimMemory);
}

}  // namespace mapwire
