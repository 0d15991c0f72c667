// SPDX-License-Identifier: Apache-2.0
// The consumer's end of a BPF_MAP_TYPE_RINGBUF, as Linux Documentation/bpf/ringbuf.rst lays it out: one page
// with the consumer position, one with the producer's, then the data, mapped twice so that no record wraps.
//
// Own code rather than libbpf's ring_buffer__consume(), because that calls back once a record and cannot stop
// before one that does not fit the caller's buffer.
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

class RingReader : public Napi::ObjectWrap<RingReader> {
 public:
  static void Register(Napi::Env env, Napi::Object exports) {
    exports.Set("RingReader", DefineClass(env, "RingReader",
                                          {
                                              InstanceMethod<&RingReader::Drain>("drain"),
                                              InstanceMethod<&RingReader::Close>("close"),
                                          }));
  }

  // new RingReader(map fd): throws {errno, syscall}
  explicit RingReader(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RingReader>(info) {
    MapArg map = MapArgument(info, 0);
    if (map.shape.type != BPF_MAP_TYPE_RINGBUF) throw Napi::TypeError::New(info.Env(), "fd: a ring buffer expected");
    page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = map.shape.max_entries;
    void* consumer = mmap(nullptr, page_, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0);
    if (consumer == MAP_FAILED) Throw(info.Env());
    consumer_ = static_cast<uint8_t*>(consumer);
    void* producer = mmap(nullptr, page_ + 2 * size_, PROT_READ, MAP_SHARED, map.fd, static_cast<off_t>(page_));
    if (producer == MAP_FAILED) {
      int error = errno;
      Unmap();
      errno = error;
      Throw(info.Env());
    }
    producer_ = static_cast<uint8_t*>(producer);
  }

  ~RingReader() override { Unmap(); }

 private:
  [[noreturn]] static void Throw(Napi::Env env) {
    int error = errno;
    Napi::Error result = Napi::Error::New(env, std::string("mmap: ") + strerror(error));
    result.Set("errno", Napi::Number::New(env, error));
    result.Set("syscall", Napi::String::New(env, "mmap"));
    throw result;
  }

  void Unmap() {
    if (producer_ != nullptr) munmap(producer_, page_ + 2 * size_);
    if (consumer_ != nullptr) munmap(consumer_, page_);
    producer_ = consumer_ = nullptr;
  }

  // drain(buffer): {bytes, records, needed, pending}. Records as [u32 length][payload], padded to 4 bytes.
  // `needed`: size the first record wants if not even that fits. `pending`: more is there (perhaps not yet
  // committed).
  Napi::Value Drain(const Napi::CallbackInfo& info) {
    if (consumer_ == nullptr) throw Napi::Error::New(info.Env(), "the ring reader is closed");
    Bytes out = BytesArg(info[0], "buffer");
    auto* consumer_position = reinterpret_cast<unsigned long*>(consumer_);
    auto* producer_position = reinterpret_cast<unsigned long*>(producer_);
    uint8_t* data = producer_ + page_;
    size_t used = 0;
    uint32_t records = 0;
    uint32_t needed = 0;
    unsigned long position = __atomic_load_n(consumer_position, __ATOMIC_ACQUIRE);
    unsigned long end = __atomic_load_n(producer_position, __ATOMIC_ACQUIRE);
    while (position < end) {
      uint8_t* record = data + (position & (size_ - 1));
      uint32_t header = __atomic_load_n(reinterpret_cast<uint32_t*>(record), __ATOMIC_ACQUIRE);
      if ((header & BPF_RINGBUF_BUSY_BIT) != 0) break;
      uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
      if ((header & BPF_RINGBUF_DISCARD_BIT) == 0) {
        size_t room = 4 + ((static_cast<size_t>(length) + 3) & ~size_t{3});
        if (used + room > out.size) {
          if (records == 0) needed = static_cast<uint32_t>(room);
          break;
        }
        memcpy(out.data + used, &length, 4);
        memcpy(out.data + used + 4, record + BPF_RINGBUF_HDR_SZ, length);
        used += room;
        records++;
      }
      position += (static_cast<unsigned long>(length) + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
      __atomic_store_n(consumer_position, position, __ATOMIC_RELEASE);
    }
    auto result = Napi::Object::New(info.Env());
    result.Set("bytes", static_cast<double>(used));
    result.Set("records", records);
    result.Set("needed", needed);
    result.Set("pending", position < __atomic_load_n(producer_position, __ATOMIC_ACQUIRE));
    return result;
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    Unmap();
    return info.Env().Undefined();
  }

  size_t page_ = 0;
  size_t size_ = 0;
  uint8_t* consumer_ = nullptr;
  uint8_t* producer_ = nullptr;
};

}  // namespace

void RegisterRingReader(Napi::Env env, Napi::Object exports) {
  RingReader::Register(env, exports);
}

}  // namespace mapwire
