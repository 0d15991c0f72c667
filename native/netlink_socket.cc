// SPDX-License-Identifier: Apache-2.0
// Netlink sockets: bytes in, bytes out. Messages are built and read in TypeScript (src/libbpf/netlink/).
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "args.h"
#include "promise_work.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

constexpr size_t kDatagram = 256 * 1024;  // a dump fills 32 KiB at most; one link with many VFs may be larger

// netlinkOpen(protocol, {groups, receiveBuffer}): fd
Value NetlinkOpen(const CallbackInfo& info) {
  uint32_t protocol = U32Arg(info[0], "protocol");
  auto options = info[1].As<Napi::Object>();
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, static_cast<int>(protocol)));
  if (!fd.valid()) return Number::New(info.Env(), -errno);
  int on = 1;
  // Without them: no message text with errors, loose dumps. Both are in every kernel this runs on.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  timeval limit{10, 0};  // the kernel answers at once; a pool thread must not hang for ever
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  int size = static_cast<int>(U32Member(options, "receiveBuffer", 0));
  if (size > 0 && setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return Number::New(info.Env(), -errno);
  Value groups = options.Get("groups");
  if (!groups.IsUndefined()) {
    auto list = groups.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) {
      uint32_t group = U32Arg(list.Get(i), "group");
      if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
        return Number::New(info.Env(), -errno);
    }
  }
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(std::move(fd), FdKind::kSocket));
}

// Whether this datagram holds the end of the answer to `sequence`: an acknowledgement, an error or the end of
// a dump.
bool IsLast(const uint8_t* data, size_t size, uint32_t sequence) {
  while (size >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    memcpy(&header, data, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size) return false;
    if (header.nlmsg_seq == sequence &&
        (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR))
      return true;
    size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step >= size) return false;
    data += step;
    size -= step;
  }
  return false;
}

int Transact(int fd, const std::vector<uint8_t>& request, uint32_t sequence, std::vector<uint8_t>* answer) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd, request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel)) < 0)
    return errno;
  std::vector<uint8_t> datagram(kDatagram);
  for (;;) {
    ssize_t length = recv(fd, datagram.data(), datagram.size(), MSG_TRUNC);
    if (length < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? ETIMEDOUT : errno;
    }
    if (static_cast<size_t>(length) > datagram.size()) return EMSGSIZE;
    size_t aligned = NLMSG_ALIGN(static_cast<size_t>(length));
    size_t before = answer->size();
    answer->insert(answer->end(), datagram.begin(), datagram.begin() + length);
    answer->resize(before + aligned);
    if (IsLast(datagram.data(), static_cast<size_t>(length), sequence)) return 0;
  }
}

// netlinkRequest(fd, message, sequence): Promise<Uint8Array or -errno>: everything up to the last message of the
// answer. One request at a time on a socket.
Value NetlinkRequest(const CallbackInfo& info) {
  struct State {
    UniqueFd fd;
    std::vector<uint8_t> request, answer;
    int error = 0;
  };
  auto state = std::make_shared<State>();
  int fd = FdArg(info, 0, FdKind::kSocket);
  Bytes request = BytesArg(info[1], "message");
  uint32_t sequence = U32Arg(info[2], "sequence");
  state->request.assign(request.data, request.data + request.size);
  state->fd = UniqueFd::Duplicate(fd);
  return PromiseWork::Queue(
      info.Env(), "netlinkRequest",
      [state, sequence] {
        state->error = Transact(state->fd.get(), state->request, sequence, &state->answer);
      },
      [state](Napi::Env env) -> Value {
        if (state->error != 0) return Number::New(env, -state->error);
        auto bytes = Napi::Uint8Array::New(env, state->answer.size());
        if (!state->answer.empty()) memcpy(bytes.Data(), state->answer.data(), state->answer.size());
        return bytes;
      });
}

// netlinkReceive(fd, buffer): bytes of one datagram from the kernel, -EAGAIN when there is none, -ENOBUFS after an
// overrun. Never waits.
Value NetlinkReceive(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kSocket);
  Bytes buffer = BytesArg(info[1], "buffer");
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_length = sizeof(from);
    ssize_t length = recvfrom(fd, buffer.data, buffer.size, MSG_DONTWAIT | MSG_TRUNC,
                              reinterpret_cast<sockaddr*>(&from), &from_length);
    if (length < 0) {
      if (errno == EINTR) continue;
      return Number::New(info.Env(), -errno);
    }
    if (from.nl_pid != 0) continue;  // another process wrote to us
    if (static_cast<size_t>(length) > buffer.size) return Number::New(info.Env(), -EMSGSIZE);
    return Number::New(info.Env(), static_cast<double>(length));
  }
}

}  // namespace

void RegisterNetlink(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "netlinkOpen", NetlinkOpen);
  Export(env, exports, "netlinkRequest", NetlinkRequest);
  Export(env, exports, "netlinkReceive", NetlinkReceive);
}

}  // namespace mapwire
