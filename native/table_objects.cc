// SPDX-License-Identifier: Apache-2.0
// BucketTable and PlaceTable over a mapped array (or, for tests, over memory of their own).
#include <linux/bpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "args.h"
#include "bucket_table.h"
#include "place_table.h"
#include "promise_work.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;

// Keys ahead whose buckets are asked for.
constexpr uint32_t kAhead = 8;

class Mapping {
 public:
  // fd -1: memory of its own. Check valid().
  Mapping(int fd, size_t length) : length_(length) {
    memory_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (valid()) munmap(memory_, length_);
  }
  bool valid() const { return memory_ != MAP_FAILED; }
  void* data() const { return memory_; }

 private:
  void* memory_;
  size_t length_;
};

struct Batch {
  uint32_t applied = 0;
  uint32_t missing = 0;
  uint32_t changed = 0;
  int error = 0;
};

Napi::Value ToValue(Napi::Env env, const Batch& batch) {
  auto result = Napi::Object::New(env);
  result.Set("applied", batch.applied);
  result.Set("missing", batch.missing);
  result.Set("changed", batch.changed);
  result.Set("error", batch.error);
  return result;
}

Batch PutAll(BucketTable& table, const uint8_t* keys, const uint8_t* values, uint32_t count, bool may_wait) {
  Batch batch;
  for (uint32_t i = 0; i < count; i++) {
    if (i + kAhead < count) table.Prefetch(keys + static_cast<size_t>(i + kAhead) * table.key_size());
    bool changed = false;
    int error = table.Put(keys + static_cast<size_t>(i) * table.key_size(),
                          values + static_cast<size_t>(i) * table.value_size(), may_wait, &changed);
    if (error != 0) {
      batch.error = -error;
      return batch;
    }
    batch.applied++;
    batch.changed += changed;
  }
  return batch;
}

Batch RemoveAll(BucketTable& table, const uint8_t* keys, uint32_t count) {
  Batch batch;
  for (uint32_t i = 0; i < count; i++) {
    if (i + kAhead < count) table.Prefetch(keys + static_cast<size_t>(i + kAhead) * table.key_size());
    if (table.Remove(keys + static_cast<size_t>(i) * table.key_size()))
      batch.applied++;
    else
      batch.missing++;
  }
  batch.changed = batch.applied;
  return batch;
}

[[noreturn]] void ThrowMap(Napi::Env env) {
  int error = errno;
  Napi::Error result = Napi::Error::New(env, std::string("mmap: ") + strerror(error));
  result.Set("errno", Number::New(env, error));
  result.Set("syscall", Napi::String::New(env, "mmap"));
  throw result;
}

// The array's memory. `elements`: of the map, or as wanted without a map.
std::shared_ptr<Mapping> MapArray(const CallbackInfo& info, size_t index, size_t element, uint32_t* elements) {
  int fd = -1;
  if (!info[index].IsNull()) {
    MapArg map = MapArgument(info, index);
    if (map.shape.type != BPF_MAP_TYPE_ARRAY || (map.shape.flags & BPF_F_MMAPABLE) == 0 ||
        map.shape.value_size != element)
      throw Napi::TypeError::New(info.Env(), "fd: a mappable array of such elements expected");
    *elements = map.shape.max_entries;
    fd = map.fd;
  }
  auto mapping = std::make_shared<Mapping>(fd, element * *elements);
  if (!mapping->valid()) ThrowMap(info.Env());
  return mapping;
}

std::vector<uint8_t> Copy(const Bytes& bytes) { return std::vector<uint8_t>(bytes.data, bytes.data + bytes.size); }

class BucketTableObject : public Napi::ObjectWrap<BucketTableObject> {
 public:
  static void Register(Napi::Env env, Napi::Object exports) {
    exports.Set("BucketTable", DefineClass(env, "BucketTable",
                                           {
                                               InstanceMethod<&BucketTableObject::SetQuiet>("setQuiet"),
                                               InstanceMethod<&BucketTableObject::Put>("put"),
                                               InstanceMethod<&BucketTableObject::PutAsync>("putAsync"),
                                               InstanceMethod<&BucketTableObject::Remove>("remove"),
                                               InstanceMethod<&BucketTableObject::RemoveAsync>("removeAsync"),
                                               InstanceMethod<&BucketTableObject::Get>("get"),
                                               InstanceMethod<&BucketTableObject::Dump>("dump"),
                                               InstanceMethod<&BucketTableObject::Repair>("repair"),
                                               InstanceMethod<&BucketTableObject::Stats>("stats"),
                                               InstanceMethod<&BucketTableObject::Close>("close"),
                                           }));
  }

  // new BucketTable(kind, fd or null, buckets (without a map), seed): throws {errno, syscall}
  explicit BucketTableObject(const CallbackInfo& info) : Napi::ObjectWrap<BucketTableObject>(info) {
    uint32_t kind = U32Arg(info[0], "kind");
    if (kind > static_cast<uint32_t>(BucketKind::kMac)) throw Napi::RangeError::New(info.Env(), "kind: 0, 1 or 2");
    size_t element = kind == static_cast<uint32_t>(BucketKind::kIp6) ? sizeof(mw_ip6_bucket) : sizeof(mw_mac_bucket);
    uint32_t buckets = info[1].IsNull() ? U32Arg(info[2], "buckets") : 0;
    if (info[1].IsNull() && buckets < 2) throw Napi::RangeError::New(info.Env(), "buckets: at least 2");
    auto mapping = MapArray(info, 1, element, &buckets);
    if (buckets < 2) throw Napi::RangeError::New(info.Env(), "fd: at least 2 buckets");
    shared_ = std::make_shared<Shared>(static_cast<BucketKind>(kind), mapping, buckets, U64Arg(info[3], "seed"));
  }

 private:
  // Goes with the last work that uses it.
  struct Shared {
    Shared(BucketKind kind, std::shared_ptr<Mapping> memory, uint32_t buckets, uint64_t seed)
        : mapping(std::move(memory)), table(kind, mapping->data(), buckets, seed) {}
    std::shared_ptr<Mapping> mapping;
    BucketTable table;
  };

  std::shared_ptr<Shared> Open(Napi::Env env) const {
    if (shared_ == nullptr) throw Napi::Error::New(env, "the table is closed");
    return shared_;
  }

  void SetQuiet(const CallbackInfo& info) { Open(info.Env())->table.set_quiet(info[0].ToBoolean()); }

  // put(keys, values, count): {applied, missing, changed, error}; error EAGAIN: go on with putAsync
  Napi::Value Put(const CallbackInfo& info) {
    auto shared = Open(info.Env());
    uint32_t count = U32Arg(info[2], "count");
    Bytes keys = BytesArgOfSize(info[0], "keys", count * shared->table.key_size());
    Bytes values = BytesArgOfSize(info[1], "values", count * shared->table.value_size());
    return ToValue(info.Env(), PutAll(shared->table, keys.data, values.data, count, false));
  }

  Napi::Value PutAsync(const CallbackInfo& info) {
    struct State {
      std::shared_ptr<Shared> shared;
      std::vector<uint8_t> keys, values;
      Batch batch;
    };
    auto state = std::make_shared<State>();
    state->shared = Open(info.Env());
    uint32_t count = U32Arg(info[2], "count");
    state->keys = Copy(BytesArgOfSize(info[0], "keys", count * state->shared->table.key_size()));
    state->values = Copy(BytesArgOfSize(info[1], "values", count * state->shared->table.value_size()));
    return PromiseWork::Queue(
        info.Env(), "bucketPut",
        [state, count] {
          state->batch = PutAll(state->shared->table, state->keys.data(), state->values.data(), count, true);
        },
        [state](Napi::Env env) { return ToValue(env, state->batch); });
  }

  Napi::Value Remove(const CallbackInfo& info) {
    auto shared = Open(info.Env());
    uint32_t count = U32Arg(info[1], "count");
    Bytes keys = BytesArgOfSize(info[0], "keys", count * shared->table.key_size());
    return ToValue(info.Env(), RemoveAll(shared->table, keys.data, count));
  }

  Napi::Value RemoveAsync(const CallbackInfo& info) {
    struct State {
      std::shared_ptr<Shared> shared;
      std::vector<uint8_t> keys;
      Batch batch;
    };
    auto state = std::make_shared<State>();
    state->shared = Open(info.Env());
    uint32_t count = U32Arg(info[1], "count");
    state->keys = Copy(BytesArgOfSize(info[0], "keys", count * state->shared->table.key_size()));
    return PromiseWork::Queue(
        info.Env(), "bucketRemove",
        [state, count] { state->batch = RemoveAll(state->shared->table, state->keys.data(), count); },
        [state](Napi::Env env) { return ToValue(env, state->batch); });
  }

  // get(key, value out): whether it is there
  Napi::Value Get(const CallbackInfo& info) {
    auto shared = Open(info.Env());
    Bytes key = BytesArgOfSize(info[0], "key", shared->table.key_size());
    Bytes value = BytesArgOfSize(info[1], "value", shared->table.value_size());
    return Napi::Boolean::New(info.Env(), shared->table.Get(key.data, value.data));
  }

  // dump(): Promise<{keys, values, count, error}>, as mapDump
  Napi::Value Dump(const CallbackInfo& info) {
    struct State {
      std::shared_ptr<Shared> shared;
      std::vector<uint8_t> keys, values;
      uint32_t count = 0;
    };
    auto state = std::make_shared<State>();
    state->shared = Open(info.Env());
    return PromiseWork::Queue(
        info.Env(), "bucketDump",
        [state] { state->count = state->shared->table.Dump(&state->keys, &state->values); },
        [state](Napi::Env env) {
          auto result = Napi::Object::New(env);
          result.Set("count", state->count);
          result.Set("error", 0);
          result.Set("keys", ToArray(env, std::move(state->keys)));
          result.Set("values", ToArray(env, std::move(state->values)));
          return result;
        });
  }

  // repair(): Promise<number of slots, or -errno>
  Napi::Value Repair(const CallbackInfo& info) {
    struct State {
      std::shared_ptr<Shared> shared;
      int64_t result = 0;
    };
    auto state = std::make_shared<State>();
    state->shared = Open(info.Env());
    return PromiseWork::Queue(
        info.Env(), "bucketRepair", [state] { state->result = state->shared->table.Repair(); },
        [state](Napi::Env env) { return Number::New(env, static_cast<double>(state->result)); });
  }

  Napi::Value Stats(const CallbackInfo& info) {
    BucketStats stats = Open(info.Env())->table.stats();
    auto result = Napi::Object::New(info.Env());
    result.Set("occupied", static_cast<double>(stats.occupied));
    result.Set("vacated", static_cast<double>(stats.vacated));
    result.Set("updated", static_cast<double>(stats.updated));
    result.Set("moved", static_cast<double>(stats.moved));
    result.Set("waited", static_cast<double>(stats.waited));
    return result;
  }

  void Close(const CallbackInfo&) { shared_.reset(); }

  std::shared_ptr<Shared> shared_;
};

class PlaceTableObject : public Napi::ObjectWrap<PlaceTableObject> {
 public:
  static void Register(Napi::Env env, Napi::Object exports) {
    exports.Set("PlaceTable", DefineClass(env, "PlaceTable",
                                          {
                                              InstanceMethod<&PlaceTableObject::Put>("put"),
                                              InstanceMethod<&PlaceTableObject::Clear>("clear"),
                                              InstanceMethod<&PlaceTableObject::Sync>("sync"),
                                              InstanceMethod<&PlaceTableObject::Close>("close"),
                                          }));
  }

  // new PlaceTable(fd)
  explicit PlaceTableObject(const CallbackInfo& info) : Napi::ObjectWrap<PlaceTableObject>(info) {
    uint32_t places = 0;
    auto mapping = MapArray(info, 0, sizeof(mw_place_slot), &places);
    shared_ = std::make_shared<Shared>(mapping, places);
  }

 private:
  struct Shared {
    Shared(std::shared_ptr<Mapping> memory, uint32_t places)
        : mapping(std::move(memory)), table(mapping->data(), places) {}
    std::shared_ptr<Mapping> mapping;
    PlaceTable table;
  };

  std::shared_ptr<Shared> Open(Napi::Env env) const {
    if (shared_ == nullptr) throw Napi::Error::New(env, "the table is closed");
    return shared_;
  }

  // put(ids, ports, count): slots stored; packed u32 and struct mw_port
  Napi::Value Put(const CallbackInfo& info) {
    auto shared = Open(info.Env());
    uint32_t count = U32Arg(info[2], "count"), changed = 0;
    Bytes ids = BytesArgOfSize(info[0], "ids", count * sizeof(uint32_t));
    Bytes ports = BytesArgOfSize(info[1], "ports", count * sizeof(mw_port));
    for (uint32_t i = 0; i < count; i++) {
      uint32_t id;
      std::memcpy(&id, ids.data + i * sizeof(id), sizeof(id));
      changed += shared->table.Put(id, ports.data + i * sizeof(mw_port));
    }
    return Number::New(info.Env(), changed);
  }

  // clear(ids, count): slots stored; ids are packed u32
  Napi::Value Clear(const CallbackInfo& info) {
    auto shared = Open(info.Env());
    uint32_t count = U32Arg(info[1], "count"), changed = 0;
    Bytes ids = BytesArgOfSize(info[0], "ids", count * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
      uint32_t id;
      std::memcpy(&id, ids.data + i * sizeof(id), sizeof(id));
      changed += shared->table.Clear(id);
    }
    return Number::New(info.Env(), changed);
  }

  // sync(ids, ports, count): Promise<slots stored>; the buffers must be left alone meanwhile
  Napi::Value Sync(const CallbackInfo& info) {
    struct State {
      std::shared_ptr<Shared> shared;
      Napi::Reference<Napi::Value> held[2];
      uint32_t changed = 0;
    };
    auto state = std::make_shared<State>();
    state->shared = Open(info.Env());
    uint32_t count = U32Arg(info[2], "count");
    Bytes ids = BytesArgOfSize(info[0], "ids", count * sizeof(uint32_t));
    Bytes ports = BytesArgOfSize(info[1], "ports", count * sizeof(mw_port));
    for (size_t i : {0, 1}) state->held[i] = Napi::Persistent(info[i]);
    return PromiseWork::Queue(
        info.Env(), "placeSync", [state, ids, ports, count] {
          state->changed = state->shared->table.Sync(ids.data, ports.data, count);
        },
        [state](Napi::Env env) {
          for (auto& held : state->held) held.Reset();
          return Number::New(env, state->changed);
        });
  }

  void Close(const CallbackInfo&) { shared_.reset(); }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

void RegisterTables(Napi::Env env, Napi::Object exports) {
  BucketTableObject::Register(env, exports);
  PlaceTableObject::Register(env, exports);
}

}  // namespace mapwire
