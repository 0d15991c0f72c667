// SPDX-License-Identifier: Apache-2.0
// UDP sockets that set and tell the TTL, many datagrams a call: Node's dgram can do neither.
//
// Nothing here waits. Datagrams are records of a fixed size in the caller's buffer, numbers in host order:
//   to send    [16 address, IPv4 mapped][u16 port][u16 length][4 unused][40 payload]
//   received   [16 address][u16 port][u16 length of the datagram][i16 TTL or hop limit, -1: not told][2 unused][40 payload]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

constexpr size_t kPayload = 40;
constexpr size_t kRecord = 64;
constexpr unsigned kBatch = 64;

struct Record {
  uint8_t address[16];
  uint16_t port;
  uint16_t length;
  int16_t ttl;
  uint16_t unused;
  uint8_t payload[kPayload];
};
static_assert(sizeof(Record) == kRecord);

bool IsMapped(const uint8_t* address) {
  static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(address, prefix, sizeof(prefix)) == 0;
}

socklen_t FillAddress(const uint8_t* address, uint16_t port, sockaddr_storage* out) {
  memset(out, 0, sizeof(*out));
  if (IsMapped(address)) {
    auto* ip4 = reinterpret_cast<sockaddr_in*>(out);
    ip4->sin_family = AF_INET;
    ip4->sin_port = htons(port);
    memcpy(&ip4->sin_addr, address + 12, 4);
    return sizeof(*ip4);
  }
  auto* ip6 = reinterpret_cast<sockaddr_in6*>(out);
  ip6->sin6_family = AF_INET6;
  ip6->sin6_port = htons(port);
  memcpy(&ip6->sin6_addr, address, 16);
  return sizeof(*ip6);
}

void ReadAddress(const sockaddr_storage& from, Record* record) {
  if (from.ss_family == AF_INET) {
    auto* ip4 = reinterpret_cast<const sockaddr_in*>(&from);
    memset(record->address, 0, 10);
    record->address[10] = record->address[11] = 0xff;
    memcpy(record->address + 12, &ip4->sin_addr, 4);
    record->port = ntohs(ip4->sin_port);
    return;
  }
  auto* ip6 = reinterpret_cast<const sockaddr_in6*>(&from);
  memcpy(record->address, &ip6->sin6_addr, 16);
  record->port = ntohs(ip6->sin6_port);
}

bool Set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// udpOpen(address, {port, ttl, trafficClass, receiveBuffer}): fd, or -errno. Bound to that address (IPv4 mapped) and port,
// sends with that TTL or hop limit, tells it of what it receives.
Value UdpOpen(const CallbackInfo& info) {
  Bytes address = BytesArgOfSize(info[0], "address", 16);
  auto options = info[1].As<Napi::Object>();
  auto port = static_cast<uint16_t>(U32Member(options, "port", 0));
  int ttl = static_cast<int>(U32Member(options, "ttl", 64));
  int traffic_class = static_cast<int>(U32Member(options, "trafficClass", 0));
  int size = static_cast<int>(U32Member(options, "receiveBuffer", 0));
  bool ip4 = IsMapped(address.data);
  UniqueFd fd(socket(ip4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Number::New(info.Env(), -errno);
  bool set = ip4 ? Set(fd.get(), IPPROTO_IP, IP_TTL, ttl) && Set(fd.get(), IPPROTO_IP, IP_RECVTTL, 1) &&
                       Set(fd.get(), IPPROTO_IP, IP_TOS, traffic_class)
                 : Set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
                       Set(fd.get(), IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl) &&
                       Set(fd.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
                       Set(fd.get(), IPPROTO_IPV6, IPV6_TCLASS, traffic_class);
  if (!set) return Number::New(info.Env(), -errno);
  if (size > 0 && !Set(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, size)) Set(fd.get(), SOL_SOCKET, SO_RCVBUF, size);
  sockaddr_storage local;
  socklen_t length = FillAddress(address.data, port, &local);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&local), length) != 0) return Number::New(info.Env(), -errno);
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(std::move(fd), FdKind::kSocket));
}

// udpSend(fd, records, count): {sent, error}: how many the kernel took, and the last -errno of those it did not, or 0.
// One that cannot be sent (no route, no neighbour) does not keep the others back.
Value UdpSend(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kSocket);
  Bytes bytes = BytesArg(info[1], "records");
  size_t count = std::min<size_t>(U32Arg(info[2], "count"), bytes.size / kRecord);
  uint32_t sent = 0;
  int error = 0;
  sockaddr_storage to[kBatch];
  iovec vectors[kBatch];
  mmsghdr messages[kBatch];
  for (size_t at = 0; at < count;) {
    unsigned batch = static_cast<unsigned>(std::min<size_t>(kBatch, count - at));
    memset(messages, 0, sizeof(messages[0]) * batch);
    for (unsigned i = 0; i < batch; i++) {
      auto* record = reinterpret_cast<Record*>(bytes.data + (at + i) * kRecord);
      vectors[i].iov_base = record->payload;
      vectors[i].iov_len = std::min<size_t>(record->length, kPayload);
      messages[i].msg_hdr.msg_name = &to[i];
      messages[i].msg_hdr.msg_namelen = FillAddress(record->address, record->port, &to[i]);
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int taken = sendmmsg(fd, messages, batch, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0 && errno == EINTR) continue;
    if (taken <= 0) {
      error = errno;
      at++;  // the first of the batch is the one that was refused
      continue;
    }
    sent += static_cast<uint32_t>(taken);
    at += static_cast<size_t>(taken);
  }
  auto result = Napi::Object::New(info.Env());
  result.Set("sent", sent);
  result.Set("error", -error);
  return result;
}

int16_t TtlOf(msghdr* message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(message); control != nullptr; control = CMSG_NXTHDR(message, control)) {
    bool told = (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TTL) ||
                (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_HOPLIMIT);
    if (!told) continue;
    int ttl;
    memcpy(&ttl, CMSG_DATA(control), sizeof(ttl));
    return static_cast<int16_t>(ttl);
  }
  return -1;
}

// udpReceive(fd, buffer): the number of records, 0 when nothing waits, or -errno
Value UdpReceive(const CallbackInfo& info) {
  int fd = FdArg(info, 0, FdKind::kSocket);
  Bytes bytes = BytesArg(info[1], "buffer");
  unsigned batch = static_cast<unsigned>(std::min<size_t>(kBatch, bytes.size / kRecord));
  sockaddr_storage from[kBatch];
  iovec vectors[kBatch];
  mmsghdr messages[kBatch];
  alignas(cmsghdr) uint8_t control[kBatch][64];
  memset(messages, 0, sizeof(messages[0]) * batch);
  for (unsigned i = 0; i < batch; i++) {
    vectors[i].iov_base = reinterpret_cast<Record*>(bytes.data + i * kRecord)->payload;
    vectors[i].iov_len = kPayload;
    messages[i].msg_hdr.msg_name = &from[i];
    messages[i].msg_hdr.msg_namelen = sizeof(from[i]);
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = control[i];
    messages[i].msg_hdr.msg_controllen = sizeof(control[i]);
  }
  int count;
  do {
    // MSG_TRUNC: the datagram's own length, also where it is longer than the record
    count = recvmmsg(fd, messages, batch, MSG_DONTWAIT | MSG_TRUNC, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Number::New(info.Env(), errno == EAGAIN ? 0 : -errno);
  for (int i = 0; i < count; i++) {
    auto* record = reinterpret_cast<Record*>(bytes.data + static_cast<size_t>(i) * kRecord);
    ReadAddress(from[i], record);
    record->length = static_cast<uint16_t>(std::min<unsigned>(messages[i].msg_len, 0xffff));
    record->ttl = TtlOf(&messages[i].msg_hdr);
    record->unused = 0;
  }
  return Number::New(info.Env(), count);
}

}  // namespace

void RegisterUdp(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "udpOpen", UdpOpen);
  Export(env, exports, "udpSend", UdpSend);
  Export(env, exports, "udpReceive", UdpReceive);
}

}  // namespace mapwire
