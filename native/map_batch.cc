// SPDX-License-Identifier: Apache-2.0
// Verbs for many entries, packed one after the other. A batch is no transaction: the outcome says how many
// entries were done before the one that failed.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
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

constexpr int kKernelEnotsupp = 524;  // the kernel's own ENOTSUPP leaks out of bpf(2)

// A map type, or a kernel, without this batch command.
bool NoBatch(int error) {
  return error == kKernelEnotsupp || error == EOPNOTSUPP || error == EINVAL || error == ENOSYS;
}

struct Outcome {
  uint32_t applied = 0;
  uint32_t missing = 0;  // deletes of what was not there
  int error = 0;
};

// One command for [done, count), or singles if the map has no such command. Returns false at a failure,
// with `applied` the entries done.
template <typename Batch, typename Single>
bool Run(uint32_t count, bool* batched, Outcome* outcome, uint32_t* position, Batch batch, Single single) {
  if (*batched) {
    uint32_t n = count - *position;
    uint32_t asked = n;
    if (batch(*position, &n) == 0) {
      outcome->applied += asked;
      *position = count;
      return true;
    }
    int error = errno;
    // Refused before the first entry the kernel leaves the count alone; a real stop is always short of it.
    if (n >= asked) n = 0;
    outcome->applied += n;
    *position += n;
    if (n == 0 && NoBatch(error)) {
      *batched = false;
    } else {
      outcome->error = error;
      return false;
    }
  }
  while (*position < count) {
    if (single(*position) != 0) {
      outcome->error = errno;
      return false;
    }
    outcome->applied++;
    (*position)++;
  }
  return true;
}

Outcome UpdateAll(int fd, const MapShape& shape, const uint8_t* keys, const uint8_t* values, uint32_t count,
                  uint64_t flags) {
  Outcome outcome;
  uint32_t position = 0;
  // The kernel's batch update knows no BPF_NOEXIST or BPF_EXIST.
  bool batched = (flags & ~static_cast<uint64_t>(BPF_F_LOCK)) == 0;
  Run(
      count, &batched, &outcome, &position,
      [&](uint32_t from, uint32_t* n) {
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        options.elem_flags = flags;
        return bpf_map_update_batch(fd, keys + static_cast<size_t>(from) * shape.key_size,
                                    values + static_cast<size_t>(from) * shape.value_stride, n, &options);
      },
      [&](uint32_t at) {
        return bpf_map_update_elem(fd, keys + static_cast<size_t>(at) * shape.key_size,
                                   values + static_cast<size_t>(at) * shape.value_stride, flags);
      });
  return outcome;
}

Outcome DeleteAll(int fd, const MapShape& shape, const uint8_t* keys, uint32_t count) {
  Outcome outcome;
  uint32_t position = 0;
  bool batched = true;
  while (position < count) {
    bool done = Run(
        count, &batched, &outcome, &position,
        [&](uint32_t from, uint32_t* n) {
          return bpf_map_delete_batch(fd, keys + static_cast<size_t>(from) * shape.key_size, n, nullptr);
        },
        [&](uint32_t at) {
          return bpf_map_delete_elem(fd, keys + static_cast<size_t>(at) * shape.key_size);
        });
    if (done) break;
    if (outcome.error != ENOENT) return outcome;
    outcome.error = 0;
    outcome.missing++;
    position++;
  }
  return outcome;
}

struct Dump {
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
  uint32_t count = 0;
  int error = 0;
};

// Key by key, the next key fetched before the entry is read. A key deleted meanwhile makes the kernel start
// again from the first, so the walk is bounded.
void DumpByKeys(int fd, const MapShape& shape, Dump* dump) {
  std::vector<uint8_t> key(shape.key_size), next(shape.key_size), value(shape.value_stride);
  uint64_t limit = static_cast<uint64_t>(shape.max_entries) * 4 + 16;
  int have = bpf_map_get_next_key(fd, nullptr, key.data());
  while (have == 0) {
    if (limit-- == 0) {
      dump->error = EAGAIN;
      return;
    }
    int found = bpf_map_lookup_elem(fd, key.data(), value.data());
    if (found == 0) {
      dump->keys.insert(dump->keys.end(), key.begin(), key.end());
      dump->values.insert(dump->values.end(), value.begin(), value.end());
      dump->count++;
    } else if (errno != ENOENT) {
      dump->error = errno;
      return;
    }
    have = bpf_map_get_next_key(fd, key.data(), next.data());
    key.swap(next);
  }
  if (errno != ENOENT) dump->error = errno;
}

void DumpAll(int fd, const MapShape& shape, uint32_t batch, Dump* dump) {
  std::vector<uint8_t> in(std::max(shape.key_size, 8u)), out(in.size());
  bool first = true;
  for (;;) {
    size_t keys = dump->keys.size(), values = dump->values.size();
    dump->keys.resize(keys + static_cast<size_t>(batch) * shape.key_size);
    dump->values.resize(values + static_cast<size_t>(batch) * shape.value_stride);
    uint32_t n = batch;
    int error = bpf_map_lookup_batch(fd, first ? nullptr : in.data(), out.data(), dump->keys.data() + keys,
                                     dump->values.data() + values, &n, nullptr) == 0
                    ? 0
                    : errno;
    bool got = error == 0 || error == ENOENT;
    if (!got) n = 0;
    dump->keys.resize(keys + static_cast<size_t>(n) * shape.key_size);
    dump->values.resize(values + static_cast<size_t>(n) * shape.value_stride);
    dump->count += n;
    if (error == ENOENT) return;
    if (error == ENOSPC && batch <= shape.max_entries * 2ull) {
      batch *= 2;  // a bucket holds more than the batch
      continue;
    }
    if (error != 0) {
      if (first && NoBatch(error)) {
        DumpByKeys(fd, shape, dump);
      } else {
        dump->error = error;
      }
      return;
    }
    in.swap(out);
    first = false;
  }
}

Value ToValue(Napi::Env env, const Outcome& outcome) {
  auto result = Napi::Object::New(env);
  result.Set("applied", outcome.applied);
  result.Set("missing", outcome.missing);
  result.Set("error", outcome.error);
  return result;
}

std::vector<uint8_t> Copy(const Bytes& bytes) {
  return std::vector<uint8_t>(bytes.data, bytes.data + bytes.size);
}

// mapUpdateBatch(fd, keys, values, count, flags): {applied, missing, error}
Value UpdateBatch(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  uint32_t count = U32Arg(info[3], "count");
  Bytes keys = BytesArgOfSize(info[1], "keys", static_cast<size_t>(count) * map.shape.key_size);
  Bytes values = BytesArgOfSize(info[2], "values", static_cast<size_t>(count) * map.shape.value_stride);
  return ToValue(info.Env(), UpdateAll(map.fd, map.shape, keys.data, values.data, count, U32Arg(info[4], "flags")));
}

// mapUpdateBatchAsync: the same on a pool thread, with its own copy of the data
Value UpdateBatchAsync(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  uint32_t count = U32Arg(info[3], "count");
  uint32_t flags = U32Arg(info[4], "flags");
  struct State {
    UniqueFd fd;
    MapShape shape;
    std::vector<uint8_t> keys, values;
    Outcome outcome;
  };
  auto state = std::make_shared<State>();
  state->keys = Copy(BytesArgOfSize(info[1], "keys", static_cast<size_t>(count) * map.shape.key_size));
  state->values = Copy(BytesArgOfSize(info[2], "values", static_cast<size_t>(count) * map.shape.value_stride));
  state->fd = UniqueFd::Duplicate(map.fd);
  state->shape = map.shape;
  return PromiseWork::Queue(
      info.Env(), "mapUpdateBatch",
      [state, count, flags] {
        state->outcome =
            UpdateAll(state->fd.get(), state->shape, state->keys.data(), state->values.data(), count, flags);
      },
      [state](Napi::Env env) { return ToValue(env, state->outcome); });
}

// mapDeleteBatch(fd, keys, count): {applied, missing, error}; absent keys are counted and passed over
Value DeleteBatch(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  uint32_t count = U32Arg(info[2], "count");
  Bytes keys = BytesArgOfSize(info[1], "keys", static_cast<size_t>(count) * map.shape.key_size);
  return ToValue(info.Env(), DeleteAll(map.fd, map.shape, keys.data, count));
}

Value DeleteBatchAsync(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  uint32_t count = U32Arg(info[2], "count");
  struct State {
    UniqueFd fd;
    MapShape shape;
    std::vector<uint8_t> keys;
    Outcome outcome;
  };
  auto state = std::make_shared<State>();
  state->keys = Copy(BytesArgOfSize(info[1], "keys", static_cast<size_t>(count) * map.shape.key_size));
  state->fd = UniqueFd::Duplicate(map.fd);
  state->shape = map.shape;
  return PromiseWork::Queue(
      info.Env(), "mapDeleteBatch",
      [state, count] {
        state->outcome = DeleteAll(state->fd.get(), state->shape, state->keys.data(), count);
      },
      [state](Napi::Env env) { return ToValue(env, state->outcome); });
}

// mapLookupBatch(fd, token in or null, token out, keys out, values out, count): {count, error}
// A token has max(8, key size) bytes.
Value LookupBatch(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  size_t token = std::max(map.shape.key_size, 8u);
  bool first = info[1].IsNull() || info[1].IsUndefined();
  Bytes in = first ? Bytes{} : BytesArgOfSize(info[1], "token", token);
  Bytes out = BytesArgOfSize(info[2], "next token", token);
  uint32_t count = U32Arg(info[5], "count");
  Bytes keys = BytesArgOfSize(info[3], "keys", static_cast<size_t>(count) * map.shape.key_size);
  Bytes values = BytesArgOfSize(info[4], "values", static_cast<size_t>(count) * map.shape.value_stride);
  int error =
      bpf_map_lookup_batch(map.fd, in.data, out.data, keys.data, values.data, &count, nullptr) == 0 ? 0 : errno;
  auto result = Napi::Object::New(info.Env());
  result.Set("count", error == 0 || error == ENOENT ? count : 0u);
  result.Set("error", error);
  return result;
}

// mapDump(fd, batch): Promise<{keys, values, count, error}>: every entry, read on a pool thread
Value MapDump(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  uint32_t batch = std::max(1u, U32Arg(info[1], "batch"));
  struct State {
    UniqueFd fd;
    MapShape shape;
    Dump dump;
  };
  auto state = std::make_shared<State>();
  state->fd = UniqueFd::Duplicate(map.fd);
  state->shape = map.shape;
  return PromiseWork::Queue(
      info.Env(), "mapDump",
      [state, batch] { DumpAll(state->fd.get(), state->shape, batch, &state->dump); },
      [state](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("count", state->dump.count);
        result.Set("error", state->dump.error);
        result.Set("keys", ToArray(env, std::move(state->dump.keys)));
        result.Set("values", ToArray(env, std::move(state->dump.values)));
        return result;
      });
}

}  // namespace

void RegisterMapBatch(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "mapUpdateBatch", UpdateBatch);
  Export(env, exports, "mapUpdateBatchAsync", UpdateBatchAsync);
  Export(env, exports, "mapDeleteBatch", DeleteBatch);
  Export(env, exports, "mapDeleteBatchAsync", DeleteBatchAsync);
  Export(env, exports, "mapLookupBatch", LookupBatch);
  Export(env, exports, "mapDump", MapDump);
}

}  // namespace mapwire
